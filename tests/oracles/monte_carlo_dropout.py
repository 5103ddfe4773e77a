"""Monte Carlo dropout with given masks, one image and one sample at a time, straight from the definition."""

from __future__ import annotations

import torch
from torch import nn


def masked_logits(network: nn.Module, images: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
    """Return logit samples ``(B, S, K)``; ``masks`` holds one ``(S, D)`` per dropout module, in order."""
    samples = len(masks[0])
    result = []
    for image in images:
        rows = []
        for s in range(samples):
            x = network.features(image[None]).flatten(1)
            remaining = [mask[s] for mask in masks]
            for module in network.head:
                if isinstance(module, nn.Dropout):
                    x = torch.where(remaining.pop(0), x / (1 - module.p), torch.zeros_like(x))
                else:
                    x = module(x)
            assert not remaining
            rows.append(x[0])
        result.append(torch.stack(rows))
    return torch.stack(result).detach()
