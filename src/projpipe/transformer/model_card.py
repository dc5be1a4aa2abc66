"""The model card: what a small model is, where it came from, and how to use it, as Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from projpipe.transformer.spec import TransformerSpec

USE = """## Use

```python
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
```

`model.pretrained_cfg` holds the names of the classes (`label_names`) and the normalisation (`mean`, `std`), which
`projpipe predict FOLDER IMAGE...` applies."""


def model_card(spec: TransformerSpec, classes: Sequence[str], provenance: Mapping[str, Any]) -> str:
    """The card of a model with these classes, in the order of its logits.

    Args:
        provenance: `teacher` (architecture, arguments, params, accuracy, license), `dataset`, `held_out_classes` (those
            of the model's), `validation_accuracy`, `versions`; what is not known is left out.
    """
    facts = (f"| {name} | {value} |" for name, value in _facts(spec, classes, provenance))
    about = (
        f"A small Vision Transformer that tells {len(classes)} classes apart. "
        "[projpipe](https://arxiv.org/abs/2506.05641) made it in one shot from a large one's weights, without data and "
        "without fine-tuning."
    )
    blocks = [
        "\n".join(_front_matter(provenance)),
        f"# {len(classes)} classes of {_text(provenance.get('dataset') or 'images')}",
        about,
        "\n".join(["| | |", "| --- | --- |", *facts]),
        *_cautions(provenance),
        "## Classes, in the order of the logits",
        "\n".join(f"{place}. {_text(name)}" for place, name in enumerate(classes, start=1)),
        USE,
    ]
    return "\n\n".join(blocks) + "\n"


def _front_matter(provenance: Mapping[str, Any]) -> Iterator[str]:
    yield "---"
    yield "library_name: timm"
    yield "pipeline_tag: image-classification"
    yield "tags:\n- image-classification\n- timm\n- projpipe"
    if license_name := provenance.get("teacher", {}).get("license"):
        yield f"license: {json.dumps(license_name)}"
    yield "---"


def _facts(spec: TransformerSpec, classes: Sequence[str], provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    teacher = provenance.get("teacher", {})
    params = spec.deployed_params(len(classes))
    fewer = f", {100 * (1 - params / teacher['params']):.1f} % fewer than its teacher" if "params" in teacher else ""
    yield "parameters", f"{params:,}{fewer}"
    yield "multiply-accumulates an image", f"{spec.deployed_macs(len(classes)):,}"
    yield "size", spec.describe_size()
    yield "images", f"{spec.describe_images()}, in patches of {spec.patch_size} x {spec.patch_size}"
    if teacher:
        arguments = f" with {json.dumps(teacher['arguments'])}" if teacher.get("arguments") else ""
        yield "teacher", _text(f"timm's {teacher['architecture']}{arguments}")
        yield "licence of the teacher's weights", _text(teacher.get("license") or "not known")
    if "test" in teacher.get("accuracy", {}):
        yield "accuracy of the teacher on test images, all classes", f"{100 * teacher['accuracy']['test']:.1f} %"
    if "validation_accuracy" in provenance:
        accuracy = f"{100 * provenance['validation_accuracy']:.1f} %"
        yield "mean accuracy of the projector's models on validation tasks", accuracy
    if "versions" in provenance:
        yield "made with", ", ".join(f"{name} {number}" for name, number in provenance["versions"].items())


def _cautions(provenance: Mapping[str, Any]) -> Iterator[str]:
    if new := provenance.get("held_out_classes"):
        yield f"No training task of the projector had {', '.join(map(_text, new))}: less is to be expected there."
    yield "This model's own accuracy was not measured: `projpipe evaluate FOLDER IMAGES` does that."


def _text(name: str) -> str:
    """Free text on one line, with Markdown's marks and HTML in it escaped."""
    return re.sub(r"([\\`*_\[\]<>&|~$#])", r"\\\1", " ".join(name.split()))
