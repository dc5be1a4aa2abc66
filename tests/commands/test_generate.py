"""`projpipe generate` writes a folder that timm reads, or says what is wrong and writes nothing."""

import copy
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from click.testing import Result

from projpipe.atomic import KEY
from projpipe.commands.task_list import parse_names
from projpipe.lock import locked
from projpipe.manifest import MANIFEST
from projpipe.projection.projector import Projector
from projpipe.projection.write import TENSORS

Command = Callable[..., Result]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("asked", "classes"),
    [
        (["--classes", 'Sneaker,"Bags, small",Größe'], ["Sneaker", "Bags, small", "Größe"]),
        (["--classes", 'a "quote",<b>bold</b>'], ['a "quote"', "<b>bold</b>"]),
        (["--group", "Greek"], ["Greek/alpha", "Greek/beta"]),
    ],
)
def test_the_model_is_what_the_projector_makes_and_timm_reads_it(
    asked: list[str], classes: list[str], folder: Path, projector: Projector, images: torch.Tensor, projpipe: Command
) -> None:
    out = folder.parent / "models" / "one"
    result = projpipe("generate", folder, *asked, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{len(classes)} classes, " in result.output

    loaded = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    assert torch.allclose(loaded(images), projector.generate(classes)(images), atol=1e-6)
    assert loaded.pretrained_cfg["label_names"] == classes
    assert set(files_below(out)) == {"README.md", "config.json", "manifest.json", "model.safetensors"}


def test_classes_may_stand_in_a_file(folder: Path, projpipe: Command) -> None:
    names = folder.parent / "names.txt"
    names.write_text("Bags, small\n\n  Coat \n", encoding="utf-8-sig")
    assert projpipe("generate", folder, "--classes-file", names, "--out", folder.parent / "one").exit_code == 0
    manifest = json.loads((folder.parent / "one/manifest.json").read_text(encoding="utf-8"))
    assert manifest["classes"] == ["Bags, small", "Coat"]


def test_a_table_of_tasks_makes_a_folder_each_and_a_list(
    folder: Path, projector: Projector, images: torch.Tensor, projpipe: Command
) -> None:
    table, out = folder.parent / "tasks.csv", folder.parent / "models"
    table.write_text('name,classes\nshoes & bags,"Sneaker,Bag"\na/b,"""Bags, small"",Coat"\n')
    result = projpipe("generate", folder, "--tasks", table, "--out", out)
    assert result.exit_code == 0, result.output
    with (out / "models.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["name"] for row in listed] == ["shoes & bags", "a/b"]
    for row in listed:
        loaded = timm.create_model(f"local-dir:{out / row['folder']}", pretrained=True).eval()
        expected = projector.generate(parse_names(row["classes"], "models.csv"))
        assert torch.allclose(loaded(images), expected(images), atol=1e-6)


def test_a_projector_whose_models_have_infinite_weights_is_named(
    projector: Projector, tmp_path: Path, projpipe: Command
) -> None:
    wild = copy.deepcopy(projector)
    with torch.no_grad():
        for large in (wild.operator.film.bias, wild.operator.free["fc1_weight"]):  # finite, but their product is not
            large.fill_(3e38)
    wild.save(tmp_path / "wild")
    table = tmp_path / "tasks.csv"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n')
    for asked in (["--classes", "Sneaker,Bag"], ["--classes", "Sneaker,Bag", "--onnx"], ["--tasks", table]):
        result = projpipe("generate", tmp_path / "wild", *asked, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert f"Error: {tmp_path}/wild: makes no model of these classes (" in result.stderr
        assert "infinite or none); train or fetch it again" in result.stderr
        assert not (tmp_path / "out").exists()


STOPPED_AT = """
import os, signal, sys
from projpipe.commands import generate
from projpipe.commands.main import main
write, left = generate._write, int(sys.argv.pop(1))
def write_some(*arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), number)
    left -= 1
    write(*arguments)
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
generate._write, number = write_some, int(sys.argv.pop(1))
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_many_models_go_on_where_they_were_stopped(number: signal.Signals, folder: Path, projpipe: Command) -> None:
    table, out = folder.parent / "tasks.csv", folder.parent / "models"
    names = ["Sneaker,Bag", "Coat,Bag", "Coat,Sneaker", "Größe,Coat"]
    table.write_text("name,classes\n" + "".join(f'{i},"{classes}"\n' for i, classes in enumerate(names)))
    arguments = ["generate", folder, "--tasks", table, "--out"]
    assert projpipe(*arguments, folder.parent / "undisturbed").exit_code == 0

    command = [sys.executable, "-c", STOPPED_AT, "2", str(int(number)), *map(str, [*arguments, out])]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert ended.stderr.endswith("stopped; run the same command again to go on\n")
    assert not out.exists()
    left = folder.parent / ".models.resumable"
    made = {path: path.stat().st_mtime_ns for path in left.glob("*/*")}
    assert {path.parent.name for path in made} == {"0", "1"}

    assert projpipe(*arguments, out).exit_code == 0
    assert files_below(out) == files_below(folder.parent / "undisturbed")
    assert {path: (out / path.relative_to(left)).stat().st_mtime_ns for path in made} == made
    assert not list(folder.parent.glob(".*"))


def test_what_another_command_left_unfinished_is_not_gone_on_with(folder: Path, projpipe: Command) -> None:
    left = folder.parent / ".models.resumable"
    (left / "0").mkdir(parents=True)
    (left / KEY).write_text("that of another")
    (left / "surplus").mkdir()
    table = folder.parent / "tasks.csv"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n')
    assert projpipe("generate", folder, "--tasks", table, "--out", folder.parent / "models").exit_code == 0
    assert not left.exists()
    assert {path.name for path in (folder.parent / "models").iterdir()} == {"0", "models.csv"}


def test_models_that_were_just_replaced_are_not_gone_on_with(folder: Path, projpipe: Command) -> None:
    """A stop before what was replaced is removed leaves it where unfinished ones lie."""
    table, out = folder.parent / "tasks.csv", folder.parent / "models"
    arguments = ["generate", folder, "--tasks", table, "--out", out, "--force"]
    table.write_text('name,classes\n0,"Coat,Bag"\nsurplus,"Coat,Bag"\n')
    assert projpipe(*arguments).exit_code == 0
    shutil.copytree(out, folder.parent / ".models.resumable")
    table.write_text('name,classes\n0,"Sneaker,Bag"\n')
    assert projpipe(*arguments).exit_code == 0
    assert json.loads((out / "0/manifest.json").read_text())["classes"] == ["Sneaker", "Bag"]
    assert not (out / "surplus").exists()


def test_two_commands_do_not_write_the_same_models(folder: Path, projpipe: Command) -> None:
    table, out = folder.parent / "tasks.csv", folder.parent / "models"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n')
    with locked(out, folder.parent / ".models.lock"):
        refused = projpipe("generate", folder, "--tasks", table, "--out", out)
    assert refused.exit_code == 2
    assert "models: is in use by another run" in refused.output


def test_a_table_that_is_a_pipe_is_not_waited_for(folder: Path, projpipe: Command) -> None:
    os.mkfifo(folder.parent / "tasks.csv")
    refused = projpipe("generate", folder, "--tasks", folder.parent / "tasks.csv", "--out", folder.parent / "models")
    assert refused.exit_code == 2
    assert "is no regular file" in refused.output


def test_the_same_command_gives_the_same_bytes(folder: Path, projpipe: Command) -> None:
    for name in ("one", "two"):
        projpipe("generate", folder, "--classes", "Sneaker,Bag", "--out", folder.parent / name)
    assert files_below(folder.parent / "one") == files_below(folder.parent / "two")


def test_onnx_is_written_and_computes_the_same(folder: Path, images: torch.Tensor, projpipe: Command) -> None:
    import onnxruntime

    out = folder.parent / "one"
    result = projpipe("generate", folder, "--classes", "Sneaker,Bag", "--out", out, "--onnx")
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    said = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert said.keys() == {"label_names", "mean", "std", "input_size"}
    assert said == {name: json.loads(json.dumps(model.pretrained_cfg[name])) for name in said}
    assert said["label_names"] == ["Sneaker", "Bag"]
    for batch in (images[:1], images):
        (logits,) = session.run(["logits"], {"image": batch.numpy()})
        assert (torch.from_numpy(logits) - model(batch)).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--classes", "Sneaker,Bagg"], "'Bagg' is not a class of this projector; did you mean 'Bag'"),
        (["--classes", "Sneaker,Sneaker"], "'Sneaker' stands there twice; name it once"),
        (["--classes", "Sneaker"], "must be two or more; add what to tell apart"),
        (["--classes", ""], "must be two or more; add what to tell apart"),
        (["--classes", '"Sneaker,Bag'], "is no list of names"),
        (["--group", "Grek"], "'Grek' is not a group of this projector; did you mean 'Greek'"),
        (["--group", ""], "'' is not a group of this projector; known: Greek"),
        (["--group", "../.."], "'../..' is not a group"),
        ([], "give one of --classes, --classes-file, --group and --tasks"),
        (["--classes", "Sneaker,Bag", "--group", "Greek"], "give one of"),
    ],
)
def test_a_task_that_cannot_be_is_refused_and_nothing_is_written(
    asked: list[str], message: str, folder: Path, projpipe: Command
) -> None:
    result = projpipe("generate", folder, *asked, "--out", folder.parent / "deep" / "one")
    assert result.exit_code == 2
    assert message in result.stderr
    assert [path.name for path in folder.parent.iterdir()] == ["projector"]


def test_a_file_of_names_that_is_no_text_is_refused(folder: Path, projpipe: Command) -> None:
    names = folder.parent / "names.txt"
    names.write_bytes("Größe\nBag".encode("latin-1"))
    result = projpipe("generate", folder, "--classes-file", names, "--out", folder.parent / "one")
    assert result.exit_code == 2
    assert "names.txt is no text in UTF-8" in result.stderr


@pytest.mark.parametrize("out", ["projector/manifest.json/one", "a" * 300, " "])
def test_a_path_that_cannot_be_written_is_refused(out: str, folder: Path, projpipe: Command) -> None:
    result = projpipe(
        "generate", folder, "--classes", "Sneaker,Bag", "--out", folder.parent / out if out.strip() else out
    )
    assert result.exit_code == 2
    assert "--out: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_one_bad_task_of_many_leaves_nothing_behind(folder: Path, projpipe: Command) -> None:
    table = folder.parent / "tasks.csv"
    for second in ('two,"Sneaker,Bagg"', '../two,"Sneaker,Bag"'):
        table.write_text(f'name,classes\none,"Sneaker,Bag"\n{second}\n')
        result = projpipe("generate", folder, "--tasks", table, "--out", folder.parent / "models")
        assert result.exit_code == 2
        assert {path.name for path in folder.parent.iterdir()} == {"projector", "tasks.csv"}


def test_a_folder_that_is_there_is_replaced_only_if_asked_and_only_if_it_holds_models(
    folder: Path, model: Path, projpipe: Command
) -> None:
    asked = ["generate", folder, "--classes", "Coat,Bag", "--out"]
    before = files_below(model)
    result = projpipe(*asked, model)
    assert (result.exit_code, files_below(model)) == (2, before)
    assert "exists; choose another folder, or replace it with --force" in result.stderr
    assert projpipe("generate", folder, "--classes", "Coat,Bagg", "--out", model, "--force").exit_code == 2
    assert files_below(model) == before
    assert projpipe(*asked, model, "--force").exit_code == 0
    assert json.loads((model / "manifest.json").read_text())["classes"] == ["Coat", "Bag"]

    assert projpipe(*asked, model / ".." / model.name, "--force").exit_code == 0
    assert sorted(path.name for path in model.parent.iterdir()) == ["model", "projector"]


def test_force_replaces_nothing_that_generate_did_not_write(folder: Path, model: Path, projpipe: Command) -> None:
    asked = ["generate", folder, "--classes", "Coat,Bag", "--force", "--out"]
    table, many, own = folder.parent / "tasks.csv", folder.parent / "many", folder.parent / "own"
    table.write_text('name,classes\none,"Sneaker,Bag"\n')
    assert projpipe("generate", folder, "--tasks", table, "--out", many).exit_code == 0
    own.mkdir()
    (own / "manifest.json").write_text('{"kind": "extension"}')
    (folder.parent / "link").symlink_to(model)
    assert projpipe(*asked, many).exit_code == 0
    assert projpipe("generate", folder, "--tasks", table, "--out", many, "--force").exit_code == 0

    (many / "thesis.txt").write_text("mine")
    (model / "notes.txt").write_text("mine")
    before = files_below(folder.parent)
    for out in (folder, many, model, own, table, folder.parent / "link"):
        result = projpipe(*asked, out)
        assert result.exit_code == 2
        assert "holds more than what `projpipe generate` wrote" in result.stderr
    assert files_below(folder.parent) == before


@pytest.mark.parametrize("damage", ["no projector", "truncated", "tampered", "no manifest"])
def test_a_projector_that_is_damaged_is_refused(damage: str, folder: Path, projpipe: Command) -> None:
    stored = (folder / TENSORS).read_bytes()
    if damage == "no projector":
        folder = folder.parent
    elif damage == "no manifest":
        (folder / MANIFEST).unlink()
    else:
        (folder / TENSORS).write_bytes(stored[:-5] if damage == "truncated" else stored[:-1] + b"\x07")
    result = projpipe("generate", folder, "--classes", "Sneaker,Bag", "--out", folder / "one")
    assert result.exit_code == 2
    assert "is no projector" in result.stderr or "its checksum differs" in result.stderr
    assert not (folder / "one").exists()


def test_a_model_of_inverted_pictures_reads_them_as_they_are(projector: Projector) -> None:
    student, picture = projector.student(["Sneaker", "Bag"]), torch.rand(1, 1, 8, 8)
    trained, told = projector.objective, student.objective
    as_trained = ((1 - picture) - trained.mean[0]) / trained.std[0]
    torch.testing.assert_close((picture - told.mean[0]) / told.std[0], as_trained, atol=1e-5, rtol=1e-5)


def test_the_card_loads_the_model(folder: Path, projector: Projector, images: torch.Tensor, projpipe: Command) -> None:
    out = folder.parent / "one"
    projpipe("generate", folder, "--classes", "Sneaker,Bag", "--out", out)
    card = (out / "README.md").read_text(encoding="utf-8")
    found: dict = {}
    exec(card.partition("```python\n")[2].partition("```")[0].replace("FOLDER", str(out)), found)
    torch.testing.assert_close(found["model"](images), projector.generate(["Sneaker", "Bag"])(images))
    assert "license: apache-2.0" in card.split("---")[1]
    assert "| accuracy of the teacher on test images, all classes | 96.0 % |" in card
    assert "| mean accuracy of the projector's models on validation tasks | 97.8 % |" in card


def test_generating_imports_torch_and_none_of_what_trains(folder: Path) -> None:
    arguments = ["generate", str(folder), "--classes", "Sneaker,Bag", "--out", str(folder.parent / "one")]
    program = f"""
import sys
from projpipe.commands.main import main
main({arguments!r}, standalone_mode=False)
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "torch" in loaded
    assert not loaded & {
        "httpx",  # what talks to the hub is slow to import
        "httpx2",
        "timm",
        "torchvision",
        "pandas",
        "pydantic",
        "kedro",
        "ray",
        "dvc",
        "optuna",
        "sklearn",
        "rich",
    }
