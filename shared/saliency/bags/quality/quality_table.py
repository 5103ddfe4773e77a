"""The table of explanation quality: every method on the same bags, positive and negative bags apart, over runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.saliency.bags.quality.bag_quality import BagQuality

__all__ = ["over_runs", "quality_table"]

Table = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""``{"positive" or "negative": {method: {measure: entry}}}``."""


def quality_table(
    bags: Sequence[BagQuality],
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Average the quality over bags.

    Args:
        bags: of each bag, with the same methods and measures.
        labels: whether each bag is positive, ``(B,)``.
        groups: patient of each bag, ``(B,)``, for intervals by patient.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Of positive and of negative bags by method and measure ``value``, ``ci95``, ``chance`` and ``n``, the number of
        bags that could be measured. A measure that no bag has (ranking against truth on negative bags) is left out.
        ``peak_ratio`` of the negative bags compares their peaks p with those of the positive bags,
        ``exp(median_{negative} log p − median_{positive} log p)``: below 1 instances stand out less where there is
        nothing to find, at 1 as much as in positive bags. Bags may be of any size, see
        :func:`~shared.saliency.bags.quality.bag_quality.peak_of_bag`, and a single odd one decides nothing.

    Raises:
        ValueError: if bags differ in their methods, or labels do not fit.
    """
    positive = np.asarray(labels, dtype=bool)
    if not bags or positive.shape != (len(bags),) or any(bag.methods != bags[0].methods for bag in bags):
        raise ValueError(
            f"expected bags of the same methods with one label each, found {len(bags)} bags, labels of shape "
            f"{positive.shape} and {len({bag.methods for bag in bags})} sets of methods"
        )
    patients = None if groups is None else np.asarray(groups)
    table: Table = {}
    for name, chosen in (("positive", positive), ("negative", ~positive)):
        members = [bag for bag, taken in zip(bags, chosen, strict=True) if taken]
        kept = None if patients is None else patients[chosen]
        table[name] = {
            method: _entries(members, place, kept, resamples, seed) for place, method in enumerate(bags[0].methods)
        }
    for place, (method, entries) in enumerate(table["negative"].items()):
        if "peak" in entries and "peak" in table["positive"][method]:
            logs = np.log([bag.values["peak"][place] for bag in bags])
            ratio = float(np.exp(np.median(logs[~positive]) - np.median(logs[positive])))
            entries["peak_ratio"] = {"value": ratio, "n": entries["peak"]["n"]}
    return table


def over_runs(tables: Sequence[Table]) -> Table:
    """Return mean and standard deviation over training runs.

    Args:
        tables: of each run, with the same entries.

    Returns:
        ``mean``, ``std`` (of the sample, ``None`` for one run) and ``runs``, the values of the runs, in place of each
        entry; an entry that a run lacks is left out.
    """
    result: Table = {}
    for kind, methods in tables[0].items():
        result[kind] = {}
        for method, entries in methods.items():
            shared = [name for name in entries if all(name in table[kind].get(method, {}) for table in tables)]
            result[kind][method] = {name: _spread([table[kind][method][name] for table in tables]) for name in shared}
    return result


def _entries(
    bags: Sequence[BagQuality], place: int, groups: NDArray | None, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for measure in bags[0].values if bags else ():
        values = np.array([bag.values[measure][place] for bag in bags])
        measured = ~np.isnan(values)
        if not measured.any():
            continue
        kept = None if groups is None else groups[measured]
        interval = bootstrap_interval(weighted_mean, [values[measured]], resamples=resamples, seed=seed, groups=kept)
        chance = float(np.mean([bag.chance[measure] for bag, taken in zip(bags, measured, strict=True) if taken]))
        entries[measure] = {
            **interval.to_json(),
            "chance": None if np.isnan(chance) else chance,
            "n": int(measured.sum()),
        }
    return entries


def _spread(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = [float(entry["value"]) for entry in entries]
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": deviation, "runs": values}
