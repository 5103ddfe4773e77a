"""Patients whose cells are valued, as sanity checks and comparisons of networks take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from scripts.value_methods import ComparedValues, few_cells
from shared.saliency.noise import check_noise
from shared.saliency.sanity.explained import Explained, Explanations

__all__ = ["ExplainedPatients", "noisy_patients"]

WHITE = 255


class ExplainedPatients(Explained):
    """The values of the cells of patients: of one logit, so that there is no other to compare with.

    Args:
        values: of cells, by the network that is explained.
        items: patients: ``image`` ``(N, 3, H, W)`` uint8 and ``attributes`` ``(2,)``.
    """

    def __init__(self, values: ComparedValues, items: Sequence[Mapping[str, Any]]) -> None:
        self.values = values
        self.network = values.valuation.network
        self.items = [{key: torch.as_tensor(item[key]) for key in ("image", "attributes")} for item in items]
        self.signs = dict.fromkeys(values.names(), "signed")
        self.count = len(items)

    def forward(self, network: nn.Module) -> object:
        """Return the logits ``(1, 1)`` of the first patient with two cells."""
        return few_cells(network, self.items[0])

    def explain(self, network: nn.Module) -> Explanations:
        """Return the values ``(N_b,)`` of each patient's cells, by name."""
        values = self.values.of(network)
        found = [values(item) for item in self.items]
        return {name: [columns[name] for columns in found] for name in self.signs}


def noisy_patients(
    explained: ExplainedPatients, noise_level: float = 0.02, draws: int = 2, seed: int = 0
) -> Iterator[ExplainedPatients]:
    """Yield the same patients with noise on their images, as another recording of the cells would have.

    Args:
        explained: patients and network.
        noise_level: standard deviation of the noise as a fraction of the camera's range.
        draws: number of noisy copies.
        seed: of the noise, which is drawn on the CPU.

    Raises:
        ValueError: if a number is out of its range.
    """
    check_noise(draws, noise_level, chunk_size=1)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(draws):
        items = []
        for item in explained.items:
            image = item["image"].float()
            image += noise_level * WHITE * torch.randn(image.shape, generator=generator)
            items.append({**item, "image": image.round_().clamp_(0, WHITE).to(torch.uint8)})
        yield ExplainedPatients(explained.values, items)
