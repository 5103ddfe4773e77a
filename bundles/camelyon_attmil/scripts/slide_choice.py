"""Which slides are explained: those that are shown, and those on which explanations are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.saliency.case_selection import choose_cases, choose_measured

__all__ = ["SlideChoice"]


@dataclass(frozen=True)
class SlideChoice:
    """Chooses slides by label and prediction.

    Args:
        samples_per_class: correctly predicted slides of each class that are shown.
        wrong_samples: wrongly predicted slides that are shown.
        measured_samples: correctly predicted slides on which the quality is measured. What a slide is measured by
            depends on what is known of it; dropping tiles needs no truth.
        seed: of the draws.
    """

    samples_per_class: int = 2
    wrong_samples: int = 3
    measured_samples: int = 60
    seed: int = 0

    def __call__(self, records: Sequence[Mapping[str, Any]], predicted: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the indices of the slides that are shown, and of those that are measured.

        Args:
            records: with ``label`` where known.
            predicted: class index of each.
        """
        labels = [record.get("label") for record in records]
        shown = choose_cases(
            labels,
            predicted,
            [None] * len(labels),
            per_class=self.samples_per_class,
            wrong=self.wrong_samples,
            per_kind=0,
            seed=self.seed,
        )
        known = [label is not None for label in labels]
        return shown, choose_measured(labels, predicted, known, count=self.measured_samples, seed=self.seed)
