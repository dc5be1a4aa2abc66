"""What this machine is: figures depend on it."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch


def system() -> str:
    """Operating system and kind of processor: 'Linux x86_64'."""
    return f"{platform.system()} {platform.machine()}"


def processor() -> str:
    """The processor, and the instruction set that torch uses of it: another one gives other last digits of sums."""
    described = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.+)$", described.read_text(), re.MULTILINE) if described.exists() else None
    name = named[1] if named else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
