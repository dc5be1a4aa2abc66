"""Configuration as Kedro loads it, and the names of folders of data: the environment's and the comparison's."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from kedro.config import OmegaConfigLoader
from omegaconf.errors import OmegaConfBaseException

from projpipe.config import DEFAULT_COMPARISON
from projpipe.errors import InputError, did_you_mean

PARAMETERS = "parameters.yml"
# A file that is no YAML or nested without end, a list or a number in place of sections, or a reference to nothing.
UNREADABLE = (yaml.YAMLError, RecursionError, AttributeError, OSError, OmegaConfBaseException)


class EnvironmentConfigLoader(OmegaConfigLoader):
    """Kedro's loader, see `settings.py`, for environments that each keep their data in a folder of their own name.

    So a copy of an environment never writes over the data of the one that it was copied from.

    Raises:
        InputError: the path holds what looks like a pattern; there is no such environment, or it is the one that all
            share; or parameters stand in a file of
            another name than `parameters.yml`.
    """

    def __init__(
        self,
        conf_source: str | Path,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if any(sign in str(conf_source) for sign in "?*["):
            raise InputError(
                f"{conf_source}: Kedro finds no configuration in a folder with ?, * or [ in its path; rename it"
            )
        super().__init__(conf_source, env, runtime_params, **kwargs)
        self.environment = self.env or self.default_run_env
        files = sorted(Path(conf_source).glob("*/parameters*"))
        if stray := next((path for path in files if path.name != PARAMETERS), None):
            raise InputError(f"{stray}: an environment has one file; move what this holds to {PARAMETERS}")
        known = sorted({path.parent.name for path in files} - {self.base_env})
        if known and self.environment not in known:
            hint = did_you_mean(self.environment, known, f"there are {', '.join(known)}")
            raise InputError(f"--env: {self.environment!r} is not an environment; {hint}")

    def __getitem__(self, key: str) -> dict[str, Any]:
        """As Kedro's; the catalog finds `${globals:environment}` and `${globals:comparison}`.

        Raises:
            InputError: a file cannot be read.
        """
        if key == "catalog":
            names = {"environment": self.environment, "comparison": _comparison(self["parameters"])}
            self["globals"] = {**self["globals"], **names}
        try:
            return super().__getitem__(key)
        except UNREADABLE as error:
            files = " or ".join(f"conf/{folder}/{key}.yml" for folder in (self.environment, self.base_env))
            raise InputError(f"{files}: cannot be read ({error}); correct it") from error

    def origin(self, place: Sequence[int | str]) -> str:
        """Where a parameter is stated: --params, or a file; where none states it, the file of the environment."""
        if _states(self.runtime_params, place):
            return "--params"
        conf = Path(self.conf_source)
        files = [conf / folder / PARAMETERS for folder in (self.environment, self.base_env)]
        stating = (path for path in files if _states(_parsed(path.read_text()), place))
        return str(next(stating, files[0]).relative_to(conf.parent))


@lru_cache(maxsize=2)
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def _states(given: Any, place: Sequence[int | str]) -> bool:
    for key in place:
        try:
            given = given[key]
        except (LookupError, TypeError):
            return False
    return True


def _comparison(parameters: Mapping[str, object]) -> str:
    """The comparison that parameters ask for, in a file or with --params; what is wrong with them is said later."""
    stated = parameters.get("compare_methods")
    return stated.get("comparison", DEFAULT_COMPARISON) if isinstance(stated, dict) else DEFAULT_COMPARISON
