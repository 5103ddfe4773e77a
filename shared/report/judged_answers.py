"""Answers whose truth is known, as the predictions file has them: right or wrong, accepted or flagged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.evaluation.predictions import is_multilabel
from shared.report.sources import Sources

__all__ = ["JudgedAnswers", "read_answers"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedAnswers:
    """Answers of N labelled samples to L questions.

    Attributes:
        labels: the questions; one, named ``""``, where there is one only.
        wrong: whether the answer is wrong ``(N, L)``, NaN where the label is unknown.
        accepted: whether it is accepted ``(N, L)``.
        after: whether it is wrong once an alarm has acted ``(N, L)``; ``None`` where none changes an answer.
        groups: which samples belong together ``(N,)``; ``None`` where each stands for itself.
        unknown: why that is not known, though some do: an interval that takes them for independent is too narrow.
    """

    labels: list[str]
    wrong: Floats
    accepted: Floats
    after: Floats | None
    groups: NDArray[Any] | None
    unknown: str | None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the truth is known ``(N, L)``."""
        return ~np.isnan(self.wrong)


def read_answers(sources: Sources) -> JudgedAnswers | None:
    """Return the answers, outliers left out; ``None`` where no sample has a label."""
    frame = sources.predictions
    tasks = {label: task[task["kind"] == ""] for label, task in sources.tasks().items()}
    tasks = {label: task for label, task in tasks.items() if (task["label"] != "").any()}
    if frame is None or not tasks:
        return None
    wrong, accepted, after = [], [], []
    for label, task in tasks.items():
        unknown = task["label"] == ""
        # an alarm may have changed the answer of one of several labels
        name = f"prediction_after_alarm_{label}" if is_multilabel(frame) else "prediction"
        acted = frame.loc[task.index, name].astype("string")
        wrong.append(np.where(unknown, np.nan, task["label"] != task["prediction"]))
        after.append(np.where(unknown, np.nan, task["label"] != acted))
        accepted.append((task["decision"] == "accept").to_numpy(dtype=np.float64))
    errors, changed = np.stack(wrong, axis=1).astype(np.float64), np.stack(after, axis=1).astype(np.float64)
    same = np.array_equal(errors, changed, equal_nan=True)
    groups, unknown_groups = _groups(sources, frame.loc[next(iter(tasks.values())).index])
    return JudgedAnswers(
        list(tasks), errors, np.stack(accepted, axis=1), None if same else changed, groups, unknown_groups
    )


def _groups(sources: Sources, frame: pd.DataFrame) -> tuple[NDArray[Any] | None, str | None]:
    resampled, _ = sources.measured("resampled")
    by = str(resampled.get("by", "sample"))
    if by == "sample" or resampled.get("n") == len(frame):
        return None, None
    if by not in frame:
        return None, f"no interval: predictions.csv does not say which samples are of one {by}"
    return frame[by].astype(str).to_numpy(), None
