"""The model card of a projector: what it makes, how often that is right, what it is bad at, and what made it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from projpipe.errors import InputError, printable
from projpipe.manifest import MANIFEST
from projpipe.metric import ACCURACY, METRICS, Z, share_interval
from projpipe.projection.projector import Projector
from projpipe.students.model_card import ON_VALIDATION_TASKS, Score, front_matter, in_markdown, license_of
from projpipe.transformer.spec import TransformerSpec, written

TEACHER = "teacher"
SHOT = "without data and without fine-tuning. [projpipe](https://arxiv.org/abs/2506.05641) reads it."
WORST = 3  # groups that are named


@dataclass(frozen=True)
class Judged:
    """How many test images of a group's classes are told right: by the models of these classes, and by the teacher.

    Args:
        group: its name.
        classes: that the models tell apart.
        images: how many there are.
        right: of them, by `TEACHER` and by size as `written` writes it.
    """

    group: str
    classes: Sequence[str]
    images: int
    right: Mapping[str, int]

    def share(self, model: str) -> float:
        """Of the images, by name of the model."""
        return self.right[model] / self.images

    def interval(self, model: str) -> tuple[float, float]:
        """The 95 % interval of `share`, of images drawn anew."""
        return share_interval(self.share(model), self.images)


@dataclass(frozen=True)
class Run:
    """What of a run's run.json stands on a card."""

    command: str
    commit: str
    processor: str
    dataset_sha256: str
    train_tasks_sha256: str
    teacher_sha256: str

    def check(self, provenance: Mapping[str, object]) -> None:
        """Refuse the run of another projector.

        Raises:
            InputError: names the checksum that differs.
        """
        for name in ("dataset_sha256", "train_tasks_sha256", "teacher_sha256"):
            if provenance.get(name) != getattr(self, name):
                raise InputError(f"{name}: is not the projector's; give the run.json of the run that trained it")


def mean_over_groups(judged: Sequence[Judged], model: str) -> tuple[float, tuple[float, float]]:
    """The mean of the groups' shares that a model tells right, and its 95 % interval, of images drawn anew."""
    shares = [one.share(model) for one in judged]
    mean = sum(shares) / len(judged)
    variance = sum(share * (1 - share) / one.images for share, one in zip(shares, judged, strict=True))
    half = Z * sqrt(variance) / len(judged)
    return mean, (max(0.0, mean - half), min(1.0, mean + half))


def projector_card(
    projector: Projector,
    judged: Sequence[Judged] = (),
    run: Run | None = None,
    of_examples: str = "",
) -> str:
    """The card of a projector.

    Args:
        judged: what was measured on test images; none where nothing was.
        run: what trained it, if known.
        of_examples: where the pictures that come with it are from, in Markdown; "" where nothing is said.
    """
    dataset = projector.data.get("name")
    provenance = {**projector.provenance_of(projector.recommended), "dataset": dataset}
    counted, card = f"{len(projector.classes)} classes", projector.objective.card
    facts = "\n".join(f"| {name} | {value} |" for name, value in _facts(projector, run))
    blocks = [
        front_matter("projpipe", card, provenance, list(_scores(projector, judged))),
        f"# A projector for {counted} of {in_markdown(dataset or 'images')}",
        f"It makes a small Vision Transformer that {card.purpose.format('any of these classes')}, in one shot: {SHOT}",
        _use(projector),
        "\n".join(["| | |", "| --- | --- |", facts]),
        *(_accuracy(projector, judged) if judged else ["No accuracy on test images was measured of it."]),
        "## What it is bad at",
        "\n".join(f"* {said}" for said in _bad_at(projector, judged)),
        "## Classes",
        "\n".join(_classes(projector)),
        *(["## Examples", "\n".join(map(printable, of_examples.splitlines()))] if of_examples else []),
    ]
    return "\n\n".join(blocks) + "\n"


def _scores(projector: Projector, judged: Sequence[Judged]) -> Iterator[Score]:
    """What was measured of the size that is made where none is asked for."""
    size = written(projector.recommended)
    found = projector.provenance_of(projector.recommended)
    if "validation_score" in found:
        yield "validation", f"{ON_VALIDATION_TASKS}, models of {size}", found["validation_score"]
    if judged:
        mean = round(mean_over_groups(judged, size)[0], 6)
        yield "test", f"mean over {len(judged)} groups, models of {size}", mean


def _use(projector: Projector) -> str:
    some = ",".join(f'"{name}"' if "," in name else name for name in projector.classes[:3])
    return f"""## Use

```console
$ projpipe generate FOLDER --classes {json.dumps(some)[1:-1]} --out model
$ projpipe predict model IMAGE
```

`FOLDER` is this folder, or `hf-hub:owner/name` where the Hugging Face hub has it."""


