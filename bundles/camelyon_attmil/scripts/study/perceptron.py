"""The encoder of instances that are described by features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

__all__ = ["InstancePerceptron"]


class InstancePerceptron(nn.Sequential):
    """Encodes features ``(T, E)`` by linear layers, each with a rectifier and dropout (MI-Net of Wang et al. 2018).

    Ilse et al. 2018 use 256, 128 and 64 units on the classical data sets.

    Args:
        in_features: E.
        units: of each layer; the last is the size of the embedding.
        dropout: probability.
    """

    def __init__(self, in_features: int, units: Sequence[int] = (256, 128, 64), dropout: float = 0.0) -> None:
        self.embedding_size = units[-1]
        layers: list[nn.Module] = []
        for before, after in zip([in_features, *units[:-1]], units, strict=True):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers)
