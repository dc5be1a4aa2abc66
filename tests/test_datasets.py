import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
import yaml
from kedro.io import DatasetError
from PIL import Image

from makers import dataset_card
from projpipe import datasets
from projpipe.datasets import DamagedFileError
from projpipe.evaluation.cost import Cost, Costs
from projpipe.images.streamed import StreamedImages
from projpipe.objectives import Classification
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source

TABLE = pd.DataFrame({"task_id": [0, 1], "class_ids": [[0, 1], [2, 5, 7]], "name": ["a", "ä"]})
TENSORS = {"b": torch.arange(6.0).view(2, 3).T, "a": torch.tensor([1, 2])}
FIGURE = go.Figure(go.Scatter(x=np.arange(3), y=[0.1, 0.2, 0.3]), layout={"title": "Größe"})
FILES: dict[str, tuple[Any, str, Any]] = {
    "table": (datasets.TableDataset, "a.parquet", TABLE),
    "json": (datasets.JSONDataset, "a.json", {"z": [1, 2.5, None], "a": {"é": "ok"}}),
    "figure": (datasets.PlotlyDataset, "a.json", FIGURE),
    "tensors": (datasets.SafetensorsDataset, "a.safetensors", TENSORS),
}
each_file = pytest.mark.parametrize(("kind", "name", "data"), FILES.values(), ids=FILES)


@each_file
def test_what_is_saved_is_what_is_loaded(kind: Any, name: str, data: Any, tmp_path: Path) -> None:
    dataset = kind(filepath=str(tmp_path / "folder" / name))
    assert not dataset.exists()
    dataset.save(data)
    loaded = dataset.load()

    if kind is datasets.TableDataset:
        pd.testing.assert_frame_equal(loaded.assign(class_ids=loaded["class_ids"].map(list)), data)
    elif kind is datasets.SafetensorsDataset:
        assert loaded.keys() == data.keys()
        assert all(torch.equal(loaded[key], data[key]) for key in data)
    else:
        assert loaded == data
    assert dataset.exists()


@each_file
def test_equal_data_makes_equal_bytes(kind: Any, name: str, data: Any, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        kind(filepath=str(tmp_path / folder / name)).save(data)
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@each_file
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_named(kind: Any, name: str, data: Any, share: float, tmp_path: Path) -> None:
    dataset = kind(filepath=str(tmp_path / name))
    dataset.save(data)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedFileError, match=f"{name} cannot be read"):
        dataset.load()


def test_a_changed_byte_of_a_table_is_noticed(tmp_path: Path) -> None:
    dataset = datasets.TableDataset(filepath=str(tmp_path / "a.parquet"))
    dataset.save(pd.DataFrame({"image_id": np.arange(1000)}))
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.parquet"):
        dataset.load()


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"a\.json is missing"):
        datasets.JSONDataset(filepath=str(tmp_path / "a.json")).load()


PACKED = np.arange(4000, dtype=np.uint8).reshape(10, 20, 20, 1)


@pytest.fixture
def streamed(tmp_path: Path) -> StreamedImages:
    """Three files of which one has a name in no encoding."""
    names = ["a.png", "ä.png", "\udce4.png"]
    for number, name in enumerate(names):
        Image.fromarray(np.full((5, 5), 50 * number, np.uint8)).save(tmp_path / name)
    return StreamedImages(tmp_path, names, 4, grey=True)


def test_packed_images_are_mapped_into_memory_read_only(tmp_path: Path) -> None:
    dataset = datasets.ImagesDataset(filepath=str(tmp_path / "images"))
    dataset.save(PACKED)
    loaded = dataset.load()
    np.testing.assert_array_equal(loaded, PACKED)
    assert isinstance(loaded, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0, 0] = 1


def test_streamed_images_are_kept_as_a_list_of_their_files(tmp_path: Path, streamed: StreamedImages) -> None:
    dataset = datasets.ImagesDataset(filepath=str(tmp_path / "images"))
    dataset.save(streamed)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["images.json"]
    loaded = dataset.load()
    assert loaded.names == streamed.names
    np.testing.assert_array_equal(loaded[:], np.stack([np.full((4, 4, 1), value) for value in (0, 50, 100)]))


def test_images_in_one_form_replace_those_in_the_other(tmp_path: Path, streamed: StreamedImages) -> None:
    dataset = datasets.ImagesDataset(filepath=str(tmp_path / "images"))
    for data, left in ((PACKED, "images.npy"), (streamed, "images.json"), (PACKED, "images.npy")):
        dataset.save(data)
        assert [path.name for path in (tmp_path / "images").iterdir()] == [left]
        assert dataset.load().shape == data.shape


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("form", ["packed", "streamed"])
def test_damaged_images_are_named(form: str, share: float, tmp_path: Path, streamed: StreamedImages) -> None:
    dataset = datasets.ImagesDataset(filepath=str(tmp_path / "images"))
    dataset.save(PACKED if form == "packed" else streamed)
    (file,) = (tmp_path / "images").iterdir()
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(DamagedFileError, match=rf"images/{file.name} cannot be read"):
        dataset.load()


