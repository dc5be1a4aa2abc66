"""What the page shows of a model, as HTML; all names in it are escaped, as they may be a stranger's."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import numpy as np
from PIL import Image

from projpipe.app.loaded import BY_LATENCY, Answer, LoadedProjector
from projpipe.app.size_curve import size_curve
from projpipe.students.elapsed import milliseconds
from projpipe.students.size_table import MeasuredSize, SizeTable
from projpipe.transformer.spec import TransformerSpec, written

SHOWN_CLASSES = 5  # of an answer
PICTURE_PIXELS = 96  # across one that a model drew, at least


def heading(loaded: LoadedProjector) -> str:
    """What the page is, and which projector and teacher are behind it."""
    projector = loaded.projector
    source = projector.operator.source.spec
    params = projector.provenance.get("teacher", {}).get("params") or source.deployed_params(len(projector.classes))
    can = "draws these" if loaded.draws else "knows these and nothing else"
    about = f"{len(projector.classes)} classes of {projector.data.get('name') or 'images'}"
    teacher = f"a teacher of {_count(params)} parameters, {source.depth} blocks x {source.embed_dim}"
    return (
        '<div class="pp-heading"><h1>projpipe</h1>'
        f"<p>Name a few classes. In milliseconds, a large Vision Transformer becomes a small one that {can}.</p>"
        f'<p class="pp-quiet">{escape(about)}; {escape(teacher)}</p></div>'
    )


def readable(name: str) -> str:
    """A class or a group as people write it: data sets have underscores for spaces."""
    return name.replace("_", " ")


def step(number: int, title: str) -> str:
    """The heading of a part of the page."""
    return f'<h2 class="pp-step"><span aria-hidden="true">{number}</span> {escape(title)}</h2>'


def refusal(message: str) -> str:
    """One line that says what is wrong and how to mend it."""
    return f'<p class="pp-refusal" role="alert">{escape(message)}</p>'


def hint(text: str) -> str:
    """A quiet line."""
    return f'<p class="pp-quiet">{escape(text)}</p>'


def facts(loaded: LoadedProjector, classes: Sequence[str], size: TransformerSpec, by: str) -> str:
    """Size, speed and expected score of a model, and its place on the size curve."""
    projector, table = loaded.projector, loaded.projector.size_table
    params = size.deployed_params(len(classes))
    teacher = projector.provenance.get("teacher", {}).get("params")
    fewer = f"{teacher / params:,.0f} x fewer than the teacher" if teacher else f"{size.embed_dim} x {size.depth}"
    tiles = [
        ("parameters", f"{params:,}", fewer),
        ("file", _bytes(4 * params), f"{size.embed_dim} wide x {size.depth} deep"),
    ]
    measured = loaded.measured(size)
    if measured is None or table is None:
        return _tiles(tiles) + hint("Speed and accuracy of this projector's sizes were not measured.")
    metric, (score, (low, high)) = table.measure, table.expected(measured, len(classes))
    threads = f"{table.threads} thread{'s' * (table.threads > 1)}"
    batch = "one picture" if table.batch == 1 else f"batches of {table.batch}"
    tiles.append(("speed", f"{milliseconds(measured.latency, '.2g')} ms", f"{batch}, {threads}"))
    interval = f"95 %: {metric.text(low)} to {metric.text(high)}"
    tiles.append((f"expected {metric.title}", metric.value(score), interval))
    by_latency = by == BY_LATENCY
    curve = size_curve(
        loaded.sizes(by),
        measured,
        table.sizes[table.recommended],
        metric,
        (lambda one: one.latency_ms) if by_latency else (lambda one: one.params),
        "latency in ms" if by_latency else f"parameters of models for {table.num_classes} classes",
    )
    expects = (
        f"Measured on {table.machine}. The curve is the mean over validation tasks"
        f"{_of_classes(table, measured, len(classes))}. The ring is around the recommended size."
    )
    if metric.direction:
        expects += f" {metric.direction.capitalize()}."
    new = [name for name in classes if name in projector.data.get("held_out_classes", [])]
    if new:
        named = ", ".join(map(readable, new[:5])) + " and others" * (len(new) > 5)
        expects += f" No training task had {named}: expect less there."
    return _tiles(tiles) + curve + hint(expects)


def _of_classes(table: SizeTable, size: MeasuredSize, count: int) -> str:
    """Of how many classes the tasks are that scores were measured on, where what is expected is for `count`."""
    if table.task_classes is None:
        return ""
    fewest, _, most = table.task_classes
    expected = "" if size.per_doubling is None else f", the expected {table.measure.title} for {count}"
    return f" of {fewest} to {most} classes{expected}"


def _tiles(tiles: Sequence[tuple[str, str, str]]) -> str:
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in tiles
    )
    return f'<dl class="pp-tiles">{shown}</dl>'


def answer(title: str, classes: Sequence[str], said: Answer, note: str = "") -> str:
    """What a model says of a picture: its likeliest classes with bars, and its time."""
    best = said.probabilities.topk(min(SHOWN_CLASSES, len(classes)))
    rows = "".join(
        f'<li><span class="pp-name">{escape(readable(classes[position]))}</span>'
        f'<span class="pp-share">{100 * share:.1f} %</span>'
        f'<span class="pp-bar" aria-hidden="true"><i style="width:{100 * share:.1f}%"></i></span></li>'
        for share, position in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    )
    verdict = "none of these" if said.unknown else readable(classes[int(said.probabilities.argmax())])
    return (
        f'<div class="pp-answer{" pp-unknown" * said.unknown}"><h3>{escape(title)}</h3>'
        f'<p class="pp-verdict">{escape(verdict)}</p>'
        f'<p class="pp-quiet">{milliseconds(said.latency, ".2g")} ms here{escape(note)}</p><ol>{rows}</ol></div>'
    )


def empty_answer(title: str, text: str) -> str:
    """The place of an answer where there is none yet."""
    return f'<div class="pp-answer"><h3>{escape(title)}</h3><p class="pp-quiet">{escape(text)}</p></div>'


def take_along(loaded: LoadedProjector, classes: Sequence[str], size: TransformerSpec, onnx: bool) -> str:
    """The link to the zip, and the lines of Python to copy."""
    ids = ",".join(map(str, loaded.projector.class_ids(classes)))
    asked = {
        "classes": ids,
        **({"size": written(size)} if loaded.projector.sizes else {}),
        **({"onnx": 1} if onnx else {}),
    }
    lines = escape(loaded.python(classes, size))
    holds = "timm folder, ONNX file and card" if onnx else "timm folder and card"
    return (
        f'<a class="pp-button" download="model.zip" href="model.zip?{escape(urlencode(asked, safe=","))}">'
        f"Download the model<small>model.zip: {holds}</small></a>"
        f'<div class="pp-code"><pre tabindex="0" aria-label="Python that makes this model"><code>{lines}</code></pre>'
        '<button type="button" class="pp-copy" onclick="navigator.clipboard?.writeText('
        "this.previousElementSibling.textContent).then(() => { this.textContent = 'Copied'; })"
        '">Copy</button></div>'
    )


def drawings(pictures: np.ndarray) -> str:
    """Pictures uint8 `[N, H, W, 1]` that a model drew, enlarged to be seen."""
    times = -(-PICTURE_PIXELS // pictures.shape[2])
    shown = (
        f'<img alt="drawing {number}" src="data:image/png;base64,{_png(picture.repeat(times, 0).repeat(times, 1))}">'
        for number, picture in enumerate(pictures[..., 0], start=1)
    )
    return f'<div class="pp-drawings">{"".join(shown)}</div>'


def _png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _count(number: float) -> str:
    return f"{number / 1e6:.3g} million" if number >= 1e6 else f"{number:,.0f}"


def _bytes(number: float) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.0f} kB"
