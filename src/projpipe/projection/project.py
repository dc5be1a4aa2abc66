"""The idea in one screen: the weights of small students, one for each task, from those of one large source.

Idea: Zhmoginov, Lee, Sandler, 'Projectable Models: One-Shot Generation of Small Specialized Transformers from Large
Ones' (arXiv 2506.05641). The parametrisation is projpipe's own; docs/design.md explains it.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from projpipe.transformer.canonical import Weights

READING = {"q": "attn_read", "k": "attn_read", "v": "attn_read", "fc1": "mlp_read"}  # linear maps, and the factors that
WRITING = {"out": "attn_write", "fc2": "mlp_write"}  # tie them to the residual stream
LINEAR_MAPS = READING | WRITING


def project(source: Weights, factors: Mapping[str, Tensor], inner: Mapping[str, Tensor]) -> Weights:
    """Turn a source's weights and the factors of `T` tasks into the weights of `T` students, but for what is classes'.

    `R` reads the residual stream and `E` writes to it; `A` and `B` choose among heads, `M` and `N` among hidden units.
    Of a source of 8 blocks of width 96, whose MLPs have 384 units, students of 2 blocks of width 12 are made for 5
    tasks thus (four source blocks, side by side, stand behind each student block):

        factors["attn_read"]  R  [5, 2, 12, 96]      source["q.weight"]    W  [2, 384, 96]
        factors["q_units"]    A  [1, 2, 12, 384]     A W R^T                  [5, 2, 12, 12]
        factors["mlp_write"]  E  [5, 2, 12, 96]      source["fc2.weight"]  W  [2, 96, 1536]
        factors["fc2_units"]  N  [1, 2, 12, 1536]    E W N^T                  [5, 2, 12, 12]

    Args:
        source: canonical weights, the blocks of each group merged: see `source.merged_weights`.
        factors: `[T, L_s, student, source]` by name; 1 instead of `T` where all tasks share one.
        inner: `A W` and `W B^T`, which are the same for all tasks: `products.inner_products`.

    Returns:
        Canonical student weights with a leading axis `T`, or 1 where nothing depends on the task.
    """
    weights = project_tokens(source, factors["embed_write"][:, 0])
    for name, stream in READING.items():
        weights[f"{name}.weight"] = inner[name] @ factors[stream].mT
        weights[f"{name}.bias"] = (factors[f"{name}_units"] @ source[f"{name}.bias"][..., None]).squeeze(-1)
    for name, stream in WRITING.items():
        weights[f"{name}.weight"] = factors[stream] @ inner[name]
        weights[f"{name}.bias"] = (factors[stream] @ source[f"{name}.bias"][..., None]).squeeze(-1)
    return weights


def project_tokens(source: Weights, embed: Tensor) -> Weights:
    """What makes the students' tokens, by the map `E_0` `[T, d_s, d]` from the source's residual stream to theirs."""
    weights = {
        "patch.weight": embed @ source["patch.weight"],
        "patch.bias": embed @ source["patch.bias"],
        "prefix": source["prefix"] @ embed.mT,
        "pos": source["pos"] @ embed.mT,
    }
    if "pre.weight" in source:
        # The student's own normalisation makes the root mean square one; about this is what it was.
        scale = (embed * source["pre.weight"]).square().sum((1, 2), keepdim=True) / embed.shape[1]
        weights["pre.weight"] = scale.sqrt().squeeze(-1).expand(-1, embed.shape[1])
        weights["pre.bias"] = embed @ source["pre.bias"]
    return weights
