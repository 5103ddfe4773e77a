"""One patient, encoded once and valued: what each cell adds, and how attention weighs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.cell_values import cell_values, patient_prefixes
from scripts.embedded_bags import BagExperts, attention_weights, embed_cells
from scripts.networks import ImageClassifier, TwoExperts
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.shapley.result import ShapleyValues

__all__ = ["PatientValuation", "PatientValues"]


@dataclass(frozen=True)
class PatientValues:
    """One patient whose cells were valued.

    Attributes:
        part: name of the whole network among ``PARTS`` of :mod:`scripts.embedded_bags`.
        image: the cells as the network takes them, ``(N, 3, H, W)``, uint8.
        logit: of the whole network.
        empty: logit of the whole network without any cell.
        whole: Shapley values for the logit of the whole network.
        expert: those for the logit of the expert on images.
        weights: of the cells in attention pooling, ``(N,)``; ``None`` for any other.
        prefixes: gives the logit of the whole network for the first cells of any order, see
            :func:`~scripts.cell_values.patient_prefixes`.
    """

    part: str
    image: torch.Tensor
    logit: float
    empty: float
    whole: ShapleyValues
    expert: ShapleyValues
    weights: NDArray[np.float64] | None
    prefixes: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return what is known of the cells by column of their table, ``(N,)`` each.

        ``shapley_<part>`` for the whole network and ``shapley_image`` for the expert, each followed by
        ``standard_error_<part>`` if it was sampled, and ``attention_weight``.
        """
        found: dict[str, NDArray[np.float64]] = {}
        for part, game in {self.part: self.whole, "image": self.expert}.items():
            found[f"shapley_{part}"] = game.values.cpu().numpy()
            if game.standard_errors is not None:
                found[f"standard_error_{part}"] = game.standard_errors.cpu().numpy()
        return found if self.weights is None else found | {"attention_weight": self.weights}


class PatientValuation:
    """Encodes the cells of a patient and values them.

    Args:
        network: with an expert on images.
        exact_dimensions: greatest number of dimensions of an embedding at which log-mean-exp pooling is solved exactly;
            beyond, its values are sampled.
        standard_error: of the sampled values, at which sampling stops, in units of the logit.
        max_permutations: permutations at most.
        batch_size: cells that are encoded at once.
        seed: of the permutations.

    Attributes:
        parts: of the network, the whole one last, see :class:`~scripts.embedded_bags.BagExperts`.

    Raises:
        TypeError: if the network does not look at cells.
    """

    def __init__(
        self,
        network: ImageClassifier | TwoExperts,
        exact_dimensions: int | None = 256,
        standard_error: float | None = 0.01,
        max_permutations: int = 10_000,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        self.network = network
        self.experts = BagExperts(network)
        if self.experts.image_expert is None:
            raise TypeError(f"{type(network).__name__} does not look at cells")
        self.image_expert = self.experts.image_expert
        self.parts = self.experts.parts
        self.sampling: dict[str, Any] = {
            "exact_dimensions": exact_dimensions,
            "standard_error": standard_error,
            "max_permutations": max_permutations,
            "seed": seed,
        }
        self.batch_size = batch_size

    def names(self) -> list[str]:
        """Return the names of the values that each cell gets, as :meth:`PatientValues.columns` has them."""
        attention = ["attention_weight"] if isinstance(self.image_expert.pooling, AttentionPooling) else []
        return [*dict.fromkeys([f"shapley_{self.parts[-1]}", "shapley_image"]), *attention]

    def of(self, network: ImageClassifier | TwoExperts) -> PatientValuation:
        """Return the same valuation, with all its settings, by another network."""
        return PatientValuation(network, batch_size=self.batch_size, **self.sampling)

    @torch.no_grad()
    def logits(
        self, image: torch.Tensor, attributes: torch.Tensor, subsets: Sequence[NDArray[np.integer]]
    ) -> NDArray[np.float64]:
        """Return the logits of the whole network for sets of cells of one patient, ``(S,)``; each is encoded once.

        Args:
            image: the cells, ``(N, 3, H, W)`` uint8.
            attributes: ``(2,)``.
            subsets: indices of the cells of each set, none of them empty.
        """
        embeddings = embed_cells(self.network, image, self.batch_size)
        return self.experts.of_subsets(embeddings, subsets, attributes)[self.parts[-1]]

    @torch.no_grad()
    def __call__(self, item: Mapping[str, Any]) -> PatientValues:
        """Value a patient.

        Args:
            item: ``image`` ``(N, 3, H, W)`` uint8 and ``attributes`` ``(2,)``.
        """
        image, attributes = torch.as_tensor(item["image"]), torch.as_tensor(item["attributes"])
        embeddings = embed_cells(self.network, image, self.batch_size)
        part = self.parts[-1]
        all_cells = [np.arange(len(embeddings))]
        nobody = embeddings.new_zeros(1, embeddings.shape[1])
        values = cell_values(self.network, embeddings, attributes, **self.sampling)
        return PatientValues(
            part=part,
            image=image,
            logit=float(self.experts.of_subsets(embeddings, all_cells, attributes)[part][0]),
            empty=float(self.experts(nobody, attributes[None])[part]),
            whole=values.whole,
            expert=values.expert,
            weights=attention_weights(self.image_expert, embeddings),
            prefixes=patient_prefixes(self.network, embeddings, attributes),
        )
