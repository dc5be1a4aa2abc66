"""Does a run that is killed again and again end with the bytes of one that is not?

    python benchmarks/kills.py --kills 50

Runs the environment `smoke` whole, and its comparison, in a copy of this project, once undisturbed and then from
nothing with kills: at a random moment a random process of the run is killed (the driver, DVC that started it, Ray
Train's controller or a worker, a trial that is a Ray task, Ray's raylet or its GCS), the same command is given again,
and so on; whenever a run ends by itself, its outputs are compared and the next starts from nothing. Prints how each run
ended, and at the end how many did so with one line and how many outputs differ.
A minute a kill on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from same_outputs import outputs_of

ROOT = Path(__file__).parents[1]
EVERYTHING = "split_tasks,extract_teacher,train_projector,sweep_students,evaluate,compare_methods"
ALL_SIZES = "sweep_students.trials=6"  # which of them are tried would hang on measured latencies
COMMAND = [sys.executable, "-m", "kedro", "run", "--env", "smoke", "--pipelines", EVERYTHING, "--params", ALL_SIZES]
DVC = [sys.executable, "-m", "dvc"]
KILLED = {  # what the name of the process holds, but for the first two
    "driver": "",
    "DVC": "",
    "raylet": "raylet",
    "GCS": "gcs_server",
    "controller": "ray::TrainController",
    "worker": "ray::RayTrainWorker",
    "trial": "ray::run_trial",
}
LONGEST = 60.0  # seconds from the start to a kill


def start(project: Path, kind: str) -> subprocess.Popen[str]:
    """The run, as a stage of DVC where that is to be killed, with what it says on standard error."""
    command = [*DVC, "repro", "--force"] if kind == "DVC" else COMMAND
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def find(run: subprocess.Popen[str], kind: str, chance: np.random.Generator) -> psutil.Process | None:
    """A process of the run of this kind, if there is one."""
    if not KILLED[kind]:
        return psutil.Process(run.pid)
    found = [child for child in psutil.Process(run.pid).children(recursive=True) if KILLED[kind] in _name(child)]
    return found[chance.integers(len(found))] if found else None


def _name(process: psutil.Process) -> str:
    try:
        return " ".join([process.name(), *process.cmdline()[:1]])
    except psutil.Error:
        return ""


def disturb(project: Path, chance: np.random.Generator) -> tuple[str, int, str]:
    """Run, kill one process at a random moment, and wait; which was killed, the exit code, and what was said."""
    kind = str(chance.choice(list(KILLED)))
    run = start(project, kind)
    moment = time.monotonic() + chance.uniform(0, LONGEST)
    while run.poll() is None and (time.monotonic() < moment or not (victim := find(run, kind, chance))):
        time.sleep(0.05)
    if run.poll() is None:
        with suppress(psutil.NoSuchProcess):  # it has just ended
            assert victim is not None
            victim.kill()
    else:
        kind = "nothing"
    _, said = run.communicate()  # until all have closed it, an orphan of DVC's too
    return kind, run.returncode, said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("conf", "pyproject.toml", ".telemetry"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, project / name)
        (project / "src").mkdir()
        (project / "dvc.yaml").write_text(json.dumps({"stages": {"everything": {"cmd": " ".join(COMMAND)}}}))
        subprocess.run([*DVC, "init", "--no-scm", "--quiet"], cwd=project, check=True)
        data = project / "data" / "smoke"
        subprocess.run(COMMAND, cwd=project, check=True, capture_output=True)
        expected = outputs_of(data)
        shutil.rmtree(data)
        kills = loud = differing = 0
        while kills < given.kills:
            kind, code, said = disturb(project, chance)
            kills += kind != "nothing"
            if code == 0:
                found = outputs_of(data)
                wrong = [name for name, digest in expected.items() if found.get(name) != digest]
                differing += len(wrong)
                said = f"{kills}: {kind} killed, the run ended well; {len(wrong)} of {len(expected)} outputs differ"
                print(said, *wrong, flush=True)
                shutil.rmtree(data)
            else:
                lines = [line for line in said.splitlines() if line.strip()]
                loud += kind != "driver" and len(lines) != 1
                print(f"{kills}: {kind} killed, exit code {code}, {len(lines)} lines; {lines[-1:]}", flush=True)
        if data.exists():
            subprocess.run(COMMAND, cwd=project, check=True, capture_output=True)
            found = outputs_of(data)
            differing += sum(found.get(name) != digest for name, digest in expected.items())
    print(f"{kills} kills: {differing} outputs differ, {loud} ends with another number of lines than one")
    return bool(differing or loud)


if __name__ == "__main__":
    sys.exit(main())
