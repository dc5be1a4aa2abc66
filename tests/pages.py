"""Commands that pages of the documentation tell to type, and which of them the tests run where."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Pages that `compare_methods` wrote hold the command of the commit that made them.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
BIN = ".venv/bin/"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

INSTALLS = "installs or replaces the environment that the tests run in"
SUITE = "is these tests, or what they run besides"
WHOLE = "the fixture whole_run is this, in the environment smoke"
DATA_AND_TIME = "needs data that are not in the repository, and 20 minutes or more"
SERVER = "starts something that does not end by itself"
COMPARE = "kedro run --env omniglot --pipelines compare_methods --params compare_methods.comparison"
NOT_RUN = {
    "make run": f"{INSTALLS}; {WHOLE}",
    "make run-modeling": f"{INSTALLS}; the fixture modeling_run is this, in the environment smoke_modeling",
    "make install": INSTALLS,
    "make check": f"{SUITE}: test_architecture.py",
    "make test": SUITE,
    "make docs": f"{SUITE}: test_the_site_builds_without_a_warning",
    "source .venv/bin/activate": "the tests run in that environment already",
    "projpipe push packed me/digits --private": "needs a network; test_hub.py does it with a server of its own",
    "projpipe generate hf-hub:me/digits --classes 3,5,7 --out from_hub": "needs a network; so does test_hub.py",
    **dict.fromkeys(
        (
            "python3 -m venv .venv",
            "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu",
            "pip install .",
            "pip install --editable '.[train,onnx]'",
            "pip install jupyterlab",
        ),
        INSTALLS,
    ),
    "jupyter lab notebooks/01_tour.ipynb": SERVER,
    "pre-commit install": "writes into the repository's git folder",
    "pytest tests/projection": SUITE,
    "pytest tests/end_to_end/test_whole_run.py": SUITE,
    "kedro run": WHOLE,
    "kedro viz run": f"{SERVER}; test_viz.py starts it and looks at it",
    "dvc repro": "trains for four minutes; test_dvc.py holds its stages to the pipelines",
    "pip install '.[app]'": INSTALLS,
    "projpipe app": f"{SERVER}; tests/app starts it and looks at it",
    "dvc metrics show": "needs what dvc repro makes",
    "ray start --head": SERVER,
    "kedro run --env image_folder": "needs a person's images",
    "git clone --depth 1 https://github.com/cyizhuo/CIFAR-100-dataset data/01_raw/cifar100": "needs a network",
    "kedro run --env cifar100": f"{DATA_AND_TIME}; test_cifar100.py runs its first pipelines in miniature",
    "kedro run --env imagenet_vit": "needs ImageNet and 8 GPUs; test_imagenet_vit.py runs it in miniature",
    "python benchmarks/imagenet_cost.py": "takes minutes of counting on full-size models",
    "kedro run --env omniglot --pipelines split_tasks,extract_teacher": DATA_AND_TIME,
    "kedro run --env omniglot --pipelines compare_methods": DATA_AND_TIME,
    **dict.fromkeys((f"{COMPARE}={name}" for name in ("large", "per_task", "sizes", "ablation")), DATA_AND_TIME),
    "kedro run --env omniglot --params train_projector.ray.address=auto,train_projector.ray.num_workers=4": (
        "needs a cluster"
    ),
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Commands to type, each with what the page shows of its output; comments and `.venv/bin/` are left out."""
        if self.language == "bash":
            for line in self.text.splitlines():
                if command := re.sub(r"\s+# .*", "", line).strip().removeprefix(BIN):
                    yield command, ""
        if self.language == "console":
            for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                yield command.removeprefix(BIN), shown


def blocks() -> list[Block]:
    return [
        Block(page.relative_to(ROOT).as_posix(), *found) for page in PAGES for found in FENCE.findall(page.read_text())
    ]


BLOCKS = blocks()
COMMANDS = [command for block in BLOCKS for command, _ in block.commands()]
WITH_COMMANDS = {block.page for block in BLOCKS if block.language in ("console", "python", "bash")}
IMAGE_MODELLING = "docs/image_modelling.md"  # its commands are for what `smoke_modeling` leaves, all others for `smoke`


def type_all(page: str, project: Path, folder: Path) -> None:
    """Type all that a page tells to, in a copy of a project whose data go by the name that the page uses."""
    shutil.copytree(project, folder, dirs_exist_ok=True)
    for small in list((folder / "data").glob("smoke*")):
        small.with_name(small.name.replace("smoke", "digits")).symlink_to(small)
    own = [block for block in BLOCKS if block.page == page]
    assert own, page
    for block in own:
        for command, shown in block.commands():
            if command not in NOT_RUN:
                _type(command, shown, folder)
        if block.language == "python":
            ended = subprocess.run(
                [sys.executable, "-c", block.text], cwd=folder, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, block.text + ended.stderr


def _type(command: str, shown: str, folder: Path) -> None:
    """Run a command in the small environment. Where its page shows an error, it must end with that one."""
    small = re.sub(r"^kedro run", "kedro run --env smoke", command)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "-c", small], cwd=folder, env=env, capture_output=True, text=True, check=False)
    said = ended.stdout + ended.stderr
    if not shown.startswith("Error: "):
        assert ended.returncode == 0, f"{small}\n{said}"
        return
    assert ended.returncode != 0, small
    for part in shown.removeprefix("Error: ").strip().split("…"):
        assert part.strip() in said
