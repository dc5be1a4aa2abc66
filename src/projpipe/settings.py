"""Settings that Kedro reads: how configuration is merged, and what a run shows and refuses."""

import os
import sys
from typing import Any

from projpipe.stops import end_when_told, end_with_parent

if sys.argv[1:2] == ["run"]:  # Kedro's command line, for which the imports below take seconds
    end_when_told()
    if "DVC_STAGE" in os.environ:  # DVC, when it is told to end, leaves its commands to themselves
        end_with_parent()

from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.hooks import ChecksumHooks, InputHooks, ProgressHooks, ThreadHooks
from projpipe.readable_session import ReadableSession

HOOKS = (InputHooks(), ChecksumHooks(), ProgressHooks(), ThreadHooks())
SESSION_CLASS = ReadableSession

# An environment states only what differs from conf/base: its parameters are merged key by key.
CONFIG_LOADER_CLASS = EnvironmentConfigLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "digits",
    "merge_strategy": {"parameters": "soft"},
}
