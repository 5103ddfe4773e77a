"""Logarithms of probabilities that neither underflow nor cancel."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["log_one_minus_exp", "log_softplus"]


def log_softplus(x: torch.Tensor) -> torch.Tensor:
    """Return ``log log(1 + eˣ)``, also where ``eˣ`` underflows.

    With ``x → −∞`` it is ``x − eˣ/2``, up to terms of the order ``e²ˣ``.

    Example:
        >>> log_softplus(torch.tensor([-1000.0, 0.0, 1000.0]))
        tensor([-1.0000e+03, -3.6651e-01,  6.9078e+00])
    """
    below, above = x.clamp(max=-20.0), x.clamp(min=-20.0)
    # softplus itself is only right to e⁻²⁰ above 20
    return torch.where(x < -20.0, below - torch.exp(below) / 2, torch.log(-F.logsigmoid(-above)))


def log_one_minus_exp(log_u: torch.Tensor) -> torch.Tensor:
    """Return ``log(1 − e⁻ᵘ)`` of ``log u``, also where u itself underflows.

    It is ``log u + log((1 − e⁻ᵘ)/u)``, whose second term goes to 0 with u.

    Example:
        >>> log_one_minus_exp(torch.tensor([-1000.0, 0.0]))
        tensor([-1.0000e+03, -4.5868e-01])
    """
    # below the clamp, near the least float32, the second term is 0 in single and in double precision
    u = torch.exp(log_u).clamp(min=1e-37)
    return log_u + torch.log(-torch.expm1(-u) / u)
