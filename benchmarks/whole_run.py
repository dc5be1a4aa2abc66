"""Wall-clock time and peak memory of a whole run, with everything that it starts.

    python benchmarks/whole_run.py [--env omniglot]

Delete the environment's data first to measure a run from nothing. Memory is the sum over all processes of what they
have to themselves and their share of what they share (PSS, Linux), sampled twice a second.
"""

import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
KEDRO = shutil.which("kedro", path=Path(sys.executable).parent) or "kedro"


def memory(process: psutil.Process) -> int:
    """Bytes that a process and its descendants take; one that ends meanwhile counts as nothing."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                info = each.memory_full_info()
                total += getattr(info, "pss", info.uss)
    return total


if __name__ == "__main__":
    start, peak = time.perf_counter(), 0
    run = psutil.Popen([KEDRO, "run", *sys.argv[1:]], cwd=ROOT)
    while True:
        with suppress(psutil.TimeoutExpired):
            run.wait(timeout=0.5)
            break
        peak = max(peak, memory(run))
    minutes, rest = divmod(time.perf_counter() - start, 60)
    print(f"kedro run {' '.join(sys.argv[1:])}: {minutes:.0f} min {rest:.0f} s, peak memory {peak / 2**30:.2f} GiB")
    sys.exit(run.returncode)
