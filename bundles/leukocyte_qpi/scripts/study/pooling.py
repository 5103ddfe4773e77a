"""From the results of the runs to one set of held-out predictions per seed, each cell predicted exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from scripts.study.grid import Run
from shared.calibration.temperature import apply_temperature, fit_temperature
from shared.data.errors import DataError

__all__ = ["PREFIX", "Pooled", "pool_runs"]

PREFIX = "perturbed "
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """Held-out predictions of the same N cells by networks of several seeds.

    Probabilities are ``(seeds, N, K)``, the cells in ascending order of their index.

    Attributes:
        seeds: the seeds.
        labels: true class indices ``(N,)``.
        before: single-pass probabilities without a temperature.
        after: the same with the temperature of the cell's fold.
        sampled_before: mean of the Monte Carlo samples without a temperature; None without dropout.
        sampled_after: the same with the temperature that was fitted for it.
        temperatures: fitted single-pass temperatures, one for each run.
        perturbed: calibrated single-pass probabilities by the name of the perturbation.
    """

    seeds: tuple[int, ...]
    labels: NDArray[np.int64]
    before: Floats
    after: Floats
    sampled_before: Floats | None
    sampled_after: Floats | None
    temperatures: Floats
    perturbed: dict[str, Floats] = field(default_factory=dict)


def pool_runs(runs: Sequence[Run], paths: Sequence[Path], labels: NDArray[np.int64]) -> Pooled:
    """Pool the parts of each seed.

    Each part's probabilities get the temperature that was fitted on that part's validation cells, never on its
    held-out ones.

    Args:
        runs: runs that differ in seed and part only.
        paths: their results.
        labels: class indices of all cells of the set.

    Raises:
        DataError: if a cell is held out twice by one seed, or the seeds hold out different cells.
    """
    by_seed: dict[int, list[dict[str, Any]]] = {}
    for run, path in zip(runs, paths, strict=True):
        with np.load(path, allow_pickle=False) as result:
            arrays = {name: result[name] for name in result.files if name != "facts"}
        by_seed.setdefault(run.seed, []).append(_probabilities(arrays, labels))
    pooled = {seed: _joined(parts) for seed, parts in by_seed.items()}
    first = next(iter(pooled.values()))
    for seed, part in pooled.items():
        index = part["index"]
        if len(np.unique(index)) < len(index):
            raise DataError(f"seed {seed} holds out a cell twice; delete its runs and do them anew")
        if not np.array_equal(index, first["index"]):
            raise DataError("the seeds hold out different cells; finish the study before its table is written")

    def stacked(name: str) -> Floats:
        return np.stack([part[name] for part in pooled.values()])

    sampled = "sampled_before" in first
    return Pooled(
        seeds=tuple(pooled),
        labels=labels[first["index"]],
        before=stacked("before"),
        after=stacked("after"),
        sampled_before=stacked("sampled_before") if sampled else None,
        sampled_after=stacked("sampled_after") if sampled else None,
        temperatures=np.array([part["temperature"] for parts in by_seed.values() for part in parts]),
        perturbed={name.removeprefix(PREFIX): stacked(name) for name in first if name.startswith(PREFIX)},
    )


def _probabilities(arrays: dict[str, NDArray[Any]], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Turn the logits of one run into probabilities."""
    validation_labels = labels[arrays["validation_index"]]

    def temperature(name: str) -> float:
        # the bundle's own policy for a validation split without an error
        return fit_temperature(arrays[f"validation_{name}"], validation_labels, at_bound="conservative").temperature

    fitted = temperature("logits")
    result: dict[str, Any] = {
        "index": arrays["test_index"],
        "temperature": fitted,
        "before": softmax(arrays["test_logits"].astype(np.float64), axis=-1),
        "after": apply_temperature(arrays["test_logits"], fitted),
    }
    if "test_samples" in arrays:
        result["sampled_before"] = apply_temperature(arrays["test_samples"], 1.0)
        result["sampled_after"] = apply_temperature(arrays["test_samples"], temperature("samples"))
    changed = [name for name in arrays if name.startswith(PREFIX)]
    return result | {name: apply_temperature(arrays[name], fitted) for name in changed}


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Concatenate the parts of one seed, in the order of the cells."""
    index = np.concatenate([part["index"] for part in parts])
    order = np.argsort(index)
    names = [name for name in parts[0] if name not in ("index", "temperature")]
    return {"index": index[order]} | {name: np.concatenate([part[name] for part in parts])[order] for name in names}
