"""What explaining does with each image: which of its findings are shown, which are measured."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.explained_images import ExplainedImages
from scripts.finding_cases import choose_measured, choose_shown
from shared.saliency.case_selection import WATCHED

__all__ = ["FindingChoice", "FindingPlan"]

Findings = dict[int, list[int]]
"""Of each image, by its index, some of its findings."""


def _findings() -> Findings:
    return defaultdict(list)


@dataclass
class FindingPlan:
    """What is done with each image.

    Attributes:
        shown: findings of the gallery.
        measured: findings whose maps are compared with their masks.
        described: findings that the elements of interpretability are measured on.
        compared: of flagged images the finding beside which the maps of all others are drawn.
    """

    shown: Findings = field(default_factory=_findings)
    measured: Findings = field(default_factory=_findings)
    described: Findings = field(default_factory=_findings)
    compared: dict[int, int] = field(default_factory=dict)

    @property
    def images(self) -> list[int]:
        """Indices of all images that are explained."""
        return sorted({*self.shown, *self.measured, *self.described, *self.compared})


@dataclass(frozen=True)
class FindingChoice:
    """How many findings are chosen; see :mod:`scripts.finding_cases`.

    Args:
        per_finding: images of the gallery in which a finding is predicted and present.
        wrong: wrong predictions of the gallery.
        flagged: flagged predictions of the gallery.
        boxed: findings of the gallery that a person drew a box around.
        measured: findings to measure on.
        seed: of the choice.
    """

    per_finding: int = 2
    wrong: int = 3
    flagged: int = 4
    boxed: int = 4
    measured: int = 100
    seed: int = 0

    def __call__(self, images: ExplainedImages, table: pd.DataFrame) -> FindingPlan:
        """Choose.

        What was watched while the network trained is shown first, and measured nowhere. The elements are measured where
        masks are known on the same findings as the quality, else on findings that are predicted, and present as far as
        is known.

        Args:
            images: to choose of.
            table: their predictions, in their order.
        """

        def columns(name: str) -> NDArray[np.int64]:
            return table[[f"{name}_{finding}" for finding in images.classes]].to_numpy(dtype=np.int64, copy=True)

        plan = FindingPlan()
        labels, predictions, flagged = images.labels(), columns("prediction"), columns("alarm") == 1
        boxed, truth = images.has_boxes(), images.has_truth()
        for index, record in enumerate(images.records):
            if record.get(WATCHED):
                plan.shown[index] += record[WATCHED]
                # nothing else is chosen of it
                labels[index], predictions[index], flagged[index], boxed[index], truth[index] = np.nan, 0, 0, 0, 0
        limits = {"per_finding": self.per_finding, "wrong": self.wrong}
        limits |= {"flagged_cases": self.flagged, "boxed_cases": self.boxed}
        for index, finding in choose_shown(labels, predictions, flagged, boxed, **limits, seed=self.seed):
            plan.shown[index].append(finding)
            if flagged[index, finding]:
                plan.compared.setdefault(index, finding)
        plan.measured = self._measured(labels, predictions, truth)
        assumed = np.where(np.isnan(labels), predictions, labels)
        plan.described = dict(plan.measured) or self._measured(assumed, predictions, np.ones(len(labels), dtype=bool))
        return plan

    def _measured(
        self, labels: NDArray[np.float64], predictions: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> Findings:
        chosen = _findings()
        for index, finding in choose_measured(labels, predictions, known, count=self.measured, seed=self.seed):
            chosen[index].append(finding)
        return chosen
