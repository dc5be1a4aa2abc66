"""`projpipe measure` measures the sizes of a projector anew, and changes nothing else of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result

from makers import elastic
from projpipe import load_projector
from projpipe.machine import processor
from projpipe.manifest import SIZES
from projpipe.projection.projector import Projector
from projpipe.students.elapsed import Elapsed

Command = Callable[..., Result]
BUSY = "Other programs ran meanwhile: latency is a range, from what leaves them out to what the clock said."


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_latencies_are_measured_and_written_and_all_else_stays(many: Path, projpipe: Command) -> None:
    before, files = load_projector(many).size_table, files_of(many)
    result = projpipe("measure", many, "--batch", 4)
    assert result.exit_code == 0, result.output
    assert {*result.stderr.splitlines()} <= {BUSY}  # no bar, and no label of one, where nobody looks
    assert "Latency of 4 images with 1 thread on " in result.stdout
    after = load_projector(many).size_table
    assert (after.batch, after.threads, after.machine) == (4, 1, processor())
    assert after.versions == {
        "projpipe": version("projpipe"),
        "torch": version("torch"),
        "timm": version("timm"),
    }
    assert all(0.05 < size.latency_ms < 1000 for size in after.sizes)
    assert [size.latency_ms for size in after.sizes] != [size.latency_ms for size in before.sizes]
    same = {name: getattr(before, name) for name in ("batch", "threads", "machine", "versions", "sizes")}
    assert replace(after, **same) == before
    zero = Elapsed(median_ms=0, undisturbed_ms=0)
    assert [size.timed(zero) for size in after.sizes] == [size.timed(zero) for size in before.sizes]
    assert {name: content for name, content in files_of(many).items() if name != SIZES} == {
        name: content for name, content in files.items() if name != SIZES
    }
    again = json.loads(projpipe("measure", many, "--json").stdout)
    assert (again["batch"], again["threads"]) == (4, 1)  # as before, where nothing is said
    assert again == json.loads((many / SIZES).read_text())


def test_every_size_is_measured_with_as_many_classes_as_the_table_is_of(
    many: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def latency(self: Projector, classes: list[str], size: object, batch: int, threads: int, onnx: bool) -> Elapsed:
        seen.append((classes, size, threads))
        return Elapsed(median_ms=0.1235, undisturbed_ms=0.1234)

    monkeypatch.setattr(Projector, "latency", latency)
    assert projpipe("measure", many, "--threads", 2).exit_code == 0
    loaded = load_projector(many)
    assert seen == [(loaded.classes[:3], size.of(loaded.operator.spec), 2) for size in loaded.size_table.sizes]
    assert {(size.latency_ms, size.undisturbed_ms) for size in loaded.size_table.sizes} == {(0.1235, 0.1234)}


def test_beside_other_programs_latency_is_a_range_where_it_stands(
    many: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "0.1 ms" in projpipe("inspect", many).stdout
    busy = Elapsed(median_ms=3.21, undisturbed_ms=1.05)
    monkeypatch.setattr(Projector, "latency", lambda *arguments, **options: busy)
    result = projpipe("measure", many)
    assert BUSY in result.stderr
    for said in (result.stdout, projpipe("inspect", many).stdout):
        assert said.count("1.05 to 3.21 ms") == 3
    for size in json.loads(projpipe("measure", many, "--json").stdout)["sizes"]:
        assert (size["latency_ms"], size["undisturbed_ms"]) == (3.21, 1.05)


def test_onnx_is_measured_and_not_kept(
    projector: Projector, tmp_path: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    many = elastic(projector)
    table = replace(many.size_table, sizes=many.size_table.sizes[:1], recommended=0)
    replace(many, size_table=table).save(tmp_path)
    threads, session = [], onnxruntime.InferenceSession

    def open_session(path: str, options: object = None, **more: object) -> object:
        threads.append(options and options.intra_op_num_threads)
        return session(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    before = files_of(tmp_path)
    result = projpipe("measure", tmp_path, "--format", "onnx", "--threads", 2, "--json")
    assert result.exit_code == 0, result.output
    assert "in ONNX Runtime; the projector's own table, of timm's models, stays as it is" in result.stderr
    found = json.loads(result.stdout)
    assert found["versions"]["onnxruntime"] == onnxruntime.__version__
    assert 0 < found["sizes"][0]["latency_ms"] != table.sizes[0].latency_ms
    assert threads[-1] == 2
    assert files_of(tmp_path) == before


def test_a_projector_without_a_table_is_refused_and_told_how_to_get_one(folder: Path, projpipe: Command) -> None:
    result = projpipe("measure", folder)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "has no sizes.json to measure; make it with `kedro run --pipelines sweep_students`" in result.stderr


def test_a_table_of_other_weights_is_refused(many: Path, projpipe: Command) -> None:
    described = json.loads((many / SIZES).read_text())
    (many / SIZES).write_text(json.dumps({**described, "weights_sha256": "0" * 64}))
    result = projpipe("measure", many)
    assert result.exit_code == 2
    assert (
        "is of another projector, or of this one before it was trained anew; fetch the projector again" in result.stderr
    )


def test_a_folder_that_cannot_be_written_is_one_line(
    many: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = Elapsed(median_ms=1.0, undisturbed_ms=1.0)
    monkeypatch.setattr(Projector, "latency", lambda *arguments, **options: quiet)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("projpipe.students.size_table.write_atomically", refuse)
    result = projpipe("measure", many)
    assert result.exit_code == 2
    assert "sizes.json: cannot be written (Permission denied); allow it, or copy the folder" in result.stderr
