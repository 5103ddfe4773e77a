"""The relation of a model's output to what was measured of the same sample: a rank correlation with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation.bootstrap import bootstrap_interval
from shared.evaluation.interpretability.file import not_measured, row
from shared.evaluation.rank_correlation import weighted_rank_correlation

__all__ = ["physical_rows"]

MEASURE = "physical_correlation"
#: a rank correlation of fewer samples says nothing
LEAST = 4
CLASSES_UNKNOWN = (
    "the classes of the samples are unknown, and logits of the classes that were predicted cannot be compared"
)


def physical_rows(
    quantities: Mapping[str, ArrayLike],
    outputs: ArrayLike,
    labels: Sequence[str | None] | None = None,
    groups: ArrayLike | None = None,
    seed: int = 0,
    logit: str | None = None,
    reason: str = "the records hold no physical measurement of the samples",
) -> list[dict[str, Any]]:
    """Return the rows of ``physical_correlation``.

    Over all samples a quantity goes with the output as soon as its mean differs between the classes; within a class
    the relation is one to the quantity itself. So the rows within classes lead. Over all samples there is a row only of
    one and the same logit: where each sample has the logit of its own class, a rank correlation over all would compare
    numbers of different outputs.

    Args:
        quantities: by name with its unit, of B samples ``(B,)``; NaN where it is not known.
        outputs: of each sample ``(B,)``: the logit that ``logit`` names, or that of the sample's class.
        labels: class of each sample.
        groups: patient or donor of each sample, if samples belong together.
        seed: of the bootstrap.
        logit: the class whose logit all outputs are; ``None`` if each sample has that of its own class.
        reason: why there is no quantity, where there is none.

    Returns:
        For each quantity one row of each class, and of a named logit, which the parameters name, one of all samples;
        where only one class is known, one row. Chance level: 0.
    """
    if not quantities:
        return [not_measured(MEASURE, reason)]
    values = np.asarray(outputs, dtype=np.float64)
    of_class = np.array(list(labels) if labels is not None else [None] * len(values), dtype=object)
    drawn = None if groups is None else np.asarray(groups)
    known = sorted({label for label in of_class if label is not None})
    if logit is None and not known:
        return [not_measured(MEASURE, CLASSES_UNKNOWN, of=name) for name in quantities]
    places: list[str | None] = list(known) if logit is None or len(known) > 1 else []
    if logit is not None:
        places.append(None)
    stated = {} if logit is None else {"parameters": {"logit": logit}}
    rows = []
    for name, quantity in quantities.items():
        measured = np.asarray(quantity, dtype=np.float64)
        for label in places:
            chosen = np.isfinite(measured) & (True if label is None else of_class == label)
            kept = None if drawn is None else drawn[chosen]
            entry = _entry(measured[chosen], values[chosen], kept, seed) | stated
            rows.append(row(MEASURE, entry, label=label, of=name))
    return rows


def _entry(quantity: np.ndarray, outputs: np.ndarray, groups: np.ndarray | None, seed: int) -> dict[str, Any]:
    n = len(quantity)
    if n < LEAST:
        return {"value": None, "reason": f"known of {n} samples, a rank correlation needs {LEAST}", "n": n}
    if np.ptp(quantity) == 0 or np.ptp(outputs) == 0:
        same = "the quantity" if np.ptp(quantity) == 0 else "the output"
        return {"value": None, "reason": f"{same} is the same in all {n} samples", "n": n}
    interval = bootstrap_interval(weighted_rank_correlation, [quantity, outputs], groups=groups, seed=seed)
    return {**interval.to_json(), "chance": 0.0, "n": n}
