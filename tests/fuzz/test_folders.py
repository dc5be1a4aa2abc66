"""Folders of projectors and models that were damaged or forged are refused in one line, or mean what they meant.

What is resealed has a manifest that fits, written by the project's own code. What makes another folder that could be,
such as other class names or another mean, is left out: a checksum is no signature.
"""

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import event, given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save
from timm.models.vision_transformer import VisionTransformer

from makers import is_one_short_line, shaken, within_limits
from projpipe.commands.main import main
from projpipe.errors import InputError
from projpipe.manifest import MANIFEST, manifest_bytes
from projpipe.objectives import Classification, ImageModeling, Objective
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source
from projpipe.projection.write import TENSORS
from projpipe.transformer.timm_folder import CONFIG, WEIGHTS, load_timm_folder, save_timm_folder

KINDS = ("classifier", "experts", "images")
NESTED: Any = json.loads("[" * 30 + "]" * 30)
VALUES = [None, True, False, -1, 0, 3, 10**9, 10**30, -0.5, 1e300, nan, inf, -inf, "", "x", "token", "avg", "gelu_tanh"]
VALUES += [[], {}, [[]], {"a": 1}, [1], ["x"], [0] * 1000, "x" * 10_000, NESTED, "image_modeling"]
SHAPES = [[0], [-1], [2**40, 2**40], [10**9], [], [1.5], "x", None]
OFFSETS = [[0, 0], [0, 2**60], [-4, 4], [4, 0], [], "x"]


@dataclass(frozen=True)
class Folder:
    """A folder as it should be, a command that reads it, and what that command gives."""

    path: Path
    command: Callable[[Path, Path], list[str]]  # of the folder, and of a path to write to
    expected: object

    @property
    def tensors(self) -> str:
        return TENSORS if (self.path / TENSORS).exists() else WEIGHTS


def generate(names: str) -> Callable[[Path, Path], list[str]]:
    return lambda folder, out: ["generate", str(folder), "--classes", names, "--out", str(out)]


def sample(folder: Path, out: Path) -> list[str]:
    return ["sample", str(folder), "--out", f"{out}.png", "--count", "2"]


def predict(folder: Path, out: Path) -> list[str]:
    return ["predict", str(folder), str(folder.parent / "picture.png"), "--json"]


@pytest.fixture
def folders(
    source: Source,
    objective: Classification,
    decoder_source: Source,
    modeling: ImageModeling,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Folder]:
    """By kind, a projector and a model of it."""
    root = tmp_path_factory.mktemp("pristine")
    plain = Conditioning(experts=0, film=True, task_embed_dim=8)
    experts = Conditioning(experts=3, film=True, task_embed_dim=8)
    digits = {"classes": [str(digit) for digit in range(10)], "groups": ["low"] * 5 + ["high"] * 5, "inverted": False}
    letters = {"classes": ["a", "b", "c", "d"], "held_out_classes": ["d"], "inverted": False}
    picture = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    made = {}

    def add(kind: str, of: Source, terms: Conditioning, what: Objective, data: dict[str, Any], names: str) -> None:
        student = of.spec.student(8, min(2, of.spec.depth), 2, 1.0)
        operator = shaken(ProjectionOperator(of, student, terms, 0, class_map=bool(terms.experts)))
        teacher = {"architecture": "vit", "params": 9999, "metric": what.metric.name, "score": {"test": 0.5}}
        provenance = {"teacher": teacher, "seed": 0, "validation_score": 0.4, "versions": {"torch": "2"}}
        projector = Projector(operator, what, {"name": "tiny", **data}, provenance)
        projector.save(root / kind / "projector", compact=bool(terms.experts))
        Image.fromarray(picture).save(root / kind / "picture.png")
        for name in ("projector", "model"):
            path = root / kind / name
            command = generate(names) if name == "projector" else (sample if what.samples else predict)
            out = root / kind / ("model" if name == "projector" else "out")
            made[f"{kind} {name}"] = Folder(path, command, answer(command(path, out), out))

    add("classifier", source, plain, objective, digits, "1,7,4")
    add("experts", source, experts, objective, digits, "1,7,4")
    add("images", decoder_source, plain, modeling, letters, "b,c")
    return made


