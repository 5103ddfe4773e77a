"""What each cell of a patient adds to the diagnosis: Shapley values of the cells.

The players are the cells: a set of cells is worth the logit of tumoral that the model gives for a patient with just
these cells and the same attributes. Without any cell, the pooled embedding is zero: the expert on images then says its
bias, and the gate weighs by the attributes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from scripts.networks import AveragedClassifier, ImageClassifier, MixtureOfExperts, TwoExperts
from shared.mil.levels import EmbeddingLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.shapley.instance_shapley import instance_shapley, prefix_values
from shared.mil.shapley.permutation import permutation_shapley
from shared.mil.shapley.prefix_values import PooledPrefixes
from shared.mil.shapley.result import ShapleyValues
from shared.mil.shapley.running_pooling import RunningWeightedMean

__all__ = ["CellValues", "cell_values", "image_expert_values", "patient_prefixes"]

ROWS = 4096


class CellValues(NamedTuple):
    """Shapley values of one patient's cells.

    Attributes:
        whole: for the logit of the whole network.
        expert: for the logit of the expert on images; the same object if that is the whole network.
    """

    whole: ShapleyValues
    expert: ShapleyValues


@torch.no_grad()
def cell_values(
    network: ImageClassifier | TwoExperts,
    embeddings: torch.Tensor,
    attributes: torch.Tensor,
    *,
    exact_dimensions: int | None = None,
    standard_error: float | None = None,
    max_permutations: int = 1000,
    seed: int = 0,
) -> CellValues:
    """Return the Shapley values of the cells for the logits of the whole network and of the expert on images.

    Those of the expert are exact, see :func:`image_expert_values`, and so are those of the average of both experts,
    which are half of them. The logit of a mixture is not linear in those of its experts: there permutations are
    sampled, and the values come with standard errors.

    Args:
        network: with an expert on images.
        embeddings: of one patient's cells, ``(N, E)``.
        attributes: age in years and lymphocyte count in 10⁹/L, ``(2,)``.
        exact_dimensions: see :func:`image_expert_values`.
        standard_error: stop sampling when no value has a larger one, in units of the logit.
        max_permutations: permutations at most.
        seed: of the permutations.

    Raises:
        TypeError: if the network is another.
    """
    options: dict[str, Any] = {"standard_error": standard_error, "max_permutations": max_permutations, "seed": seed}
    if isinstance(network, ImageClassifier):
        expert = image_expert_values(network, embeddings, exact_dimensions=exact_dimensions, **options)
        return CellValues(expert, expert)
    if not isinstance(network, AveragedClassifier | MixtureOfExperts):
        raise TypeError(f"{type(network).__name__} has no expert on images whose cells could be valued")
    expert = image_expert_values(network.image_expert, embeddings, exact_dimensions=exact_dimensions, **options)
    if isinstance(network, AveragedClassifier):
        return CellValues(_half(expert), expert)
    prefixes = patient_prefixes(network, embeddings, attributes)
    sampled = permutation_shapley(prefixes, len(embeddings), device=embeddings.device, **options)
    return CellValues(sampled, expert)


@torch.no_grad()
def image_expert_values(
    expert: ImageClassifier, embeddings: torch.Tensor, *, exact_dimensions: int | None = None, **options: Any
) -> ShapleyValues:
    """Return the Shapley values of the cells for the logit of the expert on images.

    They are exact for every pooling. With log-mean-exp they take one integral for each dimension of the embeddings,
    which is minutes for all patients of a data set: beyond a limit they are sampled, and have standard errors.

    Args:
        expert: the expert.
        embeddings: of one patient's cells, ``(N, E)``.
        exact_dimensions: greatest E at which log-mean-exp pooling is solved exactly; ``None`` for any.
        options: of the sampling, see :func:`cell_values`.
    """
    # the exact formulas ask for a plain linear layer, of which the expert's is a variant
    head = nn.Linear(expert.embedding_size, 1, device=embeddings.device)
    head.load_state_dict(expert.head.state_dict())
    level = EmbeddingLevel(expert.pooling, head)
    return instance_shapley(level, embeddings, sampled=True, exact_dimensions=exact_dimensions, **options)


def _half(game: ShapleyValues) -> ShapleyValues:
    """Return the values of half the game."""
    errors = None if game.standard_errors is None else game.standard_errors / 2
    return game._replace(values=game.values / 2, efficiency_gap=game.efficiency_gap / 2, standard_errors=errors)


@torch.no_grad()
def patient_prefixes(
    network: ImageClassifier | TwoExperts, embeddings: torch.Tensor, attributes: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what gives the logit of the whole network for the first cells of any order, by running sums.

    Args:
        network: with an expert on images.
        embeddings: of one patient's cells, ``(N, E)``.
        attributes: age in years and lymphocyte count in 10⁹/L, ``(2,)``.

    Returns:
        A function from orders ``(P, N)`` to the logits of the first 0, 1, … N cells, ``(P, N + 1)``, float64.
    """
    expert = network if isinstance(network, ImageClassifier) else network.image_expert
    logit = _logit_of_pooled(network, attributes.to(embeddings.device))
    kernels = _kernels(network)
    empty = float(logit(kernels.new_zeros(1, len(kernels)))[0])
    pooling = expert.pooling
    if type(pooling) is not MeanPooling and not isinstance(pooling, AttentionPooling):
        level = EmbeddingLevel(pooling, _Head(lambda pooled: logit(pooled @ kernels.T)))
        return prefix_values(level, embeddings, empty=empty)
    # a weighted mean commutes with linear maps: one or two numbers of each cell are all that is needed of it
    projected = torch.cat([rows.double() @ kernels.T for rows in embeddings.split(ROWS)])
    logits = pooling.attention_logits(embeddings[None])[0] if isinstance(pooling, AttentionPooling) else None
    return PooledPrefixes(RunningWeightedMean(projected, logits), logit, empty)


