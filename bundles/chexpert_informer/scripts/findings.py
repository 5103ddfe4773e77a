"""The five findings, in the order that every array, table and file of the bundle keeps."""

from __future__ import annotations

from shared.phantoms.masks import TruthBits

__all__ = ["FINDINGS", "TRUTH"]

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")

#: bits of a phantom's truth image: where each finding is drawn, the text marker, and the lungs
TRUTH = TruthBits((*FINDINGS, "marker", "lungs"))
