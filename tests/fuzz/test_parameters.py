"""Whatever stands for a parameter, a run refuses it in short lines that name it, or accepts it as it is read again."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from hypothesis import event, example, given
from hypothesis import strategies as st

from makers import is_one_short_line, within_limits
from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.errors import one_line
from projpipe.readable_session import FIXABLE, MODELS, _check_parameters, _problems
from projpipe.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"
ENVIRONMENTS = ["smoke", "smoke_modeling", "image_folder"]
FILES = {name: yaml.safe_load((CONF / name / "parameters.yml").read_text()) for name in ["base", *ENVIRONMENTS]}
Place = tuple[str | int, ...]


def places(given: Any, above: Place = ()) -> Iterator[Place]:
    """Where every parameter stands, and every section and list."""
    if above:
        yield above
    inner = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
    for key, value in inner:
        yield from places(value, (*above, key))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63, 10**400, -(10**400)])
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["", "auto", "x" * 10**5, "\x1b[31m", "${x}", "${x", "???", "1e400", "nan", "../..", "\n"])
    | st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An environment, and its parameters with one or two of them replaced, or with one more."""
    env = draw(st.sampled_from(ENVIRONMENTS))
    parameters = copy.deepcopy(FILES[env])
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(list(places(parameters))))
        above = parameters
        for key in place[:-1]:
            above = above[key]
        last: Any = place[-1]
        if isinstance(above, dict) and draw(st.integers(0, 4)) == 0:
            last = draw(st.text(max_size=8) | st.just(f"{last}s"))
        above[last] = draw(VALUES)
    return env, parameters


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of configuration whose environments are the project's."""
    folder = tmp_path_factory.mktemp("fuzz") / "conf"
    for name in FILES:
        (folder / name).mkdir(parents=True)
        for file in (CONF / name).glob("*.yml"):
            (folder / name / file.name).write_bytes(file.read_bytes())
    return folder


def read_or_refused(conf: Path, env: str, parameters: object) -> dict[str, Any] | str:
    """The parameters of every section as they are read, or what a run says that starts with them."""
    file = conf / env / "parameters.yml"
    before = file.read_bytes()
    text = parameters if isinstance(parameters, str) else yaml.safe_dump(parameters, allow_unicode=True)
    file.write_text(text, encoding="utf-8")
    try:
        loader = EnvironmentConfigLoader(conf, env, {}, **CONFIG_LOADER_ARGS)
        stated = loader["parameters"] = loader["parameters"]  # read once
        _check_parameters(loader)
        if lines := [line for section, _, line in _problems(loader) if section in stated]:
            return "\n".join(lines)
        return {name: MODELS[name].model_validate(stated[name]).model_dump(mode="json") for name in stated}
    except click.ClickException as error:
        return error.message
    except FIXABLE as error:
        return one_line(str(error))
    finally:
        file.write_bytes(before)


@given(asked=changed())
@example(asked=("smoke", {"split_task": {"seed": 7}}))
@example(asked=("smoke", ["split_tasks"]))
@example(asked=("smoke", {}))
@example(asked=("smoke", {7: 7}))
@example(asked=("smoke", "split_tasks: {seed: 0x" + 5000 * "f" + "}"))
@example(asked=("smoke", "split_tasks: &a [*a]"))
@example(asked=("smoke", 5000 * "["))
def test_parameters_are_refused_in_short_lines_or_accepted_as_they_are_read_again(
    asked: tuple[str, Any], conf: Path
) -> None:
    env, parameters = asked
    with within_limits():
        found = read_or_refused(conf, env, parameters)
    if isinstance(found, str):
        event("refused")
        assert all(is_one_short_line(line) for line in found.splitlines())
        assert any(place in found for place in (f"conf/{env}/parameters.yml", "conf/base/parameters.yml"))
        return
    event("accepted")
    assert {name: MODELS[name].model_validate(read).model_dump(mode="json") for name, read in found.items()} == found


@given(given=VALUES)
def test_a_whole_section_of_anything_is_refused_in_short_lines(given: object, conf: Path) -> None:
    with within_limits():
        found = read_or_refused(conf, "smoke", {**FILES["smoke"], "train_projector": given})
    event("refused" if isinstance(found, str) else "accepted")
    assert not isinstance(found, str) or all(is_one_short_line(line) for line in found.splitlines())
