"""Writes docs/architectures.md: which of timm's plain Vision Transformers can be teachers.

python docs/architectures.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import timm
import torch

from projpipe.errors import InputError
from projpipe.transformer.architecture import check_supported

MODULES = ("vision_transformer", "deit")
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Teachers

What timm {version} has in its modules `vision_transformer` and `deit`, and whether projpipe can project it; written by
`python docs/architectures.py`. {accepted} of {total} can be teachers. A student keeps its teacher's token layout: class
token, registers, pooling, the normalisation before the blocks, the activation.
"""


def refusals() -> Iterator[tuple[str, str]]:
    """Every architecture, at reduced size, with the reason why it cannot be projected; "" where it can."""
    for module in MODULES:
        for name in timm.list_models(module=module):
            with torch.device("meta"):
                model = timm.create_model(name, **SMALL)
            try:
                check_supported(model)
                yield name, ""
            except InputError as error:
                yield name, str(error).partition(f"'{name}' ")[2].partition(", which cannot")[0]


def page(refused: Iterable[tuple[str, str]]) -> str:
    """The page as Markdown, of what `refusals` yields."""
    reasons: dict[str, list[str]] = {}
    for name, reason in refused:
        reasons.setdefault(reason, []).append(name)
    accepted = reasons.pop("")
    total = len(accepted) + sum(map(len, reasons.values()))
    rows = [["can be projected", accepted], *([reason, names] for reason, names in sorted(reasons.items()))]
    table = ["| | | architectures |", "| --- | ---: | --- |"]
    table += [f"| {reason} | {len(names)} | {', '.join(f'`{name}`' for name in names)} |" for reason, names in rows]
    return "\n".join([HEAD.format(version=timm.__version__, accepted=len(accepted), total=total), *table]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(refusals()), encoding="utf-8")
