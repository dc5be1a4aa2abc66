"""Activation statistics, against the same figures taken by hand."""

from functools import partial

import torch
import torch.nn.functional as F

from projpipe.teacher.activations import activation_statistics


def test_statistics_match_a_pass_by_hand(teacher, images) -> None:
    statistics = activation_statistics(teacher, [partial(teacher, some) for some in images.split(10)])
    x = teacher.patch_embed(images)
    x = teacher._pos_embed(x)
    read, hidden_means = [], []
    with torch.no_grad():
        for block in teacher.blocks:
            read.append(x)
            x = x + block.attn(block.norm1(x))
            read.append(x)
            hidden = block.mlp.act(block.mlp.fc1(block.norm2(x)))
            hidden_means.append(hidden.mean((0, 1)))
            x = x + block.mlp.fc2(hidden)
        read.append(x)
        rows = F.layer_norm(torch.cat(read).flatten(0, 1), (24,))
    torch.testing.assert_close(statistics["residual.second_moment"], rows.T @ rows / len(rows), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(statistics["hidden.mean"], torch.stack(hidden_means), atol=1e-5, rtol=1e-4)


def test_no_hook_stays_behind(teacher, images) -> None:
    activation_statistics(teacher, [lambda: teacher(images)])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.modules())
