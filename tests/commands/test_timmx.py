"""timmx, an exporter of timm models that others wrote, takes a model's folder as it is.

`torch-export` needs torch alone, and runs wherever tests do; the others where an environment of their own has them, see
docs/command_line.md.
"""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("backend", "needs", "name", "more"),
    [
        ("torch-export", "torch", "model.pt2", []),
        ("litert", "litert_torch", "model.tflite", []),
        ("coreml", "coremltools", "model.mlpackage", [] if sys.platform == "darwin" else ["--no-verify"]),
    ],
)
def test_an_exporter_takes_the_folder_and_holds_what_it_wrote_to_torch(
    backend: str, needs: str, name: str, more: list[str], model: Path
) -> None:
    pytest.importorskip(needs)
    out = model.parent / name
    asked = [f"local-dir:{model}", "--pretrained", "--output", str(out), *more]
    program = "from timmx.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", program, "export", backend, *asked], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert out.exists()
    assert more or "max abs diff" in ran.stdout
