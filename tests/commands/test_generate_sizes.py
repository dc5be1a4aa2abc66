"""`projpipe generate` makes models of the size that is asked for, and 8-bit weights of them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from click.testing import Result

from projpipe import load_projector
from projpipe.commands import generate
from projpipe.manifest import MANIFEST, TENSORS, manifest_bytes
from projpipe.projection.projector import Projector
from projpipe.students.elapsed import Elapsed
from projpipe.students.limits import Limits
from projpipe.students.student import load_student

Command = Callable[..., Result]


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("asked", "said", "shape"),
    [
        ([], "3 classes, 12x1x2x12, 1,311 parameters", (12, 1, 2, 12)),
        (["--size", "12x2"], "3 classes, 12x2x2x18, 2,595 parameters", (12, 2, 2, 18)),
        (["--size", "8x2x2x10"], "3 classes, 8x2x2x10, 1,215 parameters, made in ", (8, 2, 2, 10)),
        (["--max-parameters", "1k"], "3 classes, 8x1x2x8, 683 parameters, made in ", (8, 1, 2, 8)),
        (["--max-macs", "1M", "--max-parameters", "2.5k"], "3 classes, 12x1x2x12, 1,311 parameters", (12, 1, 2, 12)),
        (
            ["--max-latency", "5s", "--batch", "4", "--threads", "1"],
            " ms a forward pass (1 thread, batches of 4)\n",
            (12, 1, 2, 12),
        ),
    ],
)
def test_a_projector_of_many_sizes_makes_the_one_that_is_asked_for_or_recommended(
    asked: list[str], said: str, shape: tuple[int, ...], many: Path, projpipe: Command
) -> None:
    out = many.parent / "one"
    result = projpipe("generate", many, "--classes", "Sneaker,Bag,Coat", *asked, "--out", out)
    assert result.exit_code == 0, result.output
    assert said in result.output
    made = load_student(out).spec
    assert (made.embed_dim, made.depth, made.num_heads, made.mlp_dim) == shape
    assert len(timm.create_model(f"local-dir:{out}", pretrained=True).blocks) == shape[1]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--size", "24"], "size: '24' is no size; write width x depth as 24x2"),
        (
            ["--size", "24x2"],
            "size: embed_dim 24 is above the 12 of the largest; the nearest of those from 8x1x2x8 to ",
        ),
        (["--size", "12x1", "--max-macs", "1M"], "size: is one size, and limits choose among them"),
        (["--max-parameters", "10"], "max-parameters: no size has 10 or fewer; the least is 674, of 8x1x2x8"),
        (["--max-macs", "1"], "max-macs: no size has 1 or fewer; the least is 2,848, of 8x1x2x8"),
        (["--max-latency", "2"], "max-latency: '2' is no time; write it with its unit, as 500us, 2ms or 1s"),
        (["--max-latency", "1us"], "with 3% to spare, 1 thread and batches of 1; the fastest takes 0."),
        (["--batch", "4"], "batch, threads: say how max-latency is measured; give it too, or leave them out"),
        (["--size", "12x1", "--threads", "1"], "batch, threads: say how max-latency is measured"),
        (["--max-latency", "1s", "--threads", "0"], "threads: 0 is not in 1..1024"),
    ],
)
def test_a_size_or_a_limit_that_cannot_be_met_is_refused_in_one_line(
    asked: list[str], message: str, many: Path, projpipe: Command
) -> None:
    result = projpipe("generate", many, "--classes", "Sneaker,Bag", *asked, "--out", many.parent / "one")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert message in result.stderr
    assert [path.name for path in many.parent.iterdir()] == ["many"]


def test_a_projector_of_one_size_makes_that_one_and_says_how_to_get_others(folder: Path, projpipe: Command) -> None:
    asked = ["generate", folder, "--classes", "Sneaker,Bag", "--out", folder.parent / "one"]
    assert ": 2 classes, 12x2x2x18, 2,5" in projpipe(*asked, "--size", "12x2").output
    refused = projpipe(*asked, "--force", "--size", "8x1")
    assert refused.exit_code == 2
    assert "size: this projector makes one size, 12x2x2x18; train one" in refused.stderr
    refused = projpipe(*asked, "--force", "--max-parameters", "2000")
    assert "max-parameters: no size has 2,000 or fewer; the least is 2,5" in refused.stderr


def test_all_tasks_of_a_table_get_one_size_the_one_for_the_most_classes(many: Path, projpipe: Command) -> None:
    table, out = many.parent / "tasks.csv", many.parent / "models"
    table.write_text('name,classes\n2,"Sneaker,Bag"\n4,"Sneaker,Bag,Coat,Größe"\n')
    largest = load_projector(many).operator.spec
    limit = largest.resized(12, 1, 2, 12).deployed_params(3)  # the recommended size is within it for two classes alone
    result = projpipe("generate", many, "--tasks", table, "--max-parameters", limit, "--out", out)
    assert result.exit_code == 0, result.output
    params = largest.resized(8, 1, 2, 8).deployed_params(4)
    assert result.output.endswith(f": 2 models, 8x1x2x8, at most {params:,} parameters each\n")
    assert {load_student(out / name).spec.embed_dim for name in "24"} == {8}
    refused = projpipe("generate", many, "--tasks", table, "--max-parameters", 10, "--out", many.parent / "none")
    assert (refused.exit_code, refused.stderr.count("the least is 692")) == (2, 1)


def test_tasks_that_go_on_keep_their_size_whatever_is_measured_then(
    many: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = many.parent / "tasks.csv", many.parent / "models"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n1,"Coat,Bag"\n')
    asked = ["generate", many, "--tasks", table, "--out", out, "--max-latency", "1s"]
    write, written = generate._write, []

    def write_one(*arguments: Any) -> Any:
        if written:
            raise KeyboardInterrupt
        written.append(arguments)
        return write(*arguments)

    monkeypatch.setattr(generate, "_write", write_one)
    assert projpipe(*asked).exit_code != 0
    monkeypatch.setattr(generate, "_write", write)
    takes = {12: (2000.0, 700.0), 8: (1.0, 1.0)}  # what was chosen is too slow by now

    def latency(self: Projector, classes: Any, size: Any, *more: Any, **options: Any) -> Elapsed:
        by_clock, undisturbed = takes[size.embed_dim]
        return Elapsed(median_ms=by_clock, undisturbed_ms=undisturbed)

    monkeypatch.setattr(Projector, "latency", latency)
    result = projpipe(*asked)
    assert result.exit_code == 0, result.output
    assert "2 models, 12x1x2x12, " in result.output
    assert "; 700 to 2e+03 ms a forward pass" in result.output
    assert {load_student(out / name).spec.embed_dim for name in "01"} == {12}

    other = [*asked[:-1], "2s"]
    assert projpipe(*other, "--force").output.count("2 models, 8x1x2x8, ") == 1
    said = json.loads(projpipe(*asked, "--force", "--json").output)
    assert (said["latency_ms"], said["undisturbed_ms"]) == (1.0, 1.0)


def test_what_is_left_of_another_size_is_not_gone_on_with(many: Path, projpipe: Command) -> None:
    table, out = many.parent / "tasks.csv", many.parent / "models"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n')
    keys = set()
    for asked in ([], ["--size", "8x1"], ["--max-macs", "1M"], ["--quantize", "int8"], ["--onnx"]):
        options = {"--size": None, "--max-macs": None} | dict(zip(asked[::2], asked[1::2], strict=False))
        limits = Limits.of(size=options["--size"], max_macs=options["--max-macs"])
        keys.add(generate._key(many, table, limits, generate._Files("--onnx" in asked, "--quantize" in asked)))
    (many / "sizes.json").unlink()
    keys.add(generate._key(many, table, Limits(), generate._Files(False, False)))
    assert len(keys) == 6
    assert projpipe("generate", many, "--tasks", table, "--out", out).exit_code == 0


def test_int8_is_written_and_its_difference_is_said(folder: Path, images: torch.Tensor, projpipe: Command) -> None:
    import onnxruntime

    asked = ["generate", folder, "--classes", "Sneaker,Bag", "--quantize", "int8", "--out"]
    one, two, out = (folder.parent / name for name in ("one", "two", "both"))
    result = projpipe(*asked, one)
    assert result.exit_code == 0, result.output
    said = float(re.search(r"; logits of model.int8.onnx differ by up to (\S+)\n", result.output)[1])
    names = {"README.md", "config.json", "manifest.json", "model.safetensors", "model.int8.onnx"}
    assert set(files_below(one)) == names
    session = onnxruntime.InferenceSession(str(one / "model.int8.onnx"))
    model = timm.create_model(f"local-dir:{one}", pretrained=True).eval()
    (logits,) = session.run(["logits"], {"image": images.numpy()})
    found = (torch.from_numpy(logits) - model(images)).abs().max().item()
    assert 0 < found < 5 * said
    assert 0 < said < model(images).std()

    assert projpipe(*asked, two).exit_code == 0
    assert files_below(one) == files_below(two)
    table = folder.parent / "tasks.csv"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n')
    many = ["generate", folder, "--tasks", table, "--out", out]
    assert "; logits of model.int8.onnx differ by up to " in projpipe(*many, "--quantize", "int8", "--onnx").output
    assert set(files_below(out / "0")) == {*names, "model.onnx"}
    assert files_below(out / "0")["model.int8.onnx"] == files_below(one)["model.int8.onnx"]
    assert projpipe(*many, "--force").exit_code == 0  # what it wrote is its own, to be replaced


def test_sizes_that_contradict_each_other_are_refused_with_the_file_that_says_so(many: Path, projpipe: Command) -> None:
    manifest = json.loads((many / MANIFEST).read_text())
    described = {name: value for name, value in manifest.items() if name not in ("format", "kind", "sha256")}
    described["smallest"]["patch_size"] *= 2
    (many / MANIFEST).write_bytes(manifest_bytes("projector", described, {TENSORS: (many / TENSORS).read_bytes()}))
    result = projpipe("generate", many, "--classes", "Sneaker,Bag", "--out", many.parent / "one")
    assert result.exit_code == 2
    assert f"Error: {many / MANIFEST}: smallest: is no size of the student; train it again with" in result.stderr
