"""What holds for every command."""

import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

import projpipe
from projpipe.commands.main import main
from projpipe.errors import LONGEST

Command = Callable[..., Result]


@pytest.mark.parametrize("arguments", [["predict", "m", "i", "--top"], ["predict", "m", "i", "--json"], []])
def test_what_click_refuses_is_one_short_line(arguments: list[str]) -> None:
    long = "\x1b[31m" + "x" * 10**5
    result = CliRunner().invoke(main, [*arguments[:-1], f"{arguments[-1]}={long}"] if arguments else [long])
    assert result.exit_code == 2
    usage, _, error = result.stderr.partition("Error: ")
    assert len(usage.splitlines()) <= 3
    assert len(error.rstrip("\n")) <= LONGEST
    assert error.rstrip("\n").isprintable()


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_an_example_in_its_help_and_prints_json(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"]).output
    example = next(line.split() for line in shown.splitlines() if line.strip().startswith(f"projpipe {name}"))
    assert len(example) > 2
    assert ("--json" in shown) == (name != "app")  # which has nothing to print


def test_a_fault_of_ours_is_one_line_and_its_traceback_is_there_for_who_asks(
    model: Path, pictures: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("projpipe.commands.classify.load_student", fail)
    result = projpipe("predict", model, pictures)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: this is a fault of projpipe (RuntimeError: two lines); please report it, with the traceback that "
        "PROJPIPE_DEBUG=1 shows\n"
    )
    monkeypatch.setenv("PROJPIPE_DEBUG", "1")
    assert isinstance(projpipe("predict", model, pictures).exception, RuntimeError)


def test_a_reader_that_has_seen_enough_is_no_fault(
    model: Path, pictures: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*arguments: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("projpipe.commands.output.show", closed)
    result = projpipe("predict", model, pictures)
    assert (result.exit_code, result.output) == (141, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs the system's pipes")
def test_a_pipe_that_is_closed_ends_a_command_as_it_ends_others(model: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    program = "from projpipe.commands.main import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", program, "inspect", model], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_help_inspection_and_refusals_do_not_wait_for_torch(folder: Path, many: Path, model: Path) -> None:
    generate = ["generate", str(folder), "--out", str(folder.parent / "out")]
    table = folder.parent / "tasks.csv"
    table.write_text("name,of\n")
    taken = socket.create_server(("127.0.0.1", 0))
    asked = [
        (["--help"], 0),
        (["finetune", "--help"], 0),
        (["inspect", str(model)], 0),
        (["inspect", str(many), "--json"], 0),
        (["inspect", "nowhere"], 2),
        (["predict", "nowhere", "photos"], 2),
        (["predict", str(folder), "photos"], 2),
        (["predict", str(model), "nowhere"], 2),
        (["sample", str(model), "--out", "drawn.jpg"], 2),
        (["compare", str(model), str(folder), str(folder)], 2),
        (["finetune", str(model), str(folder), "--out", str(model)], 2),
        (["measure", "nowhere"], 2),
        ([*generate, "--classes", "Sneaker,Bagg"], 2),
        ([*generate, "--group", "Grek"], 2),
        ([*generate, "--classes", "Sneaker,Bag", "--size", "large"], 2),
        (["generate", str(folder), "--classes", "Sneaker,Bag", "--out", str(model)], 2),
        ([*generate, "--classes", "Sneaker,Bag", "--size", "99x2"], 2),
        ([*generate, "--classes", "Sneaker,Bag", "--max-parameters", "5"], 2),
        ([*generate, "--support", "nowhere"], 2),
        ([*generate, "--tasks", str(table)], 2),
        (["generate", str(many), "--classes", "Sneaker,Bag", "--size", "99x2", "--out", "new"], 2),
        (["generate", str(many), "--classes", "Sneaker,Bag", "--max-macs", "1", "--out", "new"], 2),
        (["measure", str(folder)], 2),
        (["pack", str(folder), "--out", str(model)], 2),
        (["pack", str(folder), "--out", "new", "--command", "make"], 2),
        (["finetune", str(model), str(folder), "--out", str(folder)], 2),
        (["sample", str(model), "--out", "drawn"], 2),
        (["push", "nope", "me/x"], 2),
        (["app", str(folder), "--port", str(taken.getsockname()[1])], 2),
        (["app", str(folder), "--host", "300.1.1.1"], 2),
        (["predikt"], 2),
    ]
    program = f"""
import sys
from click.testing import CliRunner
from projpipe.commands.main import main
for number, (arguments, code) in enumerate({asked!r}):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, (arguments, result.output)
    assert not {{"torch", "timm", "scipy", "huggingface_hub", "gradio"}} & sys.modules.keys(), arguments
    assert number >= 5 or "numpy" not in sys.modules, arguments  # help and inspect
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    taken.close()
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "asked",
    [
        "generate {} --classes a,b --out new",
        "generate cifar100 --classes a,b --out {}",
        "generate cifar100 --support {} --out new",
        "inspect {}",
        "measure {}",
        "app {}",
        "pack cifar100 --out {}",
        "push {} me/x",
        "predict {} photos",
    ],
)
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_name_is_not_the_folder_that_one_is_in(asked: str, empty: str) -> None:
    result = CliRunner().invoke(main, [one.format(empty) for one in asked.split()])
    assert result.exit_code == 2
    assert re.fullmatch(r"Error: (--out|--support|[A-Z_]+): is empty; name a file or a folder\n", result.stderr)


def test_the_package_lists_what_it_imports_later() -> None:
    assert {"load_projector", "load_student", "Projector", "Student", "__version__"} <= {*dir(projpipe)}


def test_the_classes_of_a_projector_are_completed(folder: Path) -> None:
    shell = BashComplete(main, {}, "projpipe", "_PROJPIPE_COMPLETE")

    def completed(incomplete: str, projector: Path = folder) -> list[str]:
        arguments = ["generate", str(projector), "--classes"]
        return [one.value for one in shell.get_completions(arguments, incomplete)]

    assert completed("Co") == ["Coat"]
    assert completed("Coat,Greek/") == ["Coat,Greek/alpha", "Coat,Greek/beta"]
    assert completed("x") == []
    assert completed("Co", folder / "nowhere") == []


def test_groups_and_what_is_found_by_name_are_completed(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = BashComplete(main, {}, "projpipe", "_PROJPIPE_COMPLETE")
    monkeypatch.setattr("projpipe.places.search_path", lambda: {"here": folder.parent})

    def completed(*asked: str) -> list[tuple[str, str]]:
        return [(one.type, one.value) for one in shell.get_completions([*map(str, asked[:-1])], asked[-1])]

    assert completed("generate", folder, "--group", "Gr") == [("plain", "Greek")]
    assert completed("generate", folder, "--group", "x") == []
    assert completed("generate", "pro") == [("dir", "pro"), ("plain", "projector")]
    assert completed("measure", "") == [("dir", ""), ("plain", "projector")]
    assert completed("predict", "m") == [("dir", "m"), ("plain", "model")]
    assert completed("inspect", "") == [("dir", ""), ("plain", "model"), ("plain", "projector")]
