"""The negative log-likelihood of a bag's label."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["BagLoss"]


class BagLoss(nn.Module):
    """Binary cross-entropy of the bags' logits (Ilse et al. 2018, section 2.1), tumour slides weighted.

    Args:
        tumour_weight: weight of a tumour slide against a normal one.
    """

    def __init__(self, tumour_weight: float = 1.0) -> None:
        super().__init__()
        if tumour_weight <= 0:
            raise ValueError(f"tumour_weight must be above zero, found {tumour_weight}")
        self.tumour_weight = tumour_weight

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over the batch, in nats.

        Args:
            logits: ``(B, 1)``.
            labels: 0 (normal) or 1 (tumour), ``(B,)``.
        """
        weight = torch.tensor(self.tumour_weight, device=logits.device)
        return F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype), pos_weight=weight)
