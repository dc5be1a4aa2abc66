"""A Ray cluster: one of this process's own, or one that is there already."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch

from projpipe.config import RayConfig
from projpipe.errors import InputError
from projpipe.stops import end_now, in_a_thread, stopping

SECONDS_TO_ANSWER = 3
# What gRPC, which Ray speaks, begins with (RFC 9113): a preface with empty settings, and the type of such a frame.
HTTP2, HTTP2_SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"\4"
SECONDS_BETWEEN_LOOKS, SECONDS_TO_BE_TOLD = 0.05, 1.0
GOES_ON = "run the same command again, and it goes on"
LOST = f"a worker of Ray was lost: it was killed, or memory was short; {GOES_ON}"


def connect(config: RayConfig) -> RayConfig:
    """Join the cluster of the config, or start one on this machine; once a process.

    Returns:
        The config with `use_gpu` decided.

    Raises:
        InputError: no cluster answers, or it has no room for the workers.
    """
    # Read by Ray when it is imported, here for the first time.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    # A worker that reports waits until it is polled, every two seconds unless told otherwise.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")
    if config.address is None:
        _ask_for_a_token()
        # It would start one more process a run, to hear that a cloud takes the machine away.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    # Its own way with signals would print a stack where this process is told to end.
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    import ray

    if not ray.is_initialized():
        find_cluster(config.address)
        try:
            if config.address is None:
                # The system kills what Ray starts here when the thread that started it ends.
                in_a_thread(_start, then=_end_when_ray_does)
            else:
                in_a_thread(partial(_start, config.address))
        except Exception as error:
            if config.address is not None:
                raise _no_cluster(config.address, error) from error
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"Ray did not start on this machine ({reason}); {GOES_ON}") from error
    return allocate_workers(config, ray.cluster_resources())


def _ask_for_a_token() -> None:
    """Have the cluster that is started here take nobody without this process's token.

    Ray's ports are open on every interface: whoever reaches them runs code.

    Raises:
        InputError: Ray is imported already, and without a token; it looks only once.
    """
    if "ray" in sys.modules and os.environ.get("RAY_AUTH_MODE") != "token":
        raise InputError(
            "train_projector.ray.address: ray was imported before, without a token, so that a cluster started here "
            "would be open to others; set RAY_AUTH_MODE=token in the environment, or import ray later"
        )
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _start(address: str | None = None) -> None:
    import ray
    from ray._private import worker

    logging.getLogger(worker.__name__).addFilter(_is_of_interest)
    where: dict[str, Any] = {}
    if address is None:
        where["_node_ip_address"] = "127.0.0.1"
        worker.print_to_stdstream = _say_nothing  # of an end that `_end_when_ray_does` tells of
    ray.init(
        address or "local",  # else that of $RAY_ADDRESS, or of the last `ray start`
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        **where,
    )


def _is_of_interest(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("SIGTERM handler is not set")


def _say_nothing(*_: object, **__: object) -> None:
    pass


def _end_when_ray_does() -> None:
    """Have this process end, with one line, where one of its cluster does: Ray would say nothing, or a lot."""
    import ray
    from ray._private import worker

    node: Any = worker._global_node
    while ray.is_initialized() or node.all_processes:
        started = [(kind, one.process) for kind, ones in list(node.all_processes.items()) for one in ones]
        ended = {kind: process.returncode for kind, process in started if process.poll() is not None}
        # Whoever tells this process to end may tell its children too, and they may be the first to do so. But nobody
        # tells by SIGKILL, and without its raylet this process ends, with no word, as soon as it asks for an object.
        to_be_told = 0 if -signal.SIGKILL in ended.values() else SECONDS_TO_BE_TOLD
        if ended and ray.is_initialized() and not stopping.wait(to_be_told):
            sys.stderr.write(f"Ray has ended: its {next(iter(ended))} was killed, or memory was short; {GOES_ON}\n")
            sys.stderr.flush()
            end_now(1)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def find_cluster(address: str | None) -> None:
    """Refuse an address at which nothing listens, or something that is no Ray: Ray would wait there for minutes.

    Raises:
        InputError: names the address and what went wrong.
    """
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if port.isdigit():
        host = host.strip("[]")  # of IPv6
        try:
            with socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER) as connection:
                connection.sendall(HTTP2)
                header = connection.makefile("rb").read(9)
        except OSError as error:
            raise _no_cluster(address, error) from error
        if header[3:4] != HTTP2_SETTINGS and os.environ.get("RAY_USE_TLS") != "1":
            raise _no_cluster(address, ConnectionError("something else does"))


def _no_cluster(address: str | None, error: Exception) -> InputError:
    return InputError(
        f"train_projector.ray.address: no Ray cluster answers at {address!r} ({error}); start one with "
        "`ray start --head`, or set it to null for one on this machine"
    )


def allocate_workers(config: RayConfig, has: Mapping[str, float]) -> RayConfig:
    """Decide on GPUs where the config does not, by what a cluster has of each resource.

    Raises:
        InputError: there are fewer CPUs or GPUs than the workers ask for, and Ray would wait for ever; names both.
    """
    if config.use_gpu is None:
        config = config.model_copy(update={"use_gpu": has.get("GPU", 0) >= config.num_workers})
    asked = (
        ("CPU", config.num_workers * config.cpus_per_worker, "lower num_workers or cpus_per_worker"),
        ("GPU", config.num_workers * bool(config.use_gpu), "lower num_workers or set use_gpu to false"),
    )
    for kind, amount, fix in asked:
        if amount > has.get(kind, 0):
            raise InputError(
                f"train_projector.ray: {config.num_workers} workers ask for {amount} {kind}s, the cluster has "
                f"{has.get(kind, 0):g}; {fix}"
            )
    return config


def as_task(function: Callable[..., Any], config: RayConfig) -> tuple[Any, torch.device]:
    """A function as a Ray task of one CPU, on a GPU of its own where the cluster has them; and the device it is to use.

    Raises:
        InputError: no cluster answers, or it has no room for the workers.
    """
    use_gpu = bool(connect(config).use_gpu)
    import ray  # not before: it is connected with a token

    task = ray.remote(num_cpus=1, num_gpus=int(use_gpu), max_retries=1)(function)
    return task, torch.device("cuda" if use_gpu else "cpu")


def give_back() -> None:
    """Give back what this process holds of the cluster; one training of a process is at work at a time.

    Ray keeps it where a controller of Ray Train was lost while its workers were starting, and the next one waits for it
    for ever: placement groups are known to what cleans up only when workers have started (Ray 2.60).
    """
    import ray
    from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

    job = ray.get_runtime_context().get_job_id()
    for name, group in placement_group_table().items():
        if name.endswith(job) and group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(name)))


def first_of(references: Iterable[Any]) -> Any:
    """The Ray task that ends first; in the main thread, Ray would look for signals once a second."""
    import ray

    (ready,), _ = in_a_thread(partial(ray.wait, list(references)))
    return ready


def result_of(reference: Any) -> Any:
    """What a Ray task returned; what a person can fix is raised as the task raised it."""
    import ray
    from ray.exceptions import LocalRayletDiedError, NodeDiedError, OutOfMemoryError, WorkerCrashedError

    try:
        return in_a_thread(partial(ray.get, reference))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
    except (LocalRayletDiedError, NodeDiedError, OutOfMemoryError, WorkerCrashedError) as error:
        raise InputError(LOST) from error
