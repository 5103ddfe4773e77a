"""From the results of the runs to one set of held-out predictions per seed, each cell predicted exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from scripts.study.grid import Run
from scripts.study.workshop import Workshop
from shared.calibration.temperature import apply_temperature, fit_temperature
from shared.data.errors import DataError
from shared.study.repeats import join_parts

__all__ = ["PREFIX", "HeldOut", "held_out"]

PREFIX = "perturbed "
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """Predictions of the same N cells by networks of several seeds.

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


def held_out(workshop: Workshop, runs: Mapping[int, Sequence[Run]]) -> HeldOut:
    """Join the parts of each seed.

    Each part's probabilities get the temperature that was fitted on that part's validation cells, never on its
    held-out ones.

    Args:
        workshop: of the study.
        runs: seed to all its parts; runs that differ in seed and part only.

    Raises:
        DataError: if a cell is held out twice by one seed, or the seeds hold out different cells.
    """
    labels, temperatures = workshop.cells.labels, []
    indices: dict[int, NDArray[np.integer]] = {}
    joined: list[dict[str, Floats]] = []
    for seed, parts in runs.items():
        results = [workshop.result(run) for run in parts]
        predictions = [_probabilities(result, labels) for result in results]
        temperatures += [temperature for temperature, _ in predictions]
        index, arrays = join_parts([result["test_index"] for result in results], [part for _, part in predictions])
        if len(np.unique(index)) < len(index):
            raise DataError(f"seed {seed} holds out a cell twice; delete its runs and do them anew")
        indices[seed] = index
        joined.append(arrays)
    first = next(iter(indices.values()))
    if not all(np.array_equal(index, first) for index in indices.values()):
        raise DataError("the seeds hold out different cells; finish the study before its table is written")

    stacked = {name: np.stack([arrays[name] for arrays in joined]) for name in joined[0]}
    return HeldOut(
        seeds=tuple(indices),
        labels=labels[first],
        before=stacked["before"],
        after=stacked["after"],
        sampled_before=stacked.get("sampled_before"),
        sampled_after=stacked.get("sampled_after"),
        temperatures=np.array(temperatures),
        perturbed={name.removeprefix(PREFIX): stacked[name] for name in stacked if name.startswith(PREFIX)},
    )


def _probabilities(arrays: dict[str, NDArray[Any]], labels: NDArray[np.int64]) -> tuple[float, dict[str, Floats]]:
    """Return the temperature of one run, and its logits as probabilities."""
    validation_labels = labels[arrays["validation_index"]]

    def temperature(name: str) -> float:
        # the bundle's own policy for a validation split without an error
        return fit_temperature(arrays[f"validation_{name}"], validation_labels, at_bound="conservative").temperature

    fitted = temperature("logits")
    result = {
        "before": softmax(arrays["test_logits"].astype(np.float64), axis=-1),
        "after": apply_temperature(arrays["test_logits"], fitted),
    }
    if "test_samples" in arrays:
        result["sampled_before"] = apply_temperature(arrays["test_samples"], 1.0)
        result["sampled_after"] = apply_temperature(arrays["test_samples"], temperature("samples"))
    changed = [name for name in arrays if name.startswith(PREFIX)]
    return fitted, result | {name: apply_temperature(arrays[name], fitted) for name in changed}
