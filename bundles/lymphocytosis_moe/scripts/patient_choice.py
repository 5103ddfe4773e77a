"""Which patients are explained: those that are shown, and those on whom explanations are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.cell_truth import abnormal_cells
from shared.saliency.case_selection import choose_cases, choose_measured

__all__ = ["PatientChoice"]


@dataclass(frozen=True)
class PatientChoice:
    """Chooses patients by label and prediction.

    Args:
        samples_per_class: correctly predicted patients of each class that are shown.
        wrong_samples: wrongly predicted patients that are shown.
        measured_samples: patients on whom the quality is measured, among those whose cells are known.
        seed: of the draws.
    """

    samples_per_class: int = 2
    wrong_samples: int = 3
    measured_samples: int = 60
    seed: int = 0

    def __call__(self, records: Sequence[Mapping[str, Any]], predicted: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the indices of the patients that are shown, and of those that are measured.

        Args:
            records: with ``label`` and ``instance_label`` where known.
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
        known = [abnormal_cells(record) is not None for record in records]
        return shown, choose_measured(labels, predicted, known, count=self.measured_samples, seed=self.seed)
