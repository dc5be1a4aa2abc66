"""What 8-bit weights cost in accuracy, and what they save in bytes.

    python benchmarks/int8.py cifar100 data/01_raw/cifar100/test data/cifar100/06_models/teacher

Makes a model for every group of a projector's classes, and writes each as an ONNX file with float32 and with 8-bit
weights. Prints the accuracy of both on the pictures of a folder (`<class>/*`), in the mean over groups, and the bytes
of both; then the same of the teacher, a folder of timm, held to the classes of each group.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import Tensor

from projpipe import load_projector
from projpipe.commands.judge import Answers, Judgeable, judge
from projpipe.projection.projector import Projector
from projpipe.students.onnx_file import read_onnx, write_int8, write_onnx
from projpipe.transformer.timm_folder import load_timm_folder

FILES = {"float32": "model.onnx", "int8": "model.int8.onnx"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projector", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("teacher", type=Path)
    given = parser.parse_args()
    projector = load_projector(given.projector)
    with TemporaryDirectory() as folder:
        write_both(load_timm_folder(given.teacher), Path(folder))
        judged: dict[str, Judgeable] = {}
        for name, file in FILES.items():
            judged[f"small models, {name}"] = small(projector, file)
            judged[f"teacher, {name}"] = held_to(projector, read_onnx(Path(folder) / file))
        found = judge(projector, judged, given.images)
        sizes = {name: (Path(folder) / file).stat().st_size for name, file in FILES.items()}
    for name in judged:
        print(f"{name}: {100 * np.mean([of_group.right[name] / of_group.images for of_group in found]):.2f} %")
    print(f"{sum(of_group.images for of_group in found):,} images, the mean over {len(found)} groups")
    print(f"the teacher's file: {sizes['float32']:,} bytes, with 8 bits {sizes['int8'] / sizes['float32']:.1%} of them")


def write_both(model: Callable[[Tensor], Tensor], folder: Path) -> None:
    """Write a timm model with float32 and with 8-bit weights."""
    write_onnx(model, folder / FILES["float32"])
    write_int8(model, folder / FILES["float32"], folder / FILES["int8"])


def small(projector: Projector, file: str) -> Judgeable:
    """The models of the recommended size, of one of the files."""

    def asked(classes: Sequence[str]) -> Answers:
        student = projector.student(classes)
        with TemporaryDirectory() as folder:
            write_both(student.to_timm(), Path(folder))
            logits = read_onnx(Path(folder) / file)
        return lambda pictures: logits(student.objective.encode(pictures)).argmax(-1)

    return asked


def held_to(projector: Projector, logits: Callable[[Tensor], Tensor]) -> Judgeable:
    """A model of all classes, whose answer is the likeliest of those that are asked for."""

    def asked(classes: Sequence[str]) -> Answers:
        ids = projector.class_ids(classes)
        return lambda pictures: logits(projector.of_pictures.encode(pictures))[:, ids].argmax(-1)

    return asked


if __name__ == "__main__":
    main()
