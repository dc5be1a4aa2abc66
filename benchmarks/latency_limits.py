"""Whether models that are made within a limit of latency are within it when they are measured again, on the CPU.

    python benchmarks/latency_limits.py

Makes models of a projector of many sizes for random classes, each within a random limit between what its smallest and
its largest size take, measures each again, and prints how many are more than 5 % above their limit. Without
--projector FOLDER it is one that is not trained: its time does not depend on what its weights are.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch

from projpipe import load_projector
from projpipe.errors import InputError
from projpipe.machine import processor
from projpipe.objectives import Classification
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.source import Source
from projpipe.students.limits import Limits
from projpipe.students.stopwatch import time_of
from projpipe.teacher.activations import activation_statistics
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec, written

MOST_CLASSES = 20
ABOVE = 1.05  # times its limit is what a model may take


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projector", type=Path, help="folder of a trained one with many sizes")
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--batch", type=int, default=1, help="images in a pass")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    projector = load_projector(arguments.projector) if arguments.projector else untrained()
    print(f"{processor()}, one thread, batches of {arguments.batch}; sizes from {projector.sizes}")
    print("size           classes  limit ms  chosen by  measured again  of its limit")
    shares = list(measure(projector, arguments.models, arguments.batch, np.random.default_rng(arguments.seed)))
    within = sum(share <= ABOVE for share in shares)
    print(
        f"{within} of {len(shares)} within {ABOVE} times their limit, {arguments.models - len(shares)} refused; the "
        f"median takes {np.median(shares):.2f} of it,",
        end=" ",
    )
    print(f"the worst {max(shares):.2f}")


def untrained() -> Projector:
    """A projector of many sizes, of a teacher of 6 blocks x 96 for grey 28 x 28 images."""
    sizes = {"embed_dim": 96, "depth": 6, "num_heads": 6, "mlp_ratio": 4.0}
    teacher = timm.create_model(
        "vit_tiny_patch16_224", img_size=28, patch_size=4, in_chans=1, num_classes=50, **sizes
    ).eval()
    images = torch.randn(32, 1, 28, 28)
    statistics = activation_statistics(teacher, [lambda: teacher(images)])
    source = Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)
    largest = source.spec.student(64, 4, 4, 4.0)
    conditioning = Conditioning(experts=3, film=True, task_embed_dim=8)
    operator = ProjectionOperator(source, largest, conditioning, seed=0).eval()
    data = {"classes": [f"class {number}" for number in range(50)]}
    of_sizes = SizeOffsets(Sizes(largest.resized(12, 1, 2, 12), largest))
    return Projector(operator, Classification([0.5], [0.5], (1, 28, 28)), data, {}, of_sizes)


def measure(projector: Projector, count: int, batch: int, rng: np.random.Generator) -> Iterator[float]:
    """What share of its limit each of some models takes when it is measured again; prints a row for each."""
    sizes = projector.sizes
    assert sizes is not None, "the projector makes models of one size"
    ends = [projector.latency_ms(projector.classes[:5], size, batch) for size in (sizes.smallest, sizes.largest)]
    low, high = np.log(1.1 * np.array(ends))
    for _ in range(count):
        classes = list(rng.permutation(projector.classes)[: rng.integers(2, MOST_CLASSES + 1)])
        limit = float(np.exp(rng.uniform(low, high)))
        try:
            size, chosen_by = projector.size_within(Limits(max_latency_ms=limit, batch=batch), classes)
        except InputError as error:  # the limit is near what the smallest takes, and the machine is slower by now
            print(f"refused: {error}", flush=True)
            continue
        model = projector.student(classes, size=size).to_timm()
        assert chosen_by is not None
        taken = time_of(partial(projector.objective.logits, model, projector.objective.blank(batch)))["median_ms"]
        print(
            f"{written(size):13}  {len(classes):7}  {limit:8.3f}  {chosen_by['median_ms']:9.3f}  {taken:14.3f}  "
            f"{taken / limit:12.2f}",
            flush=True,
        )
        yield taken / limit


if __name__ == "__main__":
    main()
