"""`kedro run`, as the project has it, says in one line what is wrong with its options."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.framework.cli.cli import KedroCLI

from projpipe.errors import LONGEST


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--params", "split_tasks.source.name=[digits"], "--params: cannot be read (while parsing a flow sequence"),
        (["--params", "split_tasks.seed=${x"], "--params: cannot be read ("),
        (["--params", "[=1"], "--params: cannot be read ("),
        (["--runner-params", "is_async=[1"], "--runner-params: cannot be read ("),
        (["--runner", "ThreadRunne"], "--runner: 'ThreadRunne' is not a runner; did you mean 'ThreadRunner'?"),
        (["--runner", "no.such.Runner"], "--runner: 'no.such.Runner' is not a runner; there are SequentialRunner, "),
        (["--runner", "os.getcwd"], "--runner: 'os.getcwd' is not a runner; "),
        (["--runner", ""], "--runner: '' is not a runner; "),
        (["--env", ""], "--env: is empty; name an environment, or leave it out"),
    ],
)
def test_an_option_that_cannot_be_read_is_named_in_one_line(
    options: list[str], message: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    ended = CliRunner().invoke(KedroCLI(project), ["run", "--pipelines", "split_tasks", *options])
    assert ended.exit_code == 1
    assert ended.stderr.startswith(f"Error: {message}")
    assert ended.stderr.count("\n") == 1
    assert len(ended.stderr) <= LONGEST + len("Error: \n")
    assert not (project / "data").exists()


def test_the_options_are_those_of_kedro_and_a_run_is_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    asked = ["run", "--env", "smoke", "--pipelines", "split_tasks", "--runner", "SequentialRunner"]
    ended = CliRunner().invoke(KedroCLI(project), [*asked, "--params", "split_tasks.seed=3"])
    assert ended.exit_code == 0, ended.output
    assert (project / "data/smoke/03_primary/dataset.json").exists()
