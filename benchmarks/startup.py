"""How long it takes until something happens: `import projpipe`, `kedro registry list`.

    python benchmarks/startup.py

Prints the median and range of seven fresh processes each, in seconds; `import projpipe` beside an empty process.
"""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPEATS = 7
KEDRO = shutil.which("kedro", path=Path(sys.executable).parent) or "kedro"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "python -c 'import projpipe'": [sys.executable, "-c", "import projpipe"],
    "kedro registry list": [KEDRO, "registry", "list"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    for name, command in COMMANDS.items():
        seconds(command)  # what is read for the first time is not measured
        times = [seconds(command) for _ in range(REPEATS)]
        print(f"{name:30} {statistics.median(times):6.2f} s  ({min(times):.2f} to {max(times):.2f})")
