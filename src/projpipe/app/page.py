"""The page as Gradio's blocks: what stands where, and what follows from what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from projpipe.app import markup
from projpipe.app.loaded import BY_LATENCY, BY_SIZE, LoadedProjector
from projpipe.errors import InputError

STYLE, SCRIPT = (Path(__file__).with_name(name) for name in ("style.css", "page.js"))
OLDEST = 3600  # seconds that an uploaded picture is kept
MOST_DRAWN = 64
SLIDER = {BY_SIZE: "From small to large", BY_LATENCY: "From fast to slow"}
SMALL, TEACHER = "The small model", "The teacher"
WAITS, WAITS_FOR_CLASSES = "waits for a picture", "waits for classes"
SYSTEM_FONTS = ["ui-sans-serif", "system-ui", "sans-serif"]  # nothing is fetched from elsewhere
MONOSPACE = ["ui-monospace", "Consolas", "monospace"]
THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.sky,
    neutral_hue=gr.themes.colors.gray,
    radius_size=gr.themes.sizes.radius_lg,
    font=SYSTEM_FONTS,
    font_mono=MONOSPACE,
).set(slider_color="#0068a3", slider_color_dark="#6cb6ff", color_accent="#0068a3")


def path_of(payload: ImageData | None) -> str | None:
    """The path of an upload, which Gradio has checked to be one: what is wrong with it is said by what reads it."""
    return None if payload is None else payload.path


class Page:
    """What the page answers. It keeps nothing of what it was asked: all is in the question.

    `classes`, `by` and `position` are a model's: its classes, what the slider is of, and where it stands.
    """

    def __init__(self, loaded: LoadedProjector) -> None:
        self.loaded = loaded

    def describe(self, classes: Sequence[str], by: str, position: float, onnx: bool) -> tuple[str, str]:
        """Facts of a model, and how it is taken along."""
        if not self._can_make(classes):
            return markup.refusal(self._too_few), ""
        size = self.loaded.size_at(position, by)
        return markup.facts(self.loaded, classes, size, by), markup.take_along(self.loaded, classes, size, onnx)

    def _can_make(self, classes: Sequence[str]) -> bool:
        """Whether there is a model of these classes."""
        try:
            self.loaded.projector.class_ids(classes)
        except InputError:
            return False
        return True

    def resize(
        self, classes: Sequence[str], by: str, position: float, onnx: bool, path: str | None
    ) -> tuple[str, str, str]:
        """What `describe` says, and what the small model says of a picture; the teacher is the same."""
        return *self.describe(classes, by, position, onnx), self.ask_student(classes, by, position, path)

    def rename(
        self, classes: Sequence[str], by: str, position: float, onnx: bool, path: str | None
    ) -> tuple[str, str, str, str]:
        """All that other classes change."""
        return *self.resize(classes, by, position, onnx, path), self.ask_teacher(classes, path)

    def look(self, classes: Sequence[str], by: str, position: float, path: str | None) -> tuple[str, str]:
        """What the small model and the teacher say of a picture."""
        return self.ask_student(classes, by, position, path), self.ask_teacher(classes, path)

    def ask_student(self, classes: Sequence[str], by: str, position: float, path: str | None) -> str:
        """What the small model says of a picture, or why it cannot."""
        if path is None:
            return markup.empty_answer(SMALL, WAITS)
        if not self._can_make(classes):
            return markup.empty_answer(SMALL, WAITS_FOR_CLASSES)
        try:
            student = self.loaded.projector.student(classes, size=self.loaded.size_at(position, by))
            said = self.loaded.ask_student(student, self.loaded.read_picture(Path(path)))
        except InputError as error:
            return markup.refusal(str(error))
        return markup.answer(SMALL, classes, said)

    def ask_teacher(self, classes: Sequence[str], path: str | None) -> str:
        """What the teacher says of a picture; nothing where the small model's place says what is wrong."""
        if path is None:
            return markup.empty_answer(TEACHER, WAITS)
        if not self._can_make(classes):
            return markup.empty_answer(TEACHER, WAITS_FOR_CLASSES)
        try:
            said = self.loaded.ask_teacher(classes, self.loaded.read_picture(Path(path)))
        except InputError:
            return ""
        overall = f" · of all {len(self.loaded.projector.classes)} classes: {markup.readable(said.overall or '')}"
        return markup.answer(TEACHER, classes, said, overall)

    def reorder(self, classes: Sequence[str], by: str, position: float) -> tuple[object, str]:
        """The slider at the size where it was before it slid by `by`, and the facts of that size."""
        before = BY_SIZE if by == BY_LATENCY else BY_LATENCY
        there = self.loaded.position(self.loaded.size_at(position, before), by)
        slider = gr.update(label=SLIDER[by]) if there == position else gr.update(label=SLIDER[by], value=there)
        return slider, self.describe(classes, by, there, onnx=False)[0]

    def add_group(self, classes: Sequence[str], group: str | None) -> tuple[list[str], None]:
        """Classes with those of a group added, and no group chosen."""
        members = self.loaded.projector.group(group) if group else []
        return [*classes, *(name for name in members if name not in classes)], None

    def draw(self, classes: Sequence[str], by: str, position: float, count: float, seed: float) -> str:
        """Pictures that a model draws."""
        try:
            student = self.loaded.projector.student(classes, size=self.loaded.size_at(position, by))
            return markup.drawings(student.sample(max(1, min(MOST_DRAWN, int(count))), max(0, int(seed or 0))))
        except (InputError, FloatingPointError) as error:
            return markup.refusal(str(error))

    @property
    def _too_few(self) -> str:
        fewest = self.loaded.projector.objective.fewest_classes
        return "Pick two or more classes to tell apart." if fewest > 1 else "Pick at least one class to draw."


