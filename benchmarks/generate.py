"""What it takes to make one model: a ViT-B/16 with random weights to a 192 x 12 student for ten classes, on the CPU.

    python benchmarks/generate.py

Prints what loading the projector takes in time and memory, the median time to make the model against the floor of
reading every source weight once, in the same process, the memory that this takes beyond the loaded projector, and with
--projector FOLDER how long 1,000 tasks of a trained one take to make and save. Peaks of memory are reset before each,
for which it needs Linux; a projector is saved in another process.
"""

import argparse
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import timm
import torch

from projpipe import load_projector
from projpipe.objectives import Classification
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source
from projpipe.teacher.activations import activation_statistics
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.spec import TransformerSpec

CLASSES = [f"class {number}" for number in range(1000)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--projector", type=Path, help="folder of a trained projector, such as data/digits/06_models/projector"
    )
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        saving = multiprocessing.get_context("spawn").Process(target=save_projector, args=(Path(folder) / "projector",))
        saving.start()
        saving.join()
        projector = measure_loading(Path(folder) / "projector")
        measure_one(projector, arguments.repeats)
        if arguments.projector:
            measure_many(load_projector(arguments.projector), Path(folder) / "models")


def save_projector(folder: Path) -> None:
    """A projector of a ViT-B/16 that is not trained: its time does not depend on what its weights are."""
    teacher = timm.create_model("vit_base_patch16_224").eval()
    images = torch.randn(2, 3, 224, 224)
    statistics = activation_statistics(teacher, [lambda: teacher(images)])
    source = Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)
    conditioning = Conditioning(experts=16, film=True, task_embed_dim=32)
    operator = ProjectionOperator(source, source.spec.student(192, 12, 3, 4.0), conditioning, seed=0)
    objective = Classification([0.5] * 3, [0.5] * 3, (3, 224, 224))
    Projector(operator.eval(), objective, {"classes": CLASSES}, {}).save(folder)


def measure_loading(folder: Path) -> Projector:
    """Time and memory of reading a projector's folder."""
    before = start_of_peak()
    started = time.perf_counter()
    projector = load_projector(folder)
    seconds, extra = time.perf_counter() - started, peak_memory() - before
    size = source_size(projector)
    print(f"load the projector: {seconds:.2f} s, at most {extra / 2**20:.0f} MiB, {extra / size:.2f} times the source")
    return projector


def source_size(projector: Projector) -> int:
    return sum(tensor.nbytes for tensor in projector.operator.source.weights.values())


def measure_one(projector: Projector, repeats: int) -> None:
    """Time and memory of one model, the source's weights read in turn."""
    weights = list(projector.operator.source.weights.values())
    size = source_size(projector)
    before = start_of_peak()
    projector.student(CLASSES[:10])
    extra = peak_memory() - before
    make: list[float] = []
    read: list[float] = []
    for _ in range(repeats):
        read.append(seconds_of(lambda: [tensor.sum() for tensor in weights]))
        make.append(seconds_of(lambda: projector.student(CLASSES[:10])))
    floor, made = median(read), median(make)
    print(f"read all {size / 2**20:.0f} MiB of the source once: {1000 * floor:.1f} ms")
    print(f"make one model: {1000 * made:.1f} ms, {made / floor:.2f} times that ({torch.get_num_threads()} threads)")
    print(f"memory beyond the loaded projector: {extra / 2**20:.0f} MiB, {extra / size:.2f} times the source")


def measure_many(projector: Projector, folder: Path) -> None:
    """Make and save models for 1,000 tasks: all sets of two or three classes, over and over."""
    sets = [task for size in (2, 3) for task in itertools.combinations(projector.classes, size)]
    tasks = list(itertools.islice(itertools.cycle(sets), 1000))

    def make_and_save() -> None:
        for number, task in enumerate(tasks):
            projector.student(task).save(folder / str(number))

    seconds = seconds_of(make_and_save)
    print(f"make and save {len(tasks)} models: {seconds:.1f} s")


def seconds_of(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def start_of_peak() -> int:
    """Forget the peak of this process's memory; the memory that it holds now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def peak_memory() -> int:
    """The most memory that this process has held since `start_of_peak`, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
