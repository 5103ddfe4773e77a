"""What each cell of a patient adds to the diagnosis: Shapley values of the cells.

The players are the cells: a set of cells is worth the logit of tumoral that the model gives for a patient with just
these cells and the same attributes. Without any cell, the pooled embedding is zero: the expert on images then says its
bias, and the gate weighs by the attributes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from scripts.embedded_bags import BagExperts
from scripts.networks import AveragedClassifier, ImageClassifier, MixtureOfExperts, TwoExperts
from shared.mil.levels import EmbeddingLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.shapley.instance_shapley import instance_shapley
from shared.mil.shapley.permutation import permutation_shapley
from shared.mil.shapley.prefix_values import PooledPrefixes
from shared.mil.shapley.result import ShapleyValues
from shared.mil.shapley.running_pooling import RunningWeightedMean

__all__ = ["cell_values", "image_expert_values"]


@torch.no_grad()
def image_expert_values(expert: ImageClassifier, embeddings: torch.Tensor) -> ShapleyValues:
    """Return the exact Shapley values of the cells for the logit of the expert on images.

    Args:
        expert: the expert.
        embeddings: of one patient's cells, ``(N, E)``.
    """
    # the exact formulas ask for a plain linear layer, of which the expert's is a variant
    head = nn.Linear(expert.embedding_size, 1, device=embeddings.device)
    head.load_state_dict(expert.head.state_dict())
    return instance_shapley(EmbeddingLevel(expert.pooling, head), embeddings)


@torch.no_grad()
def cell_values(
    network: ImageClassifier | TwoExperts,
    embeddings: torch.Tensor,
    attributes: torch.Tensor,
    *,
    standard_error: float | None = None,
    max_permutations: int = 1000,
    seed: int = 0,
) -> ShapleyValues:
    """Return the Shapley values of the cells for the logit of the whole network.

    They are exact for the expert on images alone, and for the average of the experts, of which they are half. The
    logit of a mixture is not linear in those of its experts: there permutations are sampled, and the values come with
    standard errors.

    Args:
        network: with an expert on images.
        embeddings: of one patient's cells, ``(N, E)``.
        attributes: age in years and lymphocyte count in 10⁹/L, ``(2,)``.
        standard_error: stop sampling when no value has a larger one, in units of the logit.
        max_permutations: permutations at most.
        seed: of the permutations.

    Raises:
        TypeError: if the network is another.
    """
    if isinstance(network, ImageClassifier):
        return image_expert_values(network, embeddings)
    if isinstance(network, AveragedClassifier):
        exact = image_expert_values(network.image_expert, embeddings)
        return exact._replace(values=exact.values / 2, efficiency_gap=exact.efficiency_gap / 2)
    if not isinstance(network, MixtureOfExperts):
        raise TypeError(f"{type(network).__name__} has no expert on images whose cells could be valued")
    options: dict[str, Any] = {"standard_error": standard_error, "max_permutations": max_permutations, "seed": seed}
    combined = _Combined(network, attributes)
    zero = embeddings.new_zeros(1, embeddings.shape[1])
    empty = float(combined(zero)[0, 0])
    pooling = network.image_expert.pooling
    if type(pooling) is not MeanPooling and not isinstance(pooling, AttentionPooling):
        return instance_shapley(EmbeddingLevel(pooling, combined), embeddings, empty=empty, sampled=True, **options)
    # a weighted mean commutes with linear maps: two numbers of each cell are all that the experts use of it
    projected, after = _two_numbers(network, combined, embeddings)
    logits = pooling.attention_logits(embeddings[None])[0] if isinstance(pooling, AttentionPooling) else None
    prefixes = PooledPrefixes(RunningWeightedMean(projected, logits), after, empty)
    return permutation_shapley(prefixes, len(embeddings), device=embeddings.device, **options)


class _Combined(nn.Module):
    """The mixture's logit ``(P, 1)`` of pooled embeddings ``(P, E)`` of one patient."""

    def __init__(self, network: MixtureOfExperts, attributes: torch.Tensor) -> None:
        super().__init__()
        # not a submodule: it is used as it is, and stays in single precision
        self._experts = (BagExperts(network),)
        self.attributes = attributes[None].float()

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return self._experts[0](pooled.float(), self.attributes)["mixture"][:, None]


def _two_numbers(
    network: MixtureOfExperts, combined: _Combined, embeddings: torch.Tensor
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Return ``θ_C · h`` and ``θ_A · h`` of the cells ``(N, 2)``, and the mixture's logit ``(P,)`` of their means."""
    kernels = torch.cat([network.image_expert.head.weight, network.gate_kernel.weight]).double()  # (2, E)
    attribute_expert = network.attribute_expert
    standardised = attribute_expert.standardisation(combined.attributes.to(embeddings.device))  # (1, 2)
    attribute_logit = attribute_expert.attribute_logits(standardised)[0, 0].double()
    bias = network.image_expert.head.bias[0].double()

    def after(means: torch.Tensor) -> torch.Tensor:
        image_logit = means[:, 0] + bias
        experts = torch.stack([image_logit, attribute_logit.expand_as(image_logit)], dim=1)  # (P, 2)
        return network.combine(experts, network.gate_logit_of_kernel(means[:, 1:], standardised.expand(len(means), -1)))

    return torch.cat([rows.double() @ kernels.T for rows in embeddings.split(4096)]), after
