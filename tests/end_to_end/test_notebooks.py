"""The notebooks run with what makes models alone, and what is committed of them is one whole run."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@notebooks
def test_a_notebook_runs_and_imports_nothing_that_trains_a_projector(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    trains = {"dvc", "kedro", "optuna", "pandas", "plotly", "pydantic", "ray", "sklearn"}
    notebook.cells.append(new_code_cell(f"import json, sys; json.dumps(sorted({trains} & sys.modules.keys()))"))
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    assert json.loads(eval(notebook.cells[-1].outputs[0]["data"]["text/plain"])) == []  # noqa: S307 - a literal


@notebooks
def test_what_is_committed_of_a_notebook_is_one_whole_run_without_warnings_and_paths_of_a_machine(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
    shown = "".join(output.get("text", "") or output["data"]["text/plain"] for output in outputs)
    assert not re.search(r"/(home|root|tmp|work|Users)/", shown)
