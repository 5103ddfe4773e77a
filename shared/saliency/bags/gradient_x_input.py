"""Gradient × input."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution

__all__ = ["GradientXInput", "bag_gradient"]


class GradientXInput(BagAttribution):
    """Gradient × input (Ancona et al. 2018), added over the features of an instance: ``R_i = Σ_e x_ie ∂f/∂x_ie``.

    Args:
        model: bag classifier, of any pooling.
        target: index of the logit f.
    """

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        return torch.linalg.vecdot(features.flatten(1), bag_gradient(model, features).flatten(1))


def bag_gradient(model: BagModel, features: Tensor) -> Tensor:
    """Differentiate the logit of one bag with respect to its features, ``(N, …)``.

    The encoder's part is computed block by block, so that memory holds the graph of one block at a time.
    """
    embeddings = model.encode(features).detach().requires_grad_()
    logit = model.level(embeddings, torch.tensor([len(embeddings)], device=embeddings.device))[0, model.target]
    (gradient,) = torch.autograd.grad(logit, embeddings)
    encoder = model.encoder
    if encoder is None:
        return gradient
    parts: list[Tensor] = []
    blocks = list(model.rows(features))
    for block, outer in zip(blocks, gradient.split([len(block) for block in blocks]), strict=True):
        leaf = block.detach().requires_grad_()
        parts.extend(torch.autograd.grad(encoder(leaf), leaf, outer))
    return torch.cat(parts)
