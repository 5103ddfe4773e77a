"""Many bags as one ragged tensor, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from shared.data.errors import DataError
from shared.mil.ragged import check_lengths

__all__ = ["Bags"]


@dataclass(frozen=True)
class Bags:
    """B bags with T instances together, one bag after the other.

    Attributes:
        instances: features ``(T, E)``, or images ``(T, C, H, W)``.
        lengths: instances of each bag, ``(B,)`` int64.
        labels: of the bags, ``(B,)`` int64, 0 or 1.
        ids: names of the bags.
        truth: whether an instance is of the class to be found, ``(T,)`` bool; None where that is not known.
        places: where an instance lies in its image, ``(T, 2)``, x and y in pixels; None where it lies nowhere.
    """

    instances: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor
    ids: tuple[str, ...]
    truth: torch.Tensor | None = None
    places: torch.Tensor | None = None

    def __post_init__(self) -> None:
        check_lengths(self.lengths, len(self.instances))
        counts = {"labels": len(self.labels), "ids": len(self.ids)}
        if wrong := {name: count for name, count in counts.items() if count != len(self.lengths)}:
            raise DataError(f"bags: found {wrong} for {len(self.lengths)} bags; expected one of each for each bag")

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def starts(self) -> torch.Tensor:
        """Row of each bag's first instance, ``(B,)``."""
        return self.lengths.cumsum(0) - self.lengths

    def rows(self, bags: torch.Tensor) -> torch.Tensor:
        """Return the rows of the instances of some bags, one bag after the other."""
        lengths = self.lengths[bags]
        before = lengths.cumsum(0) - lengths
        return torch.repeat_interleave(self.starts[bags] - before, lengths) + torch.arange(int(lengths.sum()))

    def of(self, bags: Sequence[int] | NDArray[np.integer]) -> Bags:
        """Return some of the bags, in the order of their indices."""
        index = torch.as_tensor(np.asarray(bags), dtype=torch.int64)
        rows = self.rows(index)
        return Bags(
            self.instances[rows],
            self.lengths[index],
            self.labels[index],
            tuple(self.ids[number] for number in index.tolist()),
            None if self.truth is None else self.truth[rows],
            None if self.places is None else self.places[rows],
        )

    def with_instances(self, instances: torch.Tensor) -> Bags:
        """Return the same bags with other numbers for their instances."""
        return replace(self, instances=instances)
