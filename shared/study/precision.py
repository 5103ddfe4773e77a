"""The precision that networks are trained in: lower where the processor is the faster for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.bundle import ConfigParser

__all__ = ["precision_name", "with_precision"]

#: what a processor says of instructions that multiply bfloat16; without one of them it is slower than float32
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def with_precision(training: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Settle ``amp`` where it is null: lower precision on CUDA, and on a processor with instructions for bfloat16.

    Args:
        training: keys of ``train.json``.
        device: torch device, as a config's expression.
    """
    settled = dict(training)
    if "amp" in settled and settled["amp"] is None:
        capabilities = torch.cpu.get_capabilities()
        settled["amp"] = _on_cuda(device) or any(capabilities.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
    return settled


def precision_name(training: Mapping[str, Any], device: str) -> str:
    """Return the data type of the networks' arithmetic in training; ``train.json`` lowers it on CUDA only.

    Example:
        >>> precision_name({"amp": True}, "cpu"), precision_name({}, "cpu")
        ('bfloat16', 'float32')
    """
    cuda = _on_cuda(device)
    lower = training.get("amp", cuda)
    return ("float16" if cuda else "bfloat16") if lower else "float32"


def _on_cuda(device: str) -> bool:
    return torch.device(ConfigParser({"device": device}).get_parsed_content("device")).type == "cuda"
