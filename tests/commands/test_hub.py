"""Projectors and models come from the hub and go there: over HTTP, to a server that speaks its API."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from hub_server import Hub, Repository, running_hub
from makers import is_one_short_line
from projpipe.manifest import CARD, MANIFEST
from projpipe.projection.write import TENSORS

Command = Callable[..., Result]
PROGRAM = "from projpipe.commands.main import main; main()"
RUN_COMMANDS = """
import json, os, sys
from click.testing import CliRunner
from projpipe.commands.main import main
for line in sys.stdin:
    asked = json.loads(line)
    os.chdir(asked["folder"])
    os.environ["HF_TOKEN"] = asked["token"]
    ended = CliRunner().invoke(main, asked["arguments"])
    print(json.dumps({"returncode": ended.exit_code, "stdout": ended.stdout, "stderr": ended.stderr}), flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


Online = Callable[..., Ended]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, subprocess.Popen[str]]]:
    """A hub, and a process that runs commands with it: `huggingface_hub` reads its address when it is imported."""
    with running_hub() as hub:
        environment = of_hub(hub.address, tmp_path_factory.mktemp("hf"))
        with subprocess.Popen(
            [sys.executable, "-c", RUN_COMMANDS],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield hub, process
            process.communicate()


def of_hub(address: str, home: Path) -> dict[str, str]:
    """The environment of a process with this hub. Xet is a protocol of its own, which the server does not speak."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return ours | {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}


@pytest.fixture
def hub(server: tuple[Hub, subprocess.Popen[str]]) -> Iterator[Hub]:
    hub, _ = server
    yield hub
    hub.repositories.clear()
    hub.asked.clear()
    hub.broken = False


@pytest.fixture
def online(server: tuple[Hub, subprocess.Popen[str]], hub: Hub, tmp_path: Path) -> Online:
    """Runs a command in the process that has the hub."""
    _, process = server

    def run(*arguments: object, token: str = "hf_of_me") -> Ended:
        asked = {"arguments": [*map(str, arguments)], "token": token, "folder": str(tmp_path)}
        print(json.dumps(asked), file=process.stdin, flush=True)
        return Ended(**json.loads(process.stdout.readline()))

    return run


def put(hub: Hub, folder: Path, repo: str, private: bool = False) -> str:
    """Have a folder on the hub; the hash of the commit."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return hub.repositories.setdefault(repo, Repository(private)).commit(files)


def refusal(ended: Ended | subprocess.CompletedProcess[str]) -> str:
    """What a command said that refused, in one line, with exit code 2."""
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert is_one_short_line(line)
    return line.removeprefix("Error: ")


def test_a_projector_on_the_hub_makes_the_model_that_its_folder_makes(
    hub: Hub, online: Online, many: Path, tmp_path: Path, projpipe: Command
) -> None:
    (many / "large.bin").write_bytes(b"of somebody else")
    put(hub, many, "someone/shop")
    ended = online("generate", "hf-hub:someone/shop", "--classes", "Sneaker,Coat", "--out", "one", token="")
    assert ended.returncode == 0, ended.stderr
    assert projpipe("generate", many, "--classes", "Sneaker,Coat", "--out", tmp_path / "two").exit_code == 0
    for path in (tmp_path / "two").iterdir():
        assert (tmp_path / "one" / path.name).read_bytes() == path.read_bytes()
    fetched = {asked.split("/")[-1] for asked in hub.asked if asked.startswith("GET") and "/resolve/" in asked}
    assert fetched == {MANIFEST, TENSORS, "sizes.json"}
    hub.broken = True  # what was fetched is used without the hub
    assert online("inspect", "hf-hub:someone/shop").returncode == 0


def test_a_revision_is_that_of_the_hub(hub: Hub, online: Online, folder: Path, many: Path) -> None:
    first = put(hub, folder, "someone/shop")
    put(hub, many, "someone/shop")
    hub.repositories["someone/shop"].branches["v1"] = first
    for revision, sizes in (("", True), ("@v1", False), (f"@{first}", False)):
        found = json.loads(online("inspect", f"hf-hub:someone/shop{revision}", "--json").stdout)
        assert ("sizes" in found) is sizes
    assert "has no revision 'v2' of it; name a branch, tag or commit" in refusal(
        online("inspect", "hf-hub:someone/shop@v2")
    )


def test_measure_prints_and_writes_nothing_into_the_hubs_cache(hub: Hub, online: Online, many: Path) -> None:
    put(hub, many, "someone/shop")
    ended = online("measure", "hf-hub:someone/shop", "--json")
    assert "is not written to; copy it to keep what is measured" in ended.stderr
    before = json.loads((many / "sizes.json").read_text())
    assert json.loads(ended.stdout)["sizes"][0]["latency_ms"] != before["sizes"][0]["latency_ms"]
    again = json.loads(online("inspect", "hf-hub:someone/shop", "--json").stdout)
    assert again["sizes"] == before


@pytest.mark.parametrize("kind", ["projector", "model"])
def test_what_is_pushed_is_read_back_and_its_card_is_the_hubs(
    kind: str, hub: Hub, online: Online, folder: Path, model: Path
) -> None:
    pushed = folder if kind == "projector" else model
    ended = online("push", pushed, "me/new", "--private")
    assert ended.returncode == 0, ended.stderr
    repository = hub.repositories["me/new"]
    assert repository.private
    files = repository.commits[repository.branches["main"]]
    assert ended.stdout.endswith(f"hf-hub:me/new: {hub.address}/me/new/commit/{repository.branches['main']}\n")
    assert {name: files[name] for name in files if name not in (".gitattributes", CARD)} == {
        path.name: path.read_bytes() for path in pushed.iterdir() if path.name != CARD
    }
    card = yaml.safe_load(files[CARD].decode().split("---\n")[1])
    assert card["library_name"] == ("projpipe" if kind == "projector" else "timm")
    assert (card["pipeline_tag"], card["datasets"], card["license"]) == ("image-classification", ["shop"], "apache-2.0")
    (result,) = card["model-index"][0]["results"]
    assert result["dataset"] == {"name": "shop", "type": "shop", "split": "validation"}
    assert (result["metrics"][0]["type"], result["metrics"][0]["value"]) == ("accuracy", 0.978)
    found = json.loads(online("inspect", "hf-hub:me/new", "--json").stdout)
    assert found["kind"] == kind
    if kind == "model":
        assert online("inspect", model, "--json").stdout == online("inspect", "hf-hub:me/new", "--json").stdout


def test_pushing_again_goes_to_the_same_repository_and_a_revision_to_a_branch_of_it(
    hub: Hub, online: Online, folder: Path, many: Path
) -> None:
    assert online("push", folder, "me/new").returncode == 0
    assert not hub.repositories["me/new"].private
    assert online("push", many, "me/new", "--revision", "sizes").returncode == 0
    assert online("push", folder, "me/new", "--revision", "sizes").returncode == 0
    for revision in ("main", "sizes"):
        commit = hub.repositories["me/new"].branches[revision]
        assert ("sizes.json" in hub.repositories["me/new"].commits[commit]) is (revision == "sizes")


def test_nothing_but_what_projpipe_wrote_is_pushed(hub: Hub, online: Online, model: Path) -> None:
    (model / "secret.txt").write_text("mine")
    assert online("push", model, "me/new").returncode == 0
    repository = hub.repositories["me/new"]
    assert "secret.txt" not in repository.commits[repository.branches["main"]]


def test_a_packed_projector_keeps_its_card(hub: Hub, online: Online, folder: Path, tmp_path: Path) -> None:
    assert online("pack", folder, "--out", "packed", "--license", "mit").returncode == 0
    assert online("push", "packed", "me/new").returncode == 0
    repository = hub.repositories["me/new"]
    card = (tmp_path / "packed" / CARD).read_bytes()
    assert repository.commits[repository.branches["main"]][CARD] == card
    assert b"license: mit" in card


def test_what_the_hub_does_not_give_is_one_line(hub: Hub, online: Online, folder: Path, model: Path) -> None:
    put(hub, folder, "you/hidden", private=True)
    hub.repositories["you/other"] = Repository()
    hub.repositories["you/other"].commit({"model.safetensors": b"large", "config.json": b"{}"})
    hub.repositories["you/foreign"] = Repository()
    hub.repositories["you/foreign"].commit({"model.safetensors": b"large", MANIFEST: b'{"name": "an app"}'})
    put(hub, model, "you/model")

    def said(place: str) -> str:
        return refusal(online("generate", place, "--classes", "a,b", "--out", "m"))

    for place in ("hf-hub:you/none", "hf-hub:you/hidden"):
        assert f"{place}: the hub has no such repository, or does not show it to you; check its name" in said(place)
    assert "hf-hub:you/other: holds no projector and no model of projpipe (no manifest.json)" in said(
        "hf-hub:you/other"
    )
    assert "hf-hub:you/foreign: holds no projector and no model of projpipe; name another" in said("hf-hub:you/foreign")
    assert not any("model.safetensors" in asked for asked in hub.asked if asked.startswith("GET"))
    assert "is a model and no projector; give the folder of the projector that made it" in said("hf-hub:you/model")
    assert "is no name of a repository" in said("hf-hub:a/b/c")
    hub.broken = True
    assert "hf-hub:you/new: the hub" in said("hf-hub:you/new")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, "HF_ENDPOINT, which is http://127.0.0.1:9"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE, which is set"),
    ],
)
def test_no_network_is_one_line_that_names_what_was_set(
    more: dict[str, str], named: str, model: Path, tmp_path: Path
) -> None:
    for arguments in (["predict", "hf-hub:you/model", model], ["push", model, "me/new"]):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            env=of_hub("http://127.0.0.1:9", tmp_path / "hf") | more,
            capture_output=True,
            text=True,
            check=False,
        )
        said = refusal(ended)
        assert "the hub cannot be reached (" in said
        assert f"; check {named}, or give a folder" in said