def build(loaded: LoadedProjector) -> gr.Blocks:
    """The page for a projector."""
    page = Page(loaded)
    with gr.Blocks(title="projpipe", analytics_enabled=False, delete_cache=(OLDEST // 6, OLDEST)) as blocks:
        gr.HTML(markup.heading(loaded))
        with gr.Row(equal_height=False, elem_id="columns"):
            with gr.Column():
                classes = _classes(page)
                by, position, facts = _size(page)
            with gr.Column():
                model = [classes, by, position]
                picture, answers = (None, []) if loaded.draws else _picture(page)
                if picture is None:
                    _drawing(page, model)
                onnx, take = _take_along(page)
        _after([by.input], page.reorder, model, [position, facts])
        _after([onnx.change], page.describe, [*model, onnx], [facts, take])
        if picture is None:
            _after([classes.change, position.change], page.describe, [*model, onnx], [facts, take])
        else:
            _after([position.change], page.resize, [*model, onnx, picture], [facts, take, answers[0]])
            _after([classes.change], page.rename, [*model, onnx, picture], [facts, take, *answers])
            _after([picture.change], page.look, [*model, picture], answers)
    return blocks


def _after(events: list[Any], answer: Callable[..., object], question: list[Any], shown: list[Any]) -> None:
    """Have an answer shown after events, at once and without a sign of waiting; of many, that to the last is."""
    gr.on(
        events,
        answer,
        question,
        shown,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="always_last",
    )


def _classes(page: Page) -> gr.Dropdown:
    """The list of classes, and that of their groups."""
    loaded = page.loaded
    gr.HTML(markup.step(1, "Pick classes"))
    ordered = sorted(loaded.projector.classes, key=loaded.group_of)
    labels = [(_label(name, loaded.group_of(name)), name) for name in ordered]
    classes = gr.Dropdown(
        labels, value=loaded.first_classes, multiselect=True, label="Classes (type to search)", elem_id="classes"
    )
    if loaded.groups:
        groups = [(markup.readable(name), name) for name in loaded.groups]
        group = gr.Dropdown(groups, value=None, label="Add a whole group", elem_id="group")
        _after([group.input], page.add_group, [classes, group], [classes, group])
    return classes


def _label(name: str, group: str) -> str:
    within = group and not name.startswith(f"{group}/")
    return markup.readable(f"{name} · {group}" if within else name)


def _size(page: Page) -> tuple[gr.Radio, gr.Slider, gr.HTML]:
    """What the slider is of, the slider, and what the size amounts to."""
    loaded = page.loaded
    gr.HTML(markup.step(2, "Choose a size"))
    sizes = loaded.sizes(BY_SIZE)
    several = len(sizes) > 1
    start = loaded.position(loaded.projector.recommended, BY_SIZE)
    by = gr.Radio([BY_SIZE, BY_LATENCY], value=BY_SIZE, label="Slide by", elem_id="by", visible=several)
    position = gr.Slider(
        0,
        max(1, len(sizes) - 1),
        start,
        step=1,
        label=SLIDER[BY_SIZE],
        elem_id="position",
        visible=several,
        buttons=[],
    )
    described, _ = page.describe(loaded.first_classes, BY_SIZE, start, onnx=False)
    return by, position, gr.HTML(described, elem_id="facts")


def _picture(page: Page) -> tuple[gr.Image, list[gr.HTML]]:
    """The place for a picture, and those for what the two models say of it."""
    gr.HTML(markup.step(3, "Show it a picture"))
    picture = gr.Image(
        label="Picture",
        placeholder="Drop a picture here, or click to choose one",
        elem_id="picture",
        height=230,
        buttons=[],
        sources=["upload", "webcam", "clipboard"],
        alt_text="The picture that is classified",
    )
    picture.preprocess = path_of  # type: ignore[method-assign]  # for a class of ours Gradio writes a .pyi
    with gr.Row(elem_id="examples"):
        for path in page.loaded.examples:
            example = gr.Button(path.stem, icon=path, size="sm", min_width=0)
            _after([example.click], partial(str, path), [], [picture])
    with gr.Row(elem_id="answers"):
        return picture, [
            gr.HTML(page.ask_student([], BY_SIZE, 0, None), elem_id="small"),
            gr.HTML(page.ask_teacher([], None), elem_id="teacher"),
        ]


def _drawing(page: Page, model: list[Any]) -> None:
    """What draws, and what was drawn."""
    gr.HTML(markup.step(3, "Let it draw"))
    with gr.Row():
        count = gr.Slider(1, MOST_DRAWN, 16, step=1, label="How many", elem_id="count", buttons=[])
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
    button = gr.Button("Draw", variant="primary", elem_id="draw")
    drawn = gr.HTML(markup.hint("The same seed draws the same pictures."), elem_id="drawn")
    button.click(page.draw, [*model, count, seed], drawn, api_visibility="private", show_progress="minimal")


def _take_along(page: Page) -> tuple[gr.Checkbox, gr.HTML]:
    """What makes the zip, and the link to it."""
    loaded = page.loaded
    gr.HTML(markup.step(4, "Take it along"))
    onnx = gr.Checkbox(label="with an ONNX file (takes some seconds)", elem_id="onnx", visible=_has_onnx(loaded))
    _, take = page.describe(
        loaded.first_classes, BY_SIZE, loaded.position(loaded.projector.recommended, BY_SIZE), False
    )
    return onnx, gr.HTML(take, elem_id="take")


def _has_onnx(loaded: LoadedProjector) -> bool:
    from importlib.util import find_spec

    return not loaded.draws and all(map(find_spec, ("onnx", "onnxruntime", "onnxscript")))