def _kernels(network: ImageClassifier | TwoExperts) -> torch.Tensor:
    """Return the linear maps by which a network sees a pooled embedding, ``(K, E)``: θ_C, of a mixture also θ_A."""
    if isinstance(network, ImageClassifier):
        return network.head.weight.double()
    head = network.image_expert.head.weight
    return (torch.cat([head, network.gate_kernel.weight]) if isinstance(network, MixtureOfExperts) else head).double()


def _logit_of_pooled(
    network: ImageClassifier | TwoExperts, attributes: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from what :func:`_kernels` gives of pooled embeddings ``(P, K)`` to logits ``(P,)``."""
    if isinstance(network, MixtureOfExperts):
        return _logit_of_two_numbers(network, attributes)
    if isinstance(network, ImageClassifier):
        bias = network.head.bias.double()
        return lambda numbers: numbers[:, 0] + bias
    bias = network.image_expert.head.bias.double()
    standardised = network.attribute_expert.standardisation(attributes[None].float())  # (1, 2)
    other = network.attribute_expert.attribute_logits(standardised).double()[:, 0]  # (1,)
    return lambda numbers: (numbers[:, 0] + bias + other) / 2


def _logit_of_two_numbers(
    network: MixtureOfExperts, attributes: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from ``θ_C · p`` and ``θ_A · p`` ``(P, 2)`` to the mixture's logits ``(P,)`` of one patient."""
    standardised = network.attribute_expert.standardisation(attributes[None].float())  # (1, 2)
    attribute_logit = network.attribute_expert.attribute_logits(standardised).double()  # (1, 1)
    bias = network.image_expert.head.bias.double()  # (1,)

    def logit(numbers: torch.Tensor) -> torch.Tensor:
        experts = torch.cat([numbers[:, :1] + bias, attribute_logit.expand(len(numbers), 1)], dim=1)  # (P, 2)
        return network.combine(
            experts, network.gate_logit_of_kernel(numbers[:, 1:], standardised.expand(len(numbers), 2))
        )

    return logit


class _Head(nn.Module):
    """A head without weights of its own, of which a copy costs nothing: ``(P, E)`` to logits ``(P, 1)``."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return self.function(pooled)[:, None]
