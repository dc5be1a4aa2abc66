"""What the report says differently for every objective; all other words are the same, or the metric's."""

from dataclasses import dataclass

from markupsafe import Markup

from projpipe.methods.registry import METHODS, main_methods


@dataclass(frozen=True)
class Wording:
    """Parts of sentences by objective. Markup is HTML for the report; what is in braces is filled in.

    Args:
        small_model: what the projector makes of the teacher.
        differences: in what differences are given, {steps} being those of the metric.
        teacher: what the teacher is, in full.
        labels: what the loss takes besides distillation.
        sizes: for what models sizes and speeds are; {classes} is '3 classes', {all} the number of all classes.
        universal_size: how large the universal model is beside the other students.
        one_image: what one image weighs in the result of the task with the fewest; {share} is its share in per cent.
        examples: what the examples are.
        elsewhere: where differences between methods show, for a run in which hardly any does.
    """

    small_model: str
    differences: str
    teacher: Markup
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
        teacher=Markup(
            "The large model itself, trained on all classes; for a task, its answers are limited to the "
            "task&rsquo;s classes. It has not been trained for single tasks, so that a small model can pass it."
        ),
        labels="the labels",
        sizes=Markup(
            "Sizes and speeds are of models for {classes}, the held-out tasks&rsquo; median; the teacher has its {all}."
        ),
        universal_size="the universal model has one token more",
        one_image="one image is {share:.1f} points there",
        examples="Test images of a task that was not trained on, what they are, and what each model takes them for.",
        elsewhere=Markup(
            "In the comparison on Omniglot, which has more and harder tasks, with five seeds: "
            "<code>kedro run --env omniglot</code>, then the same with <code>--pipelines compare_methods</code>. What "
            "it found is in the repository, <code>docs/results/omniglot.md</code>."
        ),
    ),
    "image_modeling": Wording(
        small_model="a small one that models the images of any classes you name",
        differences="in {steps}",
        teacher=Markup(
            "The large model itself, trained on all classes: a causal decoder over the tokens of an image, which "
            "is told the class. For a task, it is told each of the task&rsquo;s classes, and what it says is mixed."
        ),
        labels="the images themselves",
        sizes=Markup(
            "Sizes and speeds are of models for {classes}, the held-out tasks&rsquo; median, and are the same for any "
            "others; the teacher knows all {all}."
        ),
        universal_size="the universal model has their size",
        one_image="one image is {share:.1f} % of the mean there",
        examples="Test images of a task that was not trained on, and images that each model drew, token by token.",
        elsewhere=Markup(
            "In the comparison of models that draw Omniglot&rsquo;s characters: "
            "<code>kedro run --env omniglot_modeling</code>, then the same with "
            "<code>--pipelines compare_methods</code>. What it found is in the repository, "
            "<code>docs/results/omniglot_modeling.md</code>."
        ),
    ),
}


def described(objective: str) -> dict[str, Markup]:
    """What the teacher and each method of every run is, in full, by name."""
    methods = {name: Markup(METHODS[name].described[objective]) for name in main_methods()}
    return {"teacher": WORDING[objective].teacher, **methods}


def told_apart(objective: str) -> dict[str, str]:
    """What each of them is where the opening sentence sets the projected model against it, by name."""
    methods = {name: METHODS[name].told_apart for name in main_methods()}
    return {"teacher": "its teacher", **{name: words[objective] for name, words in methods.items() if words}}
