"""What a person names leads to a folder: a path, a name of what comes with projpipe or is kept at home, or the hub."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from projpipe import places
from projpipe.errors import InputError
from projpipe.manifest import CARD, MANIFEST, REQUIRED, TENSORS, read_manifest
from projpipe.places import everything, located
from projpipe.record import file_sha256
from projpipe.students.size_table import read_size_table
from projpipe.transformer.spec import TransformerSpec, written

ROOT = Path(__file__).parents[1]


def make(folder: Path, kind: str = "projector", **more: object) -> Path:
    """A folder whose manifest says this of itself."""
    folder.mkdir(parents=True)
    described = {"kind": kind, "data": {"name": "photographs", "classes": ["a", "b"]}, **more}
    (folder / MANIFEST).write_text(json.dumps(described))
    return folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of what comes with projpipe, beside one at home and the hub's cache, and an empty working directory."""
    monkeypatch.setattr(places, "search_path", lambda: {"ships": tmp_path / "shipped", "home": tmp_path / "home"})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "shipped"


def test_a_name_leads_to_what_ships_before_what_is_kept_at_home(shipped: Path) -> None:
    at_home = make(shipped.parent / "home" / "photos")
    assert located("photos") == at_home
    assert located("photos") == located(Path("photos"))
    assert located("photos") != make(shipped / "photos") == located("photos")


def test_a_folder_of_ones_own_is_never_passed_over(shipped: Path) -> None:
    make(shipped / "photos")
    assert located(make(Path("photos"))) == Path("photos")
    assert located("./photos") == Path("photos")
    (Path("photos") / MANIFEST).unlink()
    with pytest.raises(InputError, match=r"photos: is the name of a projector, and here that of a folder with no man"):
        located("photos")
    Path("others").mkdir()
    assert located("others") == Path("others")


@pytest.mark.parametrize("path", ["a/photos", "/nowhere/photos", "../photos"])
def test_a_path_is_no_name(path: str, shipped: Path) -> None:
    make(shipped / "photos")
    assert located(path) == Path(path)


def test_a_name_that_is_none_is_refused_and_the_nearest_is_named(shipped: Path) -> None:
    make(shipped / "photos")
    with pytest.raises(InputError, match=r"photo: there is no such folder, .*; did you mean 'photos'\?"):
        located("photo")
    with pytest.raises(InputError, match=r"`projpipe list` names those that are found"):
        located("drawings")


def test_everything_that_says_what_it_is_is_found(shipped: Path) -> None:
    make(shipped / "photos")
    (shipped / "photos" / "projector.safetensors").write_bytes(bytes(1000))
    make(shipped.parent / "home" / "mine", "model", classes=["a"], provenance={"dataset": "drawings"})
    snapshots = shipped.parent / "hub" / "models--me--new" / "snapshots"
    make(snapshots / "0a")
    make(snapshots / "0b")
    (snapshots.parent / "refs").mkdir()
    (snapshots.parent / "refs" / "main").write_text("0b")
    for number, broken in enumerate(({"data": None}, {"data": {"classes": "ab"}}, {"kind": "app"}, {"kind": ["a"]})):
        make(shipped / f"broken{number}", **broken)
    (make(shipped / "broken") / MANIFEST).write_text("{")
    found = everything()
    assert [(one.name, one.place, one.kind, one.dataset, one.classes) for one in found] == [
        ("photos", "ships", "projector", "photographs", 2),
        ("mine", "home", "model", "drawings", 1),
        ("hf-hub:me/new@0a", "in the hub's cache", "projector", "photographs", 2),
        ("hf-hub:me/new", "in the hub's cache", "projector", "photographs", 2),
    ]
    assert found[0].bytes == 1000 + (shipped / "photos" / MANIFEST).stat().st_size


def test_what_comes_with_projpipe_is_in_the_wheel(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    make(tmp_path / "src" / "projpipe" / "shipped" / "photos")
    shutil.copy(ROOT / "src" / "projpipe" / "__init__.py", tmp_path / "src" / "projpipe")
    program = "from setuptools.build_meta import build_wheel; build_wheel('wheels')"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    assert "projpipe/shipped/photos/manifest.json" in zipfile.ZipFile(wheel).namelist()


def test_what_comes_with_projpipe_is_small_and_has_a_card_that_is_true() -> None:
    assert len(places.search_path()) == 2
    folder, *_ = places.search_path().values()
    for shipped in folder.glob("*/"):
        assert sum(path.stat().st_size for path in shipped.iterdir()) <= 10e6
        card, manifest = (shipped / CARD).read_text(), read_manifest(shipped, "projector", REQUIRED["projector"], "")
        assert "## Accuracy" in card
        of_examples = shipped / "examples" / CARD
        assert (not of_examples.parent.exists()) or card.endswith(f"## Examples\n\n{of_examples.read_text()}")
        table = read_size_table(shipped, file_sha256(shipped / TENSORS))
        assert table is not None
        recommended = table.sizes[table.recommended]
        size = written(recommended.of(TransformerSpec.from_json(manifest["student"], "student")))
        for score in ModelCard(card).data.eval_results:
            assert score.metric_name.endswith(f", models of {size}")
            assert score.dataset_split == "test" or score.metric_value == recommended.score