def test_a_folder_of_streamed_images_that_is_gone_is_named(tmp_path: Path) -> None:
    dataset = datasets.ImagesDataset(filepath=str(tmp_path / "images"))
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a.png").write_bytes(b"any")
    dataset.save(StreamedImages(tmp_path / "here", ["a.png"], 4, grey=True))
    (tmp_path / "here").rename(tmp_path / "gone")
    with pytest.raises(DamagedFileError, match=r"lists images of .*here, where there is no folder; put it back"):
        dataset.load()


def test_nothing_is_pickled_or_unpickled(tmp_path: Path) -> None:
    dataset = datasets.ImagesDataset(filepath=str(tmp_path / "images"))
    with pytest.raises(DatasetError, match="pickle"):
        dataset.save(np.array([{"an": "object"}]))
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images/images.npy", np.array([{"an": "object"}]), allow_pickle=True)
    with pytest.raises(DamagedFileError, match="Python objects"):
        dataset.load()


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    dataset = datasets.JSONDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"old": 1})
    with pytest.raises(DatasetError, match="not JSON compliant"):
        dataset.save({"new": float("nan")})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert dataset.load() == {"old": 1}


def test_text_keeps_its_letters(tmp_path: Path) -> None:
    dataset = datasets.TextDataset(filepath=str(tmp_path / "a.html"))
    dataset.save("<p>Größe −91 %</p>\n")
    assert dataset.load() == "<p>Größe −91 %</p>\n"


def test_a_teacher_answers_the_same_after_loading(teacher: Any, images: torch.Tensor, tmp_path: Path) -> None:
    from projpipe.transformer.timm_folder import VitArguments, create_vit

    arguments = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 4, "num_heads": 3, "mlp_ratio": 2.0}
    model = create_vit("vit_tiny_patch16_224", VitArguments(arguments, in_chans=1, num_classes=10)).eval()
    model.load_state_dict(teacher.state_dict())
    dataset = datasets.TimmModelDataset(filepath=str(tmp_path / "teacher"))
    dataset.save(model)
    with torch.no_grad():
        torch.testing.assert_close(dataset.load()(images), teacher(images))


def _projector(source: Source) -> Projector:
    student = source.spec.student(embed_dim=12, depth=2, num_heads=3, mlp_ratio=1.0)
    conditioning = Conditioning(experts=3, film=True, task_embed_dim=8)
    operator = ProjectionOperator(source, student, conditioning, seed=0)
    objective = Classification([0.5], [0.2], (1, 8, 8))
    data = {"name": "x", "classes": list("abcdefghij"), "image_size": [8, 8], "channels": 1}
    return Projector(operator, objective, data, provenance={})


def test_a_projector_makes_the_same_model_after_loading(source: Source, images: torch.Tensor, tmp_path: Path) -> None:
    projector = _projector(source)
    dataset = datasets.ProjectorDataset(filepath=str(tmp_path / "projector"))
    dataset.save(projector)
    with torch.no_grad():
        expected = projector.generate(["b", "e"])(images)
        torch.testing.assert_close(dataset.load().generate(["b", "e"])(images), expected, rtol=0, atol=0)


@pytest.mark.parametrize("part", ["manifest.json", "projector.safetensors"])
def test_a_truncated_projector_is_named(source: Source, part: str, tmp_path: Path) -> None:
    dataset = datasets.ProjectorDataset(filepath=str(tmp_path / "projector"))
    dataset.save(_projector(source))
    file = tmp_path / "projector" / part
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DamagedFileError, match=str(tmp_path / "projector")):
        dataset.load()


CARD = dataset_card(classes="aé", held_out_classes=(1,))
TEACHER = TeacherCard("vit", {}, "random", None, 1, "accuracy", {"test": 0.5}, "5f", {}, {}, {})
COSTS = Costs(teacher=Cost(params=1000, macs=8000), projected=Cost(params=100, macs=400))
RECORDS: dict[str, Any] = {
    "objective": Classification([0.5], [0.2], (1, 8, 8)),
    "dataset_card": CARD,
    "teacher_card": TEACHER,
    "costs": COSTS,
}
CATALOG = yaml.safe_load((Path(__file__).parents[1] / "conf/base/catalog.yml").read_text())


