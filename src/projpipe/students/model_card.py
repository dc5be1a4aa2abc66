"""The model card: what a small model is, where it came from, and how to use it, as Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from projpipe.errors import InputError, printable
from projpipe.metric import ACCURACY, METRICS, share_interval
from projpipe.record import Bounds, from_json
from projpipe.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from projpipe.objectives import Objective
    from projpipe.objectives.card_text import CardText


Provenance = Mapping[str, Any]  # JSON, of which `_Provenance` is read again
Score = tuple[str, str, float]  # the split of the data, what was measured on it, and the value
ON_VALIDATION_TASKS = "mean over the projector's validation tasks"
OWN_PICTURES = ("imagefolder", "labelled pictures of the user's own")  # what the hub calls such data, and people do


@dataclass(frozen=True)
class _Teacher:
    """What provenance says of the teacher."""

    architecture: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    params: Annotated[int, Bounds(1, 2**60)] = 1
    metric: str = ACCURACY.name
    score: Mapping[str, float] = field(default_factory=dict)
    license: str | None = None


@dataclass(frozen=True)
class _Gain:
    """An accuracy before and after fine-tuning."""

    before: Annotated[float, Bounds(0, 1)]
    after: Annotated[float, Bounds(0, 1)]


@dataclass(frozen=True)
class _FineTuned:
    """What provenance says of fine-tuning."""

    images: Annotated[int, Bounds(1, 2**60)]
    held_out: Annotated[int, Bounds(1, 2**60)]
    accuracy: _Gain
    distilled: bool

    @property
    def measured(self) -> str:
        """The accuracy on held-out images, with its 95 % interval."""
        after = self.accuracy.after
        return f"{ACCURACY.value(after)} {ACCURACY.ends(share_interval(after, self.held_out))}"


@dataclass(frozen=True)
class _Provenance:
    """What provenance says that is read again."""

    teacher: Mapping[str, object] = field(default_factory=dict)
    dataset: str | None = None
    held_out_classes: Sequence[str] = ()
    license: str | None = None
    validation_score: float = 0.0
    tuned_source: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    fine_tuned: _FineTuned | None = None


def check_provenance(described: object, place: str) -> None:
    """Refuse provenance of which no card could be made; what no card says may be anything.

    Raises:
        InputError: names the key, and its `place`.
    """
    teacher = from_json(_Provenance, described, place).teacher
    metric = from_json(_Teacher, teacher, f"{place}.teacher").metric if teacher else ACCURACY.name
    if metric not in METRICS:
        raise InputError(f"{place}.teacher.metric: {metric[:40]!r} is none of {', '.join(METRICS)}")


def model_card(spec: TransformerSpec, classes: Sequence[str], objective: Objective, provenance: Provenance) -> str:
    """The card of a model with these classes; of a classifier in the order of its logits.

    Args:
        provenance: `teacher` (architecture, arguments, params, metric, score, license), `dataset`, `held_out_classes`
            (those of the model's), `license`, `validation_score`, `versions`; what is not known is left out.
    """
    card = objective.card
    counted = f"{len(classes)} class{'es' * (len(classes) > 1)}"
    facts = (f"| {name} | {value} |" for name, value in _facts(spec, classes, card, provenance))
    about = (
        f"A small Vision Transformer that {card.purpose.format(counted)}. "
        "[projpipe](https://arxiv.org/abs/2506.05641) made it in one shot from a large one's weights, "
        f"{_besides(provenance)}."
    )
    blocks = [
        front_matter("timm", card, provenance, _scores(provenance)),
        f"# {counted} of {in_markdown(provenance.get('dataset') or 'images')}",
        about,
        "\n".join(["| | |", "| --- | --- |", *facts]),
        *_cautions(card, provenance),
        f"## {card.heading_of_classes}",
        "\n".join(f"{number}. {in_markdown(name)}" for number, name in enumerate(classes, start=1)),
        card.use,
    ]
    return "\n\n".join(blocks) + "\n"


def license_of(provenance: Provenance) -> str | None:
    """The licence of weights: as it was stated, else that of the teacher's, if known."""
    return provenance.get("license") or provenance.get("teacher", {}).get("license")


def _besides(provenance: Provenance) -> str:
    """What a model was made with besides the large one's weights."""
    tuned = _fine_tuned(provenance)
    if tuned is None:
        return "without data and without fine-tuning"
    teacher = " and on what the large one says of them" if tuned.distilled else ""
    return f"and **fine-tuned** it on {tuned.images:,} labelled images{teacher}"


def _fine_tuned(provenance: Provenance) -> _FineTuned | None:
    found = provenance.get("fine_tuned")
    return None if found is None else from_json(_FineTuned, found, "fine_tuned")


def _scores(provenance: Provenance) -> list[Score]:
    """What was measured of a model: what its projector's models score is not of one that was fine-tuned."""
    if tuned := _fine_tuned(provenance):
        said = f"on {tuned.held_out:,} pictures held out of fine-tuning: {tuned.measured}, 95 % interval"
        return [("validation", said, tuned.accuracy.after)]
    if "validation_score" in provenance:
        return [("validation", ON_VALIDATION_TASKS, provenance["validation_score"])]
    return []


def front_matter(library: str, card: CardText, provenance: Provenance, scores: Sequence[Score]) -> str:
    """What the Hugging Face hub reads of a card: YAML between dashes."""
    from huggingface_hub import EvalResult, ModelCardData

    dataset, metric = provenance.get("dataset"), provenance.get("teacher", {}).get("metric")
    named = re.sub(r"[^a-z0-9]+", "-", (dataset or "").lower()).strip("-")  # the hub takes no other names
    scored_on = named, printable(dataset or "")
    if "fine_tuned" in provenance:
        scored_on, metric = OWN_PICTURES, ACCURACY.name
    results = [
        EvalResult(
            task_type=card.pipeline_tag,
            dataset_type=scored_on[0],
            dataset_name=scored_on[1],
            dataset_split=split,
            metric_type=metric,
            metric_name=title,
            metric_value=value,
        )
        for split, title, value in scores
        if scored_on[0] and metric
    ]
    data = ModelCardData(
        library_name=library,
        pipeline_tag=card.pipeline_tag,
        tags=[card.pipeline_tag, *dict.fromkeys([library, "timm", "projpipe"])],
        license=printable(license_of(provenance) or "") or None,
        datasets=[named] if named else None,
        model_name=f"projpipe {named}".rstrip() if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _facts(
    spec: TransformerSpec, classes: Sequence[str], card: CardText, provenance: Provenance
) -> Iterator[tuple[str, str]]:
    teacher = provenance.get("teacher", {})
    params = spec.deployed_params(len(classes))
    fewer = f", {100 * (1 - params / teacher['params']):.1f} % fewer than its teacher" if "params" in teacher else ""
    yield "parameters", f"{params:,}{fewer}"
    yield "multiply-accumulates an image", f"{spec.deployed_macs(len(classes)):,}"
    yield "size", spec.describe_size()
    yield "images", f"{spec.describe_images()}, in patches of {spec.patch_size} x {spec.patch_size}"
    if teacher:
        arguments = f" with {json.dumps(teacher['arguments'])}" if teacher.get("arguments") else ""
        yield "teacher", in_markdown(f"timm's {teacher['architecture']}{arguments}")
    if provenance:
        yield "licence", in_markdown(license_of(provenance) or "not known")
    metric = METRICS[teacher["metric"]] if "metric" in teacher else None
    if metric and "test" in teacher.get("score", {}):
        yield f"{metric.title} of the teacher on test images, {card.of_teacher}", metric.value(teacher["score"]["test"])
    if metric and "validation_score" in provenance:
        score = metric.value(provenance["validation_score"])
        yield f"mean {metric.title} of the projector's models on validation tasks", score
    if "versions" in provenance:
        yield (
            "made with",
            in_markdown(", ".join(f"{name} {number}" for name, number in provenance["versions"].items())),
        )


def _cautions(card: CardText, provenance: Provenance) -> Iterator[str]:
    if new := provenance.get("held_out_classes"):
        yield f"No training task of the projector had {', '.join(map(in_markdown, new))}: less is to be expected there."
    tuned = _fine_tuned(provenance)
    if tuned is None:
        yield card.caution
        return
    yield (
        f"On {tuned.held_out:,} images that it did not learn from its accuracy was "
        f"{ACCURACY.value(tuned.accuracy.before)} before fine-tuning and is {tuned.measured} now (95 % interval). They "
        "chose how long it learned, so that it may be a little lower on others."
    )


def in_markdown(name: str) -> str:
    """Free text on one line that a terminal shows as it is, with Markdown's marks and HTML in it escaped."""
    return re.sub(r"([\\`*_\[\]<>&|~$#])", r"\\\1", printable(" ".join(name.split())))
