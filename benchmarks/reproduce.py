"""Makes a page of docs/results again from raw data, and says figure by figure what differs.

    python benchmarks/reproduce.py omniglot                                 # or: make reproduce PAGE=omniglot
    python benchmarks/reproduce.py mine.json --env smoke --comparison main  # figures of one's own
    python benchmarks/reproduce.py compare docs/results/omniglot.json other.json

It runs the page's environment, unless its images are others than the page's by their SHA-256; then it replaces no
data. It compares what comes of it with the JSON beside the page. What lies in `data/<environment>/runs` is read back:
delete that folder to train anew.
It ends with 1 where a figure is missing or outside the page's interval, else with 0.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs/results"
KEDRO = str(Path(sys.executable).parent / "kedro")
ROW = re.compile(r"^\| \[(\w+)\]\(\w+\.md\) \|.*\| `(\w+)`, `(\w+)` \|$", re.MULTILINE)
WHOLE_RUN = ""  # the comparison of a page that a plain run makes
SAID_BESIDES = ("provenance", "parameters")
SAME, INSIDE, DIFFERS = "same", "differs, inside the page's interval", "differs"
OUTSIDE, MISSING, NEW = "OUTSIDE the page's interval", "MISSING here", "not on the page"
BAD = {OUTSIDE, MISSING}


def pages() -> dict[str, tuple[str, str]]:
    """Environment and comparison of each page, as the table of docs/results/README.md has them."""
    table = (RESULTS / "README.md").read_text()
    return {"digits": ("digits", WHOLE_RUN), **{page: (env, name) for page, env, name in ROW.findall(table)}}


def make_again(page: dict[str, Any], env: str, comparison: str) -> Path:
    """Run what a page's figures come from; the JSON that corresponds to the page's."""
    data = ROOT / "data" / env
    if (data / "03_primary").exists():  # made perhaps of other images, and then not to be replaced
        with tempfile.TemporaryDirectory() as scratch:
            _link_all_but(env, Path(scratch))
            _split(page, env, Path(scratch))
    _split(page, env, ROOT)
    if comparison == WHOLE_RUN:
        _kedro(env, "extract_teacher,train_projector,sweep_students,evaluate")
        return data / "08_reporting/metrics.json"
    _kedro(env, "extract_teacher,compare_methods", "--params", f"compare_methods.comparison={comparison}")
    return data / "08_reporting/comparison" / comparison / "comparison.json"


def _link_all_but(env: str, project: Path) -> None:
    """Make a folder this project, but for the data of an environment and for code, which is installed."""
    (ROOT / "data/01_raw").mkdir(exist_ok=True)  # what is downloaded is kept
    for name in ("data", "src"):  # Kedro looks for both within the project
        (project / name).mkdir()
    for path in (*ROOT.iterdir(), *(ROOT / "data").iterdir()):
        if path not in (ROOT / "data", ROOT / "src", ROOT / "data" / env):
            (project / path.relative_to(ROOT)).symlink_to(path)


def _split(page: dict[str, Any], env: str, project: Path) -> None:
    """Read and split images, and end here where they are not those of the page."""
    _kedro(env, "split_tasks", project=project)
    asked = _images(page)
    found = json.loads((project / "data" / env / "03_primary/dataset.json").read_text())["sha256"]
    if asked not in (None, found):
        sys.exit(f"{env}: these are other images, or another split of them, than the page's ({found}, not {asked})")


def _images(page: dict[str, Any]) -> str | None:
    return page.get("provenance", {}).get("dataset_sha256")


def _kedro(env: str, pipelines: str, *more: str, project: Path = ROOT) -> None:
    command = [KEDRO, "run", "--env", env, "--pipelines", pipelines, *more]
    print("$", " ".join(["kedro", *command[1:]]), flush=True)
    if code := subprocess.run(command, cwd=project, check=False).returncode:
        sys.exit(code)


def circumstances(page: dict[str, Any]) -> Iterator[str]:
    """What was otherwise when the page was made, a line each: then its figures need not come out the same."""
    made = page.get("provenance")
    if made is None:
        yield "The page does not say what made it."
        return
    commit = made["commit"].removesuffix("-dirty")
    git = ["git", "rev-list", "--count", f"{commit}..HEAD", "--", "src", "conf", "requirements.lock"]
    counted = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    since = counted.stdout.strip() or "an unknown number of"
    if since != "0":
        yield f"The page was made at commit {made['commit']}; {since} commits have changed code or configuration since."
    elif commit != made["commit"]:
        yield f"The page was made at commit {commit} with changes that are not in it."
    for name, then in made["versions"].items():
        if (now := _version(name)) != then:
            yield f"The page was made with {name} {then}, this is {now or 'not installed'}."
    if "processor" in made:
        yield f"The page was made on {made['processor']}."


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def figures(tree: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and texts by their place; a mean with its interval is one figure."""
    if isinstance(tree, dict) and "ci95" not in tree:
        for key, value in tree.items():
            if key not in SAID_BESIDES:
                yield from figures(value, f"{place} / {key}" if place else key)
    elif tree is not None:
        yield place, tree


def compare(page: dict[str, Any], here: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Every figure of either: its place, how it reads on the page and here, and a verdict."""
    theirs, ours = dict(figures(page)), dict(figures(here))
    return [
        (place, _text(theirs.get(place)), _text(ours.get(place)), _verdict(theirs.get(place), ours.get(place)))
        for place in [*theirs, *(place for place in ours if place not in theirs)]
    ]


def _verdict(theirs: Any, ours: Any) -> str:
    if ours is None or theirs is None:
        return MISSING if ours is None else NEW
    if theirs == ours:
        return SAME
    if isinstance(theirs, dict):
        low, high = theirs["ci95"]
        return INSIDE if low <= ours["mean"] <= high else OUTSIDE
    return DIFFERS


def _text(figure: Any) -> str:
    if isinstance(figure, dict):
        low, high = figure["ci95"]
        return f"{figure['mean']:.4f} [{low:.4f}, {high:.4f}]"
    return "" if figure is None else f"{figure:.6g}" if isinstance(figure, float) else str(figure)


def report(page: dict[str, Any], here: dict[str, Any]) -> int:
    """Print what differs and a summary; the exit code."""
    rows = compare(page, here)
    if _images(page) not in (None, _images(here)) and "provenance" in here:
        print("The two were made from other images, or from another split of them.")
    print("\n".join(circumstances(page)))
    shown = [("figure", "page", "here", ""), *(row for row in rows if row[3] != SAME)]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    for row in shown if len(shown) > 1 else ():
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    counts = Counter(verdict for *_, verdict in rows)
    print(f"{len(rows)} figures: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    return int(bool(BAD & counts.keys()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", help=f"{', '.join(pages())}; the path of a JSON; or compare")
    parser.add_argument("files", nargs="*", type=Path, help="the two that are compared")
    parser.add_argument("--env", help="where the page is a path")
    parser.add_argument("--comparison", default="main", help="where the page is a path")
    given = parser.parse_args()
    if given.page == "compare" and len(given.files) == 2:
        return report(*(json.loads(path.read_text()) for path in given.files))
    if given.env:
        path, where = Path(given.page), (given.env, given.comparison)
    elif given.page in pages():
        path, where = RESULTS / f"{given.page}.json", pages()[given.page]
    else:
        parser.error(f"{given.page!r} is not a page; there are {', '.join(pages())}")
    page = json.loads(path.read_text())
    return report(page, json.loads(make_again(page, *where).read_text()))


if __name__ == "__main__":
    sys.exit(main())
