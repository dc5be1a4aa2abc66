"""Do two commits make the same outputs, bit for bit?

    python benchmarks/same_outputs.py record before.json        # in the checkout of one commit
    python benchmarks/same_outputs.py record after.json         # in that of the other
    python benchmarks/same_outputs.py compare before.json after.json

`record` deletes the data of the environments it runs and makes them anew: `smoke`, `smoke_modeling` and `digits` whole
and compared, `omniglot` compared after 200 steps (30 minutes on 2 cores; --runs names fewer). What it keeps is the
SHA-256 of every output, less what holds wall-clock figures or names the commit, and the loss and score of every
evaluation, so that `compare` says where two commits part. Run both on one machine: processors differ in the last
digits of sums.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path.cwd()
KEDRO = str(Path(sys.executable).parent / "kedro")
FEW_STEPS = "train_projector.optimisation.steps=200,train_projector.optimisation.validate_every=50"
COMPARE = ["--pipelines", "compare_methods"]
RUNS: dict[str, list[list[str]]] = {  # environment: arguments of `kedro run`
    "smoke": [["--params", "sweep_students.trials=6"], COMPARE],  # all sizes: a choice would hang on measured latencies
    "smoke_modeling": [[], COMPARE],
    "digits": [[], COMPARE],
    "omniglot": [["--pipelines", "split_tasks,extract_teacher"], [*COMPARE, "--params", FEW_STEPS]],
}
OLDER_NAMES = {"digits": "base"}  # of an environment
OLDER_PATHS = {f"{layer}/comparison/": f"{layer}/comparison/main/" for layer in ("07_model_output", "08_reporting")}
# Latency is measured; which sizes are on the Pareto front hangs on it.
OF_THE_CLOCK = {
    "timings.json",
    "report.html",
    "comparison.md",
    "sizes.json",
    "pareto_front.parquet",
    "pareto_front.json",
}
OF_THE_CLOCK_IN_TRIALS = ["trial", "latency_ms", "within_limits", "pareto"]


def record(environment: str) -> dict[str, Any]:
    """Run an environment from nothing; hashes of its outputs, and its learning curves."""
    name = environment if (ROOT / "conf" / environment).is_dir() else OLDER_NAMES[environment]
    folder = ROOT / "data" if name == "base" else ROOT / "data" / name
    for made in (*folder.glob("0[2-8]_*"), folder / "runs"):
        shutil.rmtree(made, ignore_errors=True)
    for arguments in RUNS[environment]:
        subprocess.run([KEDRO, "run", "--env", name, *arguments], cwd=ROOT, check=True)
    outputs = {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob("0[2-8]_*/**/*"))}
    curves = {_path(name): rows for name, path in outputs.items() if (rows := _curves(path))}
    teacher = [json.loads(path.read_text())["history"] for path in sorted(folder.glob("runs/teacher-*/state.json"))]
    return {"files": outputs_of(folder), "curves": curves | {"teacher": teacher}}


def outputs_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every output in an environment's folder of data that holds no wall-clock figure."""
    paths = (path for path in sorted(folder.glob("0[2-8]_*/**/*")) if path.is_file())
    digests = {_path(path.relative_to(folder).as_posix()): _digest(path) for path in paths}
    return {name: digest for name, digest in digests.items() if digest is not None}


def _path(name: str) -> str:
    for older, newer in OLDER_PATHS.items():
        if name.startswith(older) and not name.startswith(newer):
            return newer + name.removeprefix(older)
    return name


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; None of one with wall-clock figures."""
    if path.name in OF_THE_CLOCK:
        return None
    content = path.read_bytes()
    if path.name == "sweep_trials.parquet":
        trials = pd.read_parquet(path).drop(columns=OF_THE_CLOCK_IN_TRIALS)
        content = trials.sort_values(list(trials.columns)).to_csv(index=False).encode()
    if path.name == "comparison.json":  # its provenance names the command and the commit
        content = json.dumps({k: v for k, v in json.loads(content).items() if k != "provenance"}).encode()
    return hashlib.sha256(content).hexdigest()


def _curves(path: Path) -> list[Any]:
    """Loss and score of every evaluation that a file holds."""
    if path.name == "outcomes.json":
        return [outcome["history"] for outcome in json.loads(path.read_text())]
    if path.name.endswith("_history.parquet"):
        return json.loads(pd.read_parquet(path).to_json(orient="records", double_precision=15))
    return []


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What differs, a line each."""
    found = []
    for run in before.keys() | after.keys():
        one, other = before.get(run, {}), after.get(run, {})
        for kind in ("files", "curves"):
            names = one.get(kind, {}).keys() | other.get(kind, {}).keys()
            found += [
                f"{run}: {kind}: {name} {_how(one.get(kind, {}).get(name), other.get(kind, {}).get(name))}"
                for name in sorted(names)
                if one.get(kind, {}).get(name) != other.get(kind, {}).get(name)
            ]
    return sorted(found)


def _how(one: Any, other: Any) -> str:
    return "is new" if one is None else "is gone" if other is None else "differs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recorded = commands.add_parser("record")
    recorded.add_argument("out", type=Path)
    recorded.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    compared = commands.add_parser("compare")
    compared.add_argument("before", type=Path)
    compared.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "record":
        found = json.loads(given.out.read_text()) if given.out.exists() else {}
        for run in given.runs:
            found[run] = record(run)
            given.out.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    before, after = (json.loads(path.read_text()) for path in (given.before, given.after))
    differing = compare(before, after)
    same = sum(
        before.get(run, {"files": {}})["files"].get(name) == digest
        for run in after
        for name, digest in after[run]["files"].items()
    )
    print("\n".join([*differing, f"{same} outputs are the same, {len(differing)} differences"]))
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
