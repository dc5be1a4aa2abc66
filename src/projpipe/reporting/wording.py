"""What the report says differently for every objective; all other words are the same, or the metric's."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Wording:
    """Parts of sentences by objective. Markup is HTML for the report; what is in braces is filled in.

    Args:
        small_model: what the projector makes of the teacher.
        differences: in what differences are given, {steps} being those of the metric.
        told_apart: what each method is, where the opening sentence compares it with the projected model.
        described: what each method is, in full.
        labels: what the loss takes besides distillation.
        sizes: for what models sizes and speeds are; {classes} is '3 classes', {all} the number of all classes.
        universal_size: how large the universal model is beside the other students.
        one_image: what one image weighs in the result of the task with the fewest; {share} is its share in per cent.
        examples: the caption of the examples.
        elsewhere: where differences between methods show, for a run in which hardly any does.
    """

    small_model: str
    differences: str
    told_apart: Mapping[str, str]
    described: Mapping[str, Markup]
    labels: str
    sizes: Markup
    universal_size: str
    one_image: str
    examples: str
    elsewhere: Markup


WORDING: dict[str, Wording] = {
    "classification": Wording(
        small_model="a small one for any set of classes you name",
        differences="in {steps} of accuracy",
        told_apart={
            "universal": "a universal conditional model of its size",
            "static": "the same projection without a look at the task",
            "teacher": "its teacher",
        },
        described={
            "teacher": Markup(
                "The large model itself, trained on all classes; for a task, its answers are limited to the "
                "task&rsquo;s classes. It has not been trained for single tasks, so that a small model can pass it."
            ),
            "projected": Markup(
                "The method: the teacher&rsquo;s weights are mapped to a small model&rsquo;s weights by a trained "
                "operator that looks at the task."
            ),
            "static": Markup(
                "The same operator without the look at the task: one small body for all tasks, with the rows of the "
                "task&rsquo;s classes in its classifier. What <em>Projected</em> gains over it is what looking at the "
                "task brings."
            ),
            "universal": Markup(
                "One small model of the same size, trained from scratch on all tasks and told which one it is on (a "
                "task token, and gains and shifts after each normalisation). The usual alternative."
            ),
        },
        labels="the labels",
        sizes=Markup(
            "Sizes and speeds are of models for {classes}, the held-out tasks&rsquo; median; the teacher has its {all}."
        ),
        universal_size="the universal model has one token more",
        one_image="one image is {share:.1f} points there",
        examples="Up to 16 test images of each of some held-out tasks, and those of them that each model gets wrong.",
        elsewhere=Markup(
            "In the comparison on Omniglot, which has more and harder tasks, with five seeds: "
            "<code>kedro run --env omniglot</code>, then the same with <code>--pipelines compare_methods</code>. What "
            "it found is in the repository, <code>docs/results/omniglot.md</code>."
        ),
    ),
    "image_modeling": Wording(
        small_model="a small one that models the images of any classes you name",
        differences="in {steps}",
        told_apart={
            "universal": "a universal conditional model of its size",
            "static": "the same projection by factors that do not look at the task",
            "teacher": "its teacher",
        },
        described={
            "teacher": Markup(
                "The large model itself, trained on all classes: a causal decoder over the tokens of an image, which "
                "is told the class. For a task, it is told each of the task&rsquo;s classes, and what it says is mixed."
            ),
            "projected": Markup(
                "The method: the teacher&rsquo;s weights are mapped to a small model&rsquo;s weights by a trained "
                "operator that looks at the task. The small model is told nothing: the task is in its weights, through "
                "the teacher&rsquo;s embeddings of the task&rsquo;s classes, whose mean is projected, and through the "
                "factors of the projection, which depend on the task."
            ),
            "static": Markup(
                "The same operator with factors that do not look at the task: one small body for all tasks, with the "
                "mean embedding of the task&rsquo;s classes in its weights. What <em>Projected</em> gains over it is "
                "what looking at the task brings."
            ),
            "universal": Markup(
                "One small model of the same size, trained from scratch on all tasks and told which one it is on (the "
                "mean of its embeddings of the task&rsquo;s classes is added to every token, a task token stands "
                "before the first, and there are gains and shifts after each normalisation). The usual alternative."
            ),
        },
        labels="the images themselves",
        sizes=Markup(
            "Sizes and speeds are of models for {classes}, the held-out tasks&rsquo; median, and are the same for any "
            "others; the teacher knows all {all}."
        ),
        universal_size="the universal model has their size",
        one_image="one image is {share:.1f} % of the mean there",
        examples=(
            "Some held-out tasks, up to 16 images a cell: test images of the task, and images that the models drew, "
            "token by token."
        ),
        elsewhere=Markup(
            "In the comparison of models that draw Omniglot&rsquo;s characters: "
            "<code>kedro run --env omniglot_modeling</code>, then the same with "
            "<code>--pipelines compare_methods</code>. What it found is in the repository, "
            "<code>docs/results/omniglot_modeling.md</code>."
        ),
    ),
}
