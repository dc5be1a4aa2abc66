"""In which precision models compute while they learn. Weights, optimisers, losses and what is judged stay float32."""

from __future__ import annotations

import torch

from projpipe.config import Precision


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """Matrix products on the device are in `precision` while the body runs; what is delicate stays float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
