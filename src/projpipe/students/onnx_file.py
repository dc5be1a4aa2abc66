"""A model as an ONNX file, checked against torch, and with weights of 8 bits."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from projpipe.errors import InputError
from projpipe.record import regular_file
from projpipe.students.elapsed import Elapsed
from projpipe.students.stopwatch import time_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from timm.models.vision_transformer import VisionTransformer

LARGEST_DIFFERENCE = 1e-4
CHECKED_BATCHES = (1, 3)
METADATA = ("label_names", "mean", "std", "input_size")
COMPARED = 64  # random images that logits of 8-bit weights are compared on


def write_onnx(model: VisionTransformer, path: Path) -> None:
    """Write a model with inputs `image` `[N, C, H, W]`, normalised, and outputs `logits` `[N, K]`, for any `N`.

    onnxruntime has to compute what torch computes, for two batch sizes and up to 1e-4. The file's metadata say what
    timm's `pretrained_cfg` does, as JSON: `label_names` in the order of the logits, `mean` and `std` by which images in
    0..1 are normalised, and `input_size`.

    Raises:
        InputError: the packages of the extra `onnx` are not installed.
        RuntimeError: the file computes something else.
    """
    try:
        import onnx  # noqa: F401 - said here, before anything is exported
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise InputError(f"ONNX: {error.name} is not installed; `pip install 'projpipe[onnx]'`") from error
    with _without_warnings("torch.onnx"):
        torch.onnx.export(
            model,
            (_random_images(model, 2),),
            path,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes={"x": {0: torch.export.Dim("N")}},
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    _say_what_it_reads(path, model)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in CHECKED_BATCHES:
        difference = _difference(model, session, batch)
        if difference > LARGEST_DIFFERENCE:
            raise RuntimeError(f"{path}: differs from torch by {difference:.2g}, more than {LARGEST_DIFFERENCE:g}")


def write_int8(model: VisionTransformer, written: Path, path: Path) -> float:
    """Write the file of a model again with 8-bit weights of its linear maps, a scale for each of their outputs.

    Args:
        written: what `write_onnx` has written of it.

    Returns:
        The largest difference of its logits from the model's, on random normalised images.
    """
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _without_warnings("root"):
        quantize_dynamic(written, path, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return _difference(model, session, COMPARED)


def onnx_latency(model: VisionTransformer, batch: int, threads: int) -> Elapsed:
    """How long a forward pass of a model's ONNX file takes in ONNX Runtime.

    Raises:
        InputError: as of `write_onnx`.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(model, path)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = {"image": _random_images(model, batch).numpy()}
    return time_of(lambda: session.run(None, images), threads)


def read_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """The forward pass of a model's ONNX file: normalised images `[N, C, H, W]` to logits `[N, K]`.

    Raises:
        InputError: there is no such file, it is none of ONNX, or ONNX Runtime is not installed.
    """
    made = "`projpipe generate` makes it with --onnx or --quantize int8"
    try:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(regular_file(path)), providers=["CPUExecutionProvider"])
    except ImportError as error:
        raise InputError(f"ONNX: {error.name} is not installed; `pip install 'projpipe[onnx]'`") from error
    except Exception as error:  # of a file that is none of ONNX, ONNX Runtime raises what it likes
        raise InputError(f"{path}: cannot be read as ONNX ({error}); {made}") from error

    def logits(images: Tensor) -> Tensor:
        try:
            (found,) = session.run(["logits"], {"image": images.numpy()})
        except Exception as error:
            raise InputError(f"{path}: does not compute logits of such images ({error}); {made}") from error
        return torch.from_numpy(found)

    return logits


def _random_images(model: VisionTransformer, count: int) -> Tensor:
    """Normalised images `[count, C, H, W]` that are the same each time."""
    shape = model.patch_embed.proj.in_channels, *model.patch_embed.img_size
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


@torch.inference_mode()
def _difference(model: VisionTransformer, session: InferenceSession, batch: int) -> float:
    """The largest difference of a session's logits from a model's, on so many random images."""
    images = _random_images(model, batch)
    (found,) = session.run(None, {"image": images.numpy()})
    return (torch.from_numpy(found) - model(images)).abs().max().item()


@contextmanager
def _without_warnings(logger: str) -> Iterator[None]:
    """Keep what exports or quantises from warning of itself; `logger` is the name of what it logs to."""
    logs = logging.getLogger(logger)
    level = logs.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logs.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logs.setLevel(level)


def _say_what_it_reads(path: Path, model: VisionTransformer) -> None:
    """Put a model's metadata in place of the exporter's notes, which are paths of the source on this machine."""
    import onnx

    file = onnx.load(path)
    for node in file.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*file.graph.value_info, *file.graph.input, *file.graph.output, *file.graph.initializer):
        del value.metadata_props[:]
    del file.graph.metadata_props[:]
    for name in METADATA:
        if name in model.pretrained_cfg:
            file.metadata_props.add(key=name, value=json.dumps(model.pretrained_cfg[name], ensure_ascii=False))
    onnx.save(file, path)
