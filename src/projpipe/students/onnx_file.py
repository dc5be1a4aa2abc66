"""A model as an ONNX file, checked against torch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from projpipe.errors import InputError

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

LARGEST_DIFFERENCE = 1e-4
CHECKED_BATCHES = (1, 3)


def write_onnx(model: VisionTransformer, path: Path) -> None:
    """Write a model with inputs `image` `[N, C, H, W]`, normalised, and outputs `logits` `[N, K]`, for any `N`.

    onnxruntime has to compute what torch computes, for two batch sizes and up to 1e-4.

    Raises:
        InputError: the packages of the extra `onnx` are not installed.
        RuntimeError: the file computes something else.
    """
    try:
        import onnx  # noqa: F401 - said here, before anything is exported
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise InputError(f"--onnx: {error.name} is not installed; `pip install 'projpipe[onnx]'`") from error
    shape = model.patch_embed.proj.in_channels, *model.patch_embed.img_size
    exporters = logging.getLogger("torch.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        level = exporters.level
        exporters.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                model,
                (torch.zeros(2, *shape),),
                path,
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes={"x": {0: torch.export.Dim("N")}},
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        finally:
            exporters.setLevel(level)
    _forget_where_it_was_made(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in CHECKED_BATCHES:
        images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            expected = model(images)
        (found,) = session.run(None, {"image": images.numpy()})
        difference = (torch.from_numpy(found) - expected).abs().max().item()
        if difference > LARGEST_DIFFERENCE:
            raise RuntimeError(f"{path}: differs from torch by {difference:.2g}, more than {LARGEST_DIFFERENCE:g}")


def _forget_where_it_was_made(path: Path) -> None:
    """Drop the exporter's notes: paths of the source on this machine, longer than the weights of a small model."""
    import onnx

    file = onnx.load(path)
    for node in file.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*file.graph.value_info, *file.graph.input, *file.graph.output, *file.graph.initializer):
        del value.metadata_props[:]
    del file.graph.metadata_props[:]
    onnx.save(file, path)
