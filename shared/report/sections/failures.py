"""Wrong predictions, the worst first: those that the model was most sure of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shared.report.gallery import explained_samples
from shared.report.sources import Sources

__all__ = ["Failure", "failure_section"]

#: that are listed; predictions.csv has all
MOST_FAILURES = 20


@dataclass(frozen=True)
class Failure:
    """A wrong prediction.

    Attributes:
        id: the sample.
        task: which label, of several; empty for one.
        label: what is true.
        prediction: what was said.
        confidence: corrected for chance.
        decision: what became of it.
        reason: why.
        anchor: where the page explains it; empty if it does not.
    """

    id: str
    task: str
    label: str
    prediction: str
    confidence: float
    decision: str
    reason: str
    anchor: str


def failure_section(sources: Sources, anchors: Mapping[tuple[str, str], str]) -> dict[str, Any] | None:
    """List wrong predictions by falling confidence; ``None`` where no label is known.

    Args:
        sources: the files.
        anchors: id of a sample and the class explained (``""`` for any) to its place in the page.
    """
    tasks = {task: _known(frame) for task, frame in sources.tasks().items()}
    if not any(len(frame) for frame in tasks.values()):
        return None
    parts = []
    for task, frame in tasks.items():
        wrong = frame[frame["label"] != frame["prediction"]]
        parts.append(wrong.assign(task=task))
    wrong = pd.concat(parts).sort_values("confidence", ascending=False, kind="stable")
    return {
        "rows": [_failure(row, anchors) for row in wrong.head(MOST_FAILURES).to_dict("records")],
        "wrong": len(wrong),
        "accepted": int((wrong["decision"] == "accept").sum()),
        "answers": sum(len(frame) for frame in tasks.values()),
        "several": any(tasks),
        "explained": bool(sources.explanations)
        and any(explained_samples(sources, k) for k in ("image", "bag", "slide")),
    }


def _known(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the samples of known classes whose label is known."""
    return frame[(frame["kind"] == "") & (frame["label"] != "")]


def _failure(row: Mapping[Any, Any], anchors: Mapping[tuple[str, str], str]) -> Failure:
    task, name = str(row["task"]), str(row["id"])
    said = {"0": "absent", "1": "present"} if task else {}
    return Failure(
        id=name,
        task=task,
        label=said.get(str(row["label"]), str(row["label"])),
        prediction=said.get(str(row["prediction"]), str(row["prediction"])),
        confidence=float(row["confidence"]),
        decision=str(row["decision"]),
        reason=str(row["reason"]),
        anchor=anchors.get((name, task)) or "",
    )
