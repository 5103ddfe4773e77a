"""What every method satisfies, measured: rows for the interpretability file, and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.evaluation.interpretability.file import not_measured, row
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.sanity.explained import Explained, ExplainedImages, Explanations
from shared.saliency.transparency.completeness import Completeness, bias_share, completeness, relative_error
from shared.saliency.transparency.oracle import oracle_errors

__all__ = ["WITH_BIASES", "TransparencyReport", "measure_transparency"]

NO_CLAIM = "the rule does not claim that its values add up to anything"
WITH_BIASES = "with what the biases contribute"


@dataclass(frozen=True)
class TransparencyReport:
    """What was measured.

    Attributes:
        rows: of the interpretability file.
        satisfies: by method, what it satisfies, in sentences: ``satisfies`` of its description.
    """

    rows: list[dict[str, Any]]
    satisfies: dict[str, list[str]]


def measure_transparency(
    explained: Explained,
    original: Explanations,
    *,
    groups: ArrayLike | None = None,
    tolerance: float = 0.01,
    oracle_samples: int = 2,
    seed: int = 0,
) -> TransparencyReport:
    """Measure the completeness error and the error against an oracle of every method.

    Args:
        explained: samples, methods and network: images or bags.
        original: explanations of the network itself.
        groups: patient or donor of each sample ``(B,)``, if samples belong together.
        tolerance: relative error up to which a method is said to satisfy something.
        oracle_samples: number of samples that are compared with the oracle.
        seed: of the intervals.
    """
    rows: list[dict[str, Any]] = []
    satisfies: dict[str, list[str]] = {name: [] for name in original}

    def add(
        measure: str, name: str, entry: dict[str, Any], sentence: str, of: str | None = None, **parameters: Any
    ) -> None:
        rows.append(row(measure, entry | {"parameters": parameters}, name, of=of))
        if entry["value"] is not None and entry["value"] <= tolerance:
            satisfies[name].append(f"{sentence}: relative error {entry['value']:.1g}, {entry['n']} samples.")

    sums = completeness(explained, original)
    for name in original:
        if name not in sums:
            rows.append(not_measured("completeness_error", NO_CLAIM, name))
            continue
        found = sums[name]
        add("completeness_error", name, relative_error(found, groups, seed), f"Adds up to the {found.whole}")
        ledger = _ledger(explained, name, found)
        if ledger is not None:
            entry = relative_error(ledger, groups, seed)
            add("completeness_error", name, entry, f"Adds up to the {found.whole} {WITH_BIASES}", WITH_BIASES)
    for name, error in oracle_errors(explained, oracle_samples, seed).items():
        if isinstance(error, str):
            rows.append(not_measured("oracle_error", error, name))
            continue
        values = error.values[np.isfinite(error.values)]
        if len(values) == 0:
            rows.append(not_measured("oracle_error", "the oracle gives 0 everywhere", name))
            continue
        kept = None if groups is None else np.asarray(groups)[: len(error.values)][np.isfinite(error.values)]
        interval = bootstrap_interval(weighted_mean, [values], groups=kept, seed=seed)
        entry = {**interval.to_json(), "n": len(values)}
        add("oracle_error", name, entry, f"Equals {error.oracle}", oracle=error.oracle)
    return TransparencyReport(rows, satisfies)


def _ledger(explained: Explained, name: str, found: Completeness) -> Completeness | None:
    """Return input × gradient with what the biases contribute, ``None`` for any other method."""
    if not isinstance(explained, ExplainedImages) or type(explained.methods[name]) is not InputXGradient:
        return None
    parts = zip(
        explained.images.split(explained.batch_size), explained.targets.split(explained.batch_size), strict=True
    )
    shares = np.concatenate([bias_share(explained.network, *part) for part in parts])
    return found._replace(total=found.total + shares)
