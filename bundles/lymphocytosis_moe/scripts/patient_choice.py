"""Which patients are explained: those that are shown, and those on whom explanations are measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.cell_truth import abnormal_cells
from shared.saliency.case_selection import BagChoice

__all__ = ["PatientChoice"]


class PatientChoice(BagChoice):
    """Chooses patients by label and prediction; the quality is measured where it is known which cells are abnormal."""

    def measurable(self, record: Mapping[str, Any]) -> bool:
        """Whether it is known which cells of the patient are abnormal."""
        return abnormal_cells(record) is not None
