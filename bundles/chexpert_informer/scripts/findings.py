"""The five findings, in the order that every array, table and file of the bundle keeps."""

from __future__ import annotations

from collections.abc import Sequence

from shared.phantoms.masks import TruthBits

__all__ = ["FINDINGS", "TRUTH", "label_words"]

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")

#: bits of a phantom's truth image: where each finding is drawn, the text marker, and the lungs
TRUTH = TruthBits((*FINDINGS, "marker", "lungs"))


def label_words(label: Sequence[float | None]) -> str:
    """Return the findings that are present, in words.

    Example:
        >>> label_words([1, 0, None, 0, 1]), label_words([0, 0, 0, 0, 0])
        ('atelectasis, pleural effusion', 'none of the findings')
    """
    present = [name.replace("_", " ") for name, value in zip(FINDINGS, label, strict=True) if value == 1]
    return ", ".join(present) or "none of the findings"