def test_a_name_that_no_repository_can_have_is_refused_before_torch_is_there(model: Path) -> None:
    program = """
import sys
from click.testing import CliRunner
from projpipe.commands.main import main
result = CliRunner().invoke(main, sys.argv[1:])
assert result.exit_code == 2, result.output
assert "me/x/y: is no name of a repository" in result.stderr
assert "torch" not in sys.modules
"""
    asked = [sys.executable, "-c", program, "push", model, "me/x/y"]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_what_the_hub_does_not_take_is_one_line(
    hub: Hub, online: Online, folder: Path, model: Path, tmp_path: Path
) -> None:
    assert "log in with `hf auth login`" in refusal(online("push", model, "me/new", token=""))
    assert "the hub does not allow it (403: You don't have the rights" in refusal(online("push", model, "you/new"))
    assert "is no name of a repository" in refusal(online("push", model, "me/new/one"))
    assert online("pack", folder, "--out", "packed", "--license", "my own").returncode == 0
    assert '"license" must be one of' in refusal(online("push", "packed", "me/new"))
    (model / "config.json").write_text("{}")
    assert "config.json is truncated or was changed" in refusal(online("push", model, "me/new"))


def test_what_a_stranger_changed_is_refused(hub: Hub, online: Online, folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "changed")
    (changed / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-4] + b"abcd")
    put(hub, changed, "you/changed")
    assert f"{TENSORS} is truncated or was changed: its checksum differs" in refusal(
        online("inspect", "hf-hub:you/changed")
    )


def test_what_was_fetched_is_listed(hub: Hub, online: Online, folder: Path, model: Path) -> None:
    first = put(hub, folder, "reader/shop")
    put(hub, model, "reader/listed")
    assert online("inspect", f"hf-hub:reader/shop@{first}").returncode == 0
    assert online("inspect", "hf-hub:reader/listed").returncode == 0
    found = json.loads(online("list", "--json").stdout)
    of_hub = [one for one in found if one["name"].startswith("hf-hub:reader/")]
    assert [(one["name"], one["kind"], one["dataset"], one["classes"]) for one in of_hub] == [
        ("hf-hub:reader/listed", "model", "shop", 3),
        (f"hf-hub:reader/shop@{first}", "projector", "shop", 10),
    ]
    assert {one["place"] for one in of_hub} == {"in the hub's cache"}
    assert of_hub[1]["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    assert "in the hub's cache" in online("list").stdout