def answer(arguments: list[str], out: Path) -> object:
    """What a command gives: what it writes, or says."""
    result = run(arguments)
    assert result.exit_code == 0, result.output
    if arguments[0] == "generate":
        return [(out / name).read_bytes() for name in (CONFIG, WEIGHTS)]
    return Path(f"{out}.png").read_bytes() if arguments[0] == "sample" else json.loads(result.stdout)[0]["predictions"]


def run(arguments: list[str]) -> Result:
    return CliRunner().invoke(main, arguments)


def check(folder: Folder, changed: Path) -> None:
    """The command and `inspect`, on a copy that was changed, refuse it in one line, or give what they gave."""
    out = changed.parent / "out"
    for arguments in (folder.command(changed, out), ["inspect", str(changed)]):
        with within_limits():
            result = run(arguments)
        event(f"{arguments[0]}: {'refused' if result.exit_code else 'same'}")
        if result.exit_code:
            assert result.exit_code == 2, result.exc_info
            *usage, line = result.output.splitlines()
            assert line.startswith("Error: ")
            assert is_one_short_line(line.removeprefix("Error: "))
            assert not usage or usage[0].startswith("Usage: ")
        elif arguments[0] != "inspect":
            shutil.rmtree(out, ignore_errors=True)
            assert answer(arguments, out) == folder.expected


@contextmanager
def copied(folder: Folder, tmp_path: Path) -> Iterator[Path]:
    """A copy of a folder, with the picture beside it."""
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    shutil.copytree(folder.path.parent, tmp_path / "case")
    yield tmp_path / "case" / folder.path.name


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << position % 8
    path.write_bytes(content)


def truncate(path: Path, position: int) -> None:
    path.write_bytes(path.read_bytes()[: position % path.stat().st_size])


def append(path: Path, position: int) -> None:
    path.write_bytes(path.read_bytes() + position.to_bytes(8, "little"))


def replaced(make: Callable[[Path], object]) -> Callable[[Path, int], None]:
    def replace(path: Path, position: int) -> None:
        path.unlink()
        make(path)

    return replace


DAMAGES = {
    "flip": flip,
    "truncate": truncate,
    "append": append,
    "missing": replaced(lambda path: None),
    "folder": replaced(Path.mkdir),
    "pipe": replaced(os.mkfifo),
    "device": replaced(lambda path: path.symlink_to("/dev/zero")),
    "dangling link": replaced(lambda path: path.symlink_to("nowhere")),
    "link to itself": replaced(lambda path: path.symlink_to(path.name)),
}


@pytest.mark.parametrize("what", ["projector", "model"])
@given(
    kind=st.sampled_from(KINDS),
    damage=st.sampled_from(sorted(DAMAGES)),
    chosen=st.integers(0, 3),
    position=st.integers(0, 2**20),
)
def test_a_damaged_folder(
    what: str,
    kind: str,
    damage: str,
    chosen: int,
    position: int,
    folders: dict[str, Folder],
    tmp_path: Path,
) -> None:
    folder = folders[f"{kind} {what}"]
    with copied(folder, tmp_path) as changed:
        files = sorted(changed.iterdir())
        DAMAGES[damage](files[chosen % len(files)], position)
        check(folder, changed)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to every value within a value of JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*place, key)
        yield from places(item, (*place, key))


@st.composite
def edited(draw: st.DrawFn, described: Any) -> Any:
    """JSON of which one value is another, is missing, or has another one beside it."""
    place = draw(st.sampled_from(list(places(described))))
    changed = copy.deepcopy(described)
    *keys, last = place
    inner = changed
    for key in keys:
        inner = inner[key]
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    if how == "replace":
        value = draw(st.sampled_from(VALUES))
        inner[last] = inner[last] if could_be(place, value) else value
    elif how == "remove" and not (place[0] in ("data", "classes") and isinstance(last, int)):
        del inner[last]
    elif isinstance(inner, dict):
        inner["surplus"] = draw(st.sampled_from(VALUES))
    return changed


