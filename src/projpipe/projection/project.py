"""The idea in one screen: the weights of a small student from those of a large source.

What of them depends on the task is added to these: see `experts` and `film`.

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


def project(source: Weights, factors: Mapping[str, Tensor]) -> Weights:
    """Turn a source's weights into those of a student that knows all of its classes, by the factors.

    `R` reads the residual stream and `E` writes to it; `A` and `B` choose among heads, `M` and `N` among hidden units.
    Of a source of 8 blocks of width 96, whose MLPs have 384 units, a student of 2 blocks of width 12 is made thus (four
    source blocks, side by side, stand behind each student block):

        factors["attn_read"]  R  [2, 12, 96]      source["q.weight"]    W  [2, 384, 96]
        factors["q_units"]    A  [2, 12, 384]     A W R^T                  [2, 12, 12]
        factors["mlp_write"]  E  [2, 12, 96]      source["fc2.weight"]  W  [2, 96, 1536]
        factors["fc2_units"]  N  [2, 12, 1536]    E W N^T                  [2, 12, 12]

    Args:
        source: canonical weights, the blocks of each group merged: see `source.merged_weights`.
        factors: `[L_s, student, source]` by name.

    Returns:
        Canonical student weights; of a decoder with its `condition.weight`, an embedding for every class.
    """
    weights = _project_tokens(source, factors["embed_write"][0])
    for name, stream in READING.items():
        units = factors[f"{name}_units"]
        weights[f"{name}.weight"] = units @ source[f"{name}.weight"] @ factors[stream].mT
        weights[f"{name}.bias"] = (units @ source[f"{name}.bias"][..., None]).squeeze(-1)
    for name, stream in WRITING.items():
        write = factors[stream]
        weights[f"{name}.weight"] = write @ source[f"{name}.weight"] @ factors[f"{name}_units"].mT
        weights[f"{name}.bias"] = (write @ source[f"{name}.bias"][..., None]).squeeze(-1)
    weights["head.weight"] = source["head.weight"] @ factors["head_read"][0].mT
    weights["head.bias"] = source["head.bias"].clone()
    return weights


def _project_tokens(source: Weights, embed: Tensor) -> Weights:
    """What makes a student's tokens, by the map `E_0` `[d_s, d]` from the source's residual stream to its own."""
    rows = ("prefix", "pos", "condition.weight")
    weights: Weights = {name: source[name] @ embed.mT for name in rows if name in source}
    weights["patch.weight"] = embed @ source["patch.weight"]
    weights["patch.bias"] = embed @ source["patch.bias"]
    if "pre.weight" in source:
        # The student's own normalisation makes the root mean square one; about this is what it was.
        scale = (embed * source["pre.weight"]).square().sum() / len(embed)
        weights["pre.weight"] = scale.sqrt().expand(len(embed))
        weights["pre.bias"] = embed @ source["pre.bias"]
    return weights