def _facts(projector: Projector, run: Run | None) -> Iterator[tuple[str, str]]:
    source, provenance = projector.operator.source.spec, projector.provenance
    teacher = provenance.get("teacher", {})
    largest = projector.operator.spec
    sizes = largest.describe_size()
    if projector.sizes is not None:
        sizes = f"from {projector.sizes.smallest.describe_size()}, to {sizes}"
    yield "sizes of its models", sizes
    yield "made where none is asked for", projector.recommended.describe_size()
    yield "images", source.describe_images()
    yield "data", in_markdown(projector.data.get("name") or "not known")
    yield (
        "teacher",
        f"{source.describe_size()}" + (f", {teacher['params']:,} parameters" if "params" in teacher else ""),
    )
    metric = METRICS[teacher.get("metric", ACCURACY.name)]
    if "test" in teacher.get("score", {}):
        yield (
            f"{metric.title} of the teacher on test images, {projector.objective.card.of_teacher}",
            metric.value(teacher["score"]["test"]),
        )
    if run is not None:
        yield "trained by", in_markdown(run.command)
        yield "commit", in_markdown(run.commit)
        yield "on", in_markdown(run.processor)
    if "parameters" in provenance:
        yield "parameters of training", f"in {MANIFEST}, `provenance`"
    if "dataset_sha256" in provenance:
        yield "checksum of the data", in_markdown(str(provenance["dataset_sha256"]))
    if "versions" in provenance:
        yield (
            "made with",
            in_markdown(", ".join(f"{name} {number}" for name, number in provenance["versions"].items())),
        )
    yield "licence", in_markdown(license_of(provenance) or "not stated")


def _accuracy(projector: Projector, judged: Sequence[Judged]) -> Iterator[str]:
    """Of every size over all groups, and of some sizes group by group."""
    sizes = {written(size): size for size in sizes_of(projector)}
    yield "## Accuracy"
    images = sum(one.images for one in judged)
    yield (
        f"In % of {images:,} test images, with 95 % intervals (of images drawn anew). Each model tells the classes "
        "of one group apart; the teacher's answer is the likeliest of these."
    )
    rows = []
    for name, size in sizes.items():
        classes = max(len(one.classes) for one in judged)
        cells = f"{size.deployed_params(classes):,} | {size.deployed_macs(classes):,}"
        rows.append(f"| {name} | {cells} | {_measured(*mean_over_groups(judged, name))} |")
    rows.append(f"| {TEACHER} | | | {_measured(*mean_over_groups(judged, TEACHER))} |")
    header = "| size | parameters | multiply-accumulates | mean over groups |\n| --- | ---: | ---: | ---: |"
    yield "\n".join([header, *rows])
    some = [*dict.fromkeys([next(iter(sizes)), written(projector.recommended), next(reversed(sizes))])]
    lines = [f"| group | {TEACHER} | {' | '.join(some)} |", f"| --- | {'---: | ' * len(some)}---: |"]
    for one in judged:
        cells = " | ".join(_measured(one.share(model), one.interval(model)) for model in (TEACHER, *some))
        lines.append(f"| {in_markdown(one.group)} | {cells} |")
    yield "\n".join(lines)


def sizes_of(projector: Projector) -> list[TransformerSpec]:
    """Sizes of models that a card is about: those that were measured, the smallest first, or the largest alone."""
    largest = projector.operator.spec
    return [largest] if projector.size_table is None else [size.of(largest) for size in projector.size_table.sizes]


def _measured(share: float, interval: tuple[float, float]) -> str:
    return f"{ACCURACY.text(share)} {ACCURACY.ends(interval)}"


def _bad_at(projector: Projector, judged: Sequence[Judged]) -> Iterator[str]:
    if judged:
        model = written(projector.recommended)
        worst = sorted(judged, key=lambda one: one.share(model))[:WORST]
        named = ", ".join(
            f"{in_markdown(one.group)} ({ACCURACY.value(one.share(model))}; "
            f"teacher {ACCURACY.value(one.share(TEACHER))})"
            for one in worst
        )
        yield f"Its models of {model} are least often right on {named}."
        far = max(judged, key=lambda one: one.share(TEACHER) - one.share(model))
        yield f"They are farthest below the teacher on {in_markdown(far.group)}."
    if new := projector.data.get("held_out_classes"):
        yield f"No training task had {', '.join(map(in_markdown, new))}: less is to be expected there."
    if projector.objective.samples:
        yield "It draws images of its classes and of nothing else."
    else:
        yield _of_others(projector)
    yield (
        f"It was trained on {in_markdown(projector.data.get('name') or 'one data set')} alone, at "
        f"{projector.operator.source.spec.describe_images()}. Other pictures are brought to that size, and were not "
        "measured."
    )


def _of_others(projector: Projector) -> str:
    """What its models do with pictures of none of their classes."""
    table = projector.size_table
    size = None if table is None else table.sizes[table.recommended]
    if size is None or size.others_kept is None:
        return "A model names one of its classes whatever it is shown, noise included."
    noise = "" if size.noise_kept is None else f", and of noise {ACCURACY.value(size.noise_kept)},"
    return (
        f"Of validation images of other classes, {ACCURACY.value(size.others_kept)}{noise} are above the energy "
        f"threshold of models of {written(projector.recommended)}, and so are taken for one of theirs."
    )


def _classes(projector: Projector) -> Iterator[str]:
    groups = projector.data.get("groups") or [""] * len(projector.classes)
    for group in sorted(set(groups)):
        names = [name for name, of in zip(projector.classes, groups, strict=True) if of == group]
        yield f"* {f'**{in_markdown(group)}**: ' if group else ''}{', '.join(map(in_markdown, names))}"
