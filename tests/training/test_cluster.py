"""Ray's cluster: who may join it, whether one answers, and what room it has."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress

import grpc
import psutil
import pytest

from projpipe.config import RayConfig
from projpipe.errors import InputError
from projpipe.stops import STOPPED
from projpipe.training import cluster

JOIN = "import ray, sys; ray.init(sys.argv[1], logging_level='ERROR'); print('joined')"


@pytest.fixture(scope="module", autouse=True)
def stop_ray():
    yield
    import ray

    ray.shutdown()


def test_a_process_without_the_token_is_refused_by_the_cluster_of_a_run() -> None:
    cluster.connect(RayConfig())
    import ray

    address, token = ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}

    def join(**auth: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", JOIN, address]
        settings = plain | {"RAY_NUM_REDIS_GET_RETRIES": "1"} | auth
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)

    assert "joined" in join(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token).stdout
    for stranger in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * len(token)}):
        ended = join(**stranger)
        assert ended.returncode != 0
        assert "joined" not in ended.stdout
        assert "ConnectionError" in ended.stderr


RUN_CODE = [  # what would run code, or tell of it, at each kind of Ray's processes
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.ObjectManagerService/Push",
    "/ray.rpc.InternalKVGcsService/InternalKVGet",
]


def listening() -> list[tuple[str, str, int]]:
    """Name, address and port of all that this process and its children listen at."""
    this = psutil.Process()
    return [
        (process.name(), {"::": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(at.laddr.ip, at.laddr.ip), at.laddr.port)
        for process in [this, *this.children(recursive=True)]
        for at in process.net_connections("tcp")
        if at.status == psutil.CONN_LISTEN
    ]


def answers(host: str, port: int, token: str | None) -> set[str]:
    """How a gRPC server takes calls that run code."""
    found = set()
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        for method in RUN_CODE:
            try:
                channel.unary_unary(method)(b"", timeout=5, metadata=metadata)
                found.add("OK")
            except grpc.RpcError as error:
                found.add(error.code().name)
    return found - {"UNIMPLEMENTED"}  # it is another kind of process


def test_what_a_lost_controller_held_is_given_back() -> None:
    cluster.connect(RayConfig())
    import ray
    from ray.util.placement_group import placement_group

    everything = [{"CPU": int(ray.cluster_resources()["CPU"])}]
    assert placement_group(everything).wait(60)
    cluster.give_back()
    assert placement_group(everything).wait(60)
    cluster.give_back()


def test_no_port_of_a_run_takes_a_stranger() -> None:
    cluster.connect(RayConfig())
    ports = listening()
    assert {"gcs_server", "raylet"} <= {name for name, _, _ in ports}
    for name, host, port in ports:
        if "RuntimeEnvAgent" in name:  # it speaks HTTP
            url = f"http://{host}:{port}/get_or_create_runtime_env"
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST"), timeout=5)
        else:
            assert answers(host, port, token=None) == {"UNAUTHENTICATED"}, name
            assert answers(host, port, token="0" * 64) == {"UNAUTHENTICATED"}, name
            assert "UNAUTHENTICATED" not in answers(host, port, os.environ["RAY_AUTH_TOKEN"]), name


def test_no_cluster_is_started_where_ray_was_imported_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    ray.shutdown()
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(InputError, match=r"a cluster started here would be open to others; set RAY_AUTH_MODE=token"):
        cluster.connect(RayConfig())


@pytest.mark.parametrize(
    ("asked", "gpus", "used"), [(None, 0, False), (None, 1, False), (None, 2, True), (False, 2, False)]
)
def test_gpus_are_used_where_every_worker_has_one(asked: bool | None, gpus: int, used: bool) -> None:
    config = RayConfig(num_workers=2, use_gpu=asked)
    assert cluster.allocate_workers(config, {"CPU": 2, "GPU": gpus}).use_gpu is used


def test_a_gpu_that_is_asked_for_and_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 workers ask for 1 GPUs, the cluster has 0; .* set use_gpu to false"):
        cluster.allocate_workers(RayConfig(use_gpu=True), {"CPU": 2})


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_at_which_nothing_answers_is_refused_in_seconds(scheme: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(InputError, match=rf"ray\.address: no Ray cluster answers at '{address}' .*`ray start --head`"):
        cluster.find_cluster(address)
    assert time.monotonic() - start < 5


def test_an_address_at_which_another_server_answers_is_refused_and_that_of_a_cluster_is_not() -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        with pytest.raises(InputError, match=rf"no Ray cluster answers at '127.0.0.1:{port}' \(something else does\)"):
            cluster.find_cluster(f"127.0.0.1:{port}")
        server.kill()
    cluster.connect(RayConfig())
    import ray

    cluster.find_cluster(ray.get_runtime_context().gcs_address)


STARTS_RAY = """
import time
from projpipe.config import RayConfig
from projpipe.stops import ending_in_order
from projpipe.training.cluster import as_task, first_of, result_of

def sleep():
    time.sleep(60)

with ending_in_order():
    task, _ = as_task(sleep, RayConfig())
    print("started", flush=True)
    result_of(first_of([task.remote()]))
"""


def descendants(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """What a process has started, by name."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found[child.name()] = child
    return found


@pytest.mark.parametrize(
    ("number", "seen"), [(signal.SIGTERM, "gcs_server"), (signal.SIGINT, "raylet"), (signal.SIGTERM, "raylet")]
)
def test_a_signal_while_ray_starts_ends_the_run_with_one_line_and_leaves_no_process(
    number: signal.Signals, seen: str
) -> None:
    command = [sys.executable, "-c", STARTS_RAY]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True) as process:
        while seen not in (children := descendants(process)):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)  # heard once Ray lets go of Python
    assert (process.returncode, said) == (128 + number, f"{STOPPED}\n")
    assert not psutil.wait_procs(children.values(), timeout=5)[1]


def test_a_stop_of_all_processes_at_once_is_not_taken_for_a_ray_that_died() -> None:
    command = [sys.executable, "-c", STARTS_RAY]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n", process.communicate()[1]
        children = descendants(process)
        time.sleep(1)  # until it waits for the task
        os.killpg(process.pid, signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (128 + signal.SIGTERM, f"{STOPPED}\n")
    assert not psutil.wait_procs(children.values(), timeout=5)[1]
