"""The paper's figure 3: mean F1 of every alarm on 30 bootstrapped test sets, and its paired t-tests.

Shu et al. (INFORMER), section 3: a bootstrapped set has as many images as the test set, drawn with replacement. Its
p-values are no evidence about new patients: they fall with the number of sets drawn, which costs nothing. The paired
intervals of :mod:`scripts.alarms.evaluation` are what to judge by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ttest_rel

from scripts.alarms.applied import AppliedAlarms
from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.multi_label import f1_score, label_counts, mean_of_defined

__all__ = ["bootstrapped_sets", "summarise_sets"]


def bootstrapped_sets(applied: AppliedAlarms, *, sets: int = 30, seed: int = 0) -> pd.DataFrame:
    """Return the mean F1 over the findings after swapping, ``alarm``, ``set``, ``mean_f1``: the figure's boxes.

    Args:
        applied: alarms applied to the test images.
        sets: number of bootstrapped test sets.
        seed: seed of the draw; images are drawn one by one, as in the paper.
    """
    names = [*applied.flags]
    weights = np.concatenate(list(bootstrap_weights(len(applied.id), sets, seed=seed)))
    swapped = np.stack([applied.swapped(name) for name in names])
    means = mean_of_defined(f1_score(label_counts(weights, applied.label, swapped)))  # (sets, A)
    return pd.DataFrame(
        {"alarm": np.tile(names, sets), "set": np.repeat(np.arange(sets), len(names)), "mean_f1": means.ravel()}
    )


def summarise_sets(table: pd.DataFrame, against: str | None = "entropy") -> dict[str, Any]:
    """Summarise the boxes, and test each alarm against one of them.

    Args:
        table: of :func:`bootstrapped_sets`.
        against: alarm that the others are tested against by a paired t-test, as published; ``None`` for none.

    Returns:
        ``{"sets", "against", "alarms": {name: {"median", "quartiles", "paired_t_test_p"}}}``; p is ``None`` where the
        two are equal on all sets.
    """
    wide = table.pivot_table(index="set", columns="alarm", values="mean_f1", dropna=False)
    alarms: dict[str, Any] = {}
    for name in table["alarm"].unique():
        values = wide[name].to_numpy()
        entry: dict[str, Any] = {
            "median": float(np.median(values)),
            "quartiles": np.quantile(values, [0.25, 0.75]).tolist(),
        }
        if against is not None and name != against:
            other = wide[against].to_numpy()
            equal = np.allclose(values, other, rtol=0, atol=1e-12)
            entry["paired_t_test_p"] = None if equal else float(ttest_rel(values, other).pvalue)
        alarms[str(name)] = entry
    return {"sets": len(wide), "against": against, "alarms": alarms}
