from pathlib import Path

import torch

from projpipe.training.provenance import describe_run


def test_a_run_is_described_by_code_inputs_parameters_and_machine(tmp_path: Path) -> None:
    made = {"dataset_sha256": "5f", "train_tasks_sha256": "7a", "teacher_sha256": "7e", "seed": "0"}
    run = describe_run(tmp_path, made, {"split_tasks": {"seed": 1}})
    assert (run["dataset_sha256"], run["train_tasks_sha256"], run["teacher_sha256"]) == ("5f", "7a", "7e")
    assert run["parameters"] == {"split_tasks": {"seed": 1}}
    assert run["commit"] == "unknown"  # outside of git
    assert len(run["code_sha256"]) == 64
    assert run["versions"]["torch"] == torch.__version__.partition("+")[0]
    name, _, instructions = run["processor"].rpartition(", ")
    assert name
    assert instructions == torch.backends.cpu.get_cpu_capability()
    assert run["threads"] == torch.get_num_threads()