def could_be(place: tuple[Any, ...], value: Any) -> bool:
    """Whether this value makes a folder that could be, and is another."""
    if place[-1] in ("inverted", "swapped"):
        return isinstance(value, bool)
    return place[:2] in (("objective", "mean"), ("objective", "std")) and value in (0, 3) and len(place) == 3


@st.composite
def edited_tensors(draw: st.DrawFn, content: bytes) -> bytes:
    """A safetensors file of which a tensor is another, is missing, or has another one beside it."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = draw(st.sampled_from(sorted(header.keys() - {"__metadata__"})))
    how = draw(
        st.sampled_from(["shape", "offsets", "dtype", "missing", "surplus", "renamed", "number", "flat", "cast"])
    )
    if how in ("shape", "offsets", "dtype"):
        values = {"shape": SHAPES, "data_offsets": OFFSETS, "dtype": ["F64", "I32", "F8_E4M3", "x", None]}
        key = "data_offsets" if how == "offsets" else how
        header[name][key] = draw(st.sampled_from(values[key]))
        written = json.dumps(header).encode()
        return len(written).to_bytes(8, "little") + written + body
    tensors = load(content)
    if how == "number":
        if tensors[name].numel():
            tensors[name].view(-1)[draw(st.integers(0, tensors[name].numel() - 1))] = draw(
                st.sampled_from([nan, inf, -inf])
            )
    elif how == "missing":
        del tensors[name]
    elif how == "surplus":
        tensors[f"{name}.more"] = torch.zeros(draw(st.sampled_from([0, 1, 1000])))
    elif how == "renamed":
        tensors[draw(st.sampled_from(["x", f"{name}\n", name.upper(), "x" * 5000]))] = tensors.pop(name)
    elif how == "flat":
        tensors[name] = tensors[name].flatten()[None]
    else:
        tensors[name] = tensors[name].to(draw(st.sampled_from([torch.float64, torch.float16, torch.int64, torch.bool])))
    return save(tensors)


def load(content: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load as load_bytes

    return load_bytes(content)


def seal(folder: Path, described: dict[str, Any]) -> None:
    """Write a manifest that fits the files of a folder."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}
    (folder / MANIFEST).write_bytes(manifest_bytes("model" if CONFIG in files else "projector", described, files))


@pytest.mark.parametrize("what", ["projector", "model"])
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_a_resealed_folder(
    what: str, data: st.DataObject, kind: str, folders: dict[str, Folder], tmp_path: Path
) -> None:
    folder = folders[f"{kind} {what}"]
    with copied(folder, tmp_path) as changed:
        manifest = json.loads((changed / MANIFEST).read_text())
        described = {key: value for key, value in manifest.items() if key not in ("format", "kind", "sha256")}
        part = data.draw(st.sampled_from([MANIFEST, MANIFEST, folder.tensors, *([CONFIG] * (what == "model"))]))
        if part == MANIFEST:
            described = data.draw(edited(described))
        elif part == CONFIG:
            config = data.draw(edited(json.loads((changed / CONFIG).read_text())))
            (changed / CONFIG).write_text(json.dumps(config))
        else:
            (changed / part).write_bytes(data.draw(edited_tensors((changed / part).read_bytes())))
        seal(changed, described)
        check(folder, changed)


@given(data=st.data())
def test_a_teacher_of_another_config_or_of_other_tensors(
    data: st.DataObject, teacher: VisionTransformer, images: torch.Tensor, tmp_path: Path
) -> None:
    folder = tmp_path / "teacher"
    teacher.pretrained_cfg = {**teacher.pretrained_cfg, "input_size": (1, 8, 8), "fixed_input_size": True}
    save_timm_folder(teacher, folder)
    if data.draw(st.booleans()):
        config = data.draw(edited(json.loads((folder / CONFIG).read_text())))
        (folder / CONFIG).write_text(json.dumps(config))
    else:
        (folder / WEIGHTS).write_bytes(data.draw(edited_tensors((folder / WEIGHTS).read_bytes())))
    with within_limits(), suppress(InputError):
        loaded = load_timm_folder(folder)
        with torch.no_grad():
            assert torch.equal(loaded(images), teacher(images))