def dataset_of(name: str, path: Path) -> datasets.RecordDataset:
    """As the catalog has it, at another path."""
    return datasets.RecordDataset(from_json=CATALOG[name]["from_json"], filepath=str(path))


@pytest.mark.parametrize(("name", "record"), RECORDS.items(), ids=RECORDS)
def test_an_object_is_kept_as_its_json_and_comes_back(name: str, record: Any, tmp_path: Path) -> None:
    dataset = dataset_of(name, tmp_path / "a.json")
    dataset.save(record)
    assert dataset.load() == record
    plain = datasets.JSONDataset(filepath=str(tmp_path / "plain.json"))
    plain.save(record.to_json())
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "plain.json").read_bytes()
    assert json.loads(dataset.preview()) == record.to_json()


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("objective", {"std": None}, "std: null is not a list"),
        ("objective", {"name": "regression"}, "name: 'regression' is no objective"),
        ("dataset_card", {"channels": "1"}, 'channels: "1" is not a whole number'),
        ("teacher_card", {"score": []}, r"score: \[\] is not an object"),
        ("costs", {"static": {"params": 1}}, r"static\.macs: is missing"),
    ],
)
def test_an_object_with_another_type_is_named_with_its_file_and_key(
    name: str, changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    datasets.JSONDataset(filepath=str(tmp_path / "a.json")).save(RECORDS[name].to_json() | changed)
    with pytest.raises(DamagedFileError, match=rf"a\.json cannot be read \({message}"):
        dataset_of(name, tmp_path / "a.json").load()


@pytest.mark.parametrize("name", ["objective", "dataset_card", "teacher_card"])
def test_an_object_that_lacks_a_key_is_named_with_its_file_and_key(name: str, tmp_path: Path) -> None:
    whole = RECORDS[name].to_json()
    for key in whole.keys() - {"repeated"}:  # which older files lack
        described = {other: value for other, value in whole.items() if other != key}
        datasets.JSONDataset(filepath=str(tmp_path / "a.json")).save(described)
        with pytest.raises(DamagedFileError, match=rf"a\.json cannot be read \({key}: "):
            dataset_of(name, tmp_path / "a.json").load()


def test_teacher_logits_are_kept_as_tensors_by_name(tmp_path: Path) -> None:
    ids = {split: torch.arange(2) for split in ("train", "validation", "test")}
    logits = TeacherLogits(torch.randn(1, 2, 5), None, torch.randn(2, 5), ids)
    datasets.TeacherLogitsDataset(filepath=str(tmp_path / "a.safetensors")).save(logits)
    plain = datasets.SafetensorsDataset(filepath=str(tmp_path / "a.safetensors")).load()
    assert plain.keys() == logits.to_tensors().keys()
    found = datasets.TeacherLogitsDataset(filepath=str(tmp_path / "a.safetensors")).load()
    assert torch.equal(found.train_logits, logits.train_logits)
    del plain["test_class_scores"]
    datasets.SafetensorsDataset(filepath=str(tmp_path / "a.safetensors")).save(plain)
    with pytest.raises(DamagedFileError, match=r"a\.safetensors cannot be read .*'test_class_scores' is missing"):
        datasets.TeacherLogitsDataset(filepath=str(tmp_path / "a.safetensors")).load()


def test_a_working_folder_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    dataset = datasets.FolderDataset(filepath=str(tmp_path / "data" / "runs"))
    assert dataset.exists()
    assert dataset.load().is_dir()


PAGE = "<head><style>p {}</style></head><header>a</header><figure>style</figure><p>b</p><script>style\n</script>"


@pytest.mark.parametrize(
    ("kind", "data", "preview_type", "expected"),
    [
        (
            datasets.TableDataset,
            TABLE,
            "TablePreview",
            lambda p: p["columns"] == list(TABLE) and p["data"] == [[0, [0, 1], "a"]],
        ),
        (datasets.JSONDataset, {"a": [1]}, "JSONPreview", lambda p: json.loads(p) == {"a": [1]}),
        (datasets.PlotlyDataset, FIGURE, "PlotlyPreview", lambda p: p["data"][0]["y"] == [0.1, 0.2, 0.3]),
        (datasets.ReportDataset, PAGE, "HTMLPreview", lambda p: "<header>a</header><p>b</p>" in p and "style" not in p),
    ],
)
def test_kedro_viz_gets_a_preview(
    kind: Any, data: Any, preview_type: str, expected: Callable[[Any], bool], tmp_path: Path
) -> None:
    dataset = kind(filepath=str(tmp_path / "a"))
    dataset.save(data)
    arguments = {"nrows": 1} if kind is datasets.TableDataset else {}
    assert kind.preview.__annotations__["return"].__name__ == preview_type  # what Kedro-Viz goes by
    assert expected(dataset.preview(**arguments))
