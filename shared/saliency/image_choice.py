"""Which images are shown, which are measured, and which are described by the elements of interpretability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.saliency.case_selection import WATCHED, choose_measured, choose_samples

__all__ = ["ChosenImages", "ImageChoice"]

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ChosenImages:
    """Indices of records.

    Args:
        shown: in the gallery, in its order.
        measured: on which the quality of maps is measured, ascending.
        described: on which the elements of interpretability are measured, ascending.
    """

    shown: list[int]
    measured: list[int]
    described: list[int]

    @cached_property
    def samples(self) -> list[int]:
        """All of them, each once, ascending."""
        return sorted({*self.shown, *self.measured, *self.described})

    def places(self, chosen: Sequence[int]) -> list[int]:
        """Return where some of them are among :attr:`samples`."""
        place = {index: place for place, index in enumerate(self.samples)}
        return [place[index] for index in chosen]


@dataclass(frozen=True)
class ImageChoice:
    """Chooses among images of which each has one class, or belongs to none.

    Args:
        samples_per_class: correctly predicted samples of each class that are shown.
        wrong_samples: wrongly predicted samples that are shown.
        samples_per_kind: samples of each outlier kind that are shown.
        measured_samples: number of samples to measure on.
        seed: of the draws.
    """

    samples_per_class: int = 2
    wrong_samples: int = 3
    samples_per_kind: int = 1
    measured_samples: int = 100
    seed: int = 0

    def __call__(
        self, records: Records, predicted: Sequence[int], measurable: Sequence[bool], describe: bool
    ) -> ChosenImages:
        """Choose.

        Images that were watched while the network trained are shown first, and neither measured nor described.

        Args:
            records: with ``label`` (class index) or ``kind`` where known.
            predicted: class index of each.
            measurable: whether the map of each should point at a cause that is known.
            describe: whether the elements of interpretability are measured.
        """
        shown, measured = choose_samples(
            records,
            predicted,
            measurable,
            [record.get("kind") for record in records],
            per_class=self.samples_per_class,
            wrong=self.wrong_samples,
            per_kind=self.samples_per_kind,
            count=self.measured_samples,
            seed=self.seed,
        )
        described = (measured or self._right_ones(records, predicted)) if describe else []
        return ChosenImages(shown, measured, described)

    def _right_ones(self, records: Records, predicted: Sequence[int]) -> list[int]:
        """Return samples to describe where no cause is known: many elements need none."""
        members = [record.get("kind") is None and not record.get(WATCHED) for record in records]
        # without labels what is predicted has to do: measures of maps need no more
        labels = [record.get("label", guess) for record, guess in zip(records, predicted, strict=True)]
        return choose_measured(labels, predicted, members, count=self.measured_samples, seed=self.seed)
