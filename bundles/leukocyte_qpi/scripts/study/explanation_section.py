"""The section on the quality of explanations, by network, dropout rate and method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from scripts.study.measures import Meter
from scripts.study.results import Results, names_of
from scripts.study.workshop import Workshop
from shared.evaluation.bootstrap import weighted_mean
from shared.study.measures import Estimate, mean_over_repeats
from shared.study.table import Cell, Row, Section

__all__ = ["explanation_section", "mean_quality"]

METRICS = {
    "rank_accuracy": "rank accuracy",
    "localisation_auc": "localisation AUC",
    "mass_accuracy": "relevance mass",
    "pointing_game": "pointing game",
}


def explanation_section(results: Results) -> Section:
    """One row for each network, dropout rate and method."""
    workshop = results.workshop
    groups: dict[tuple[str, float, str], list[dict[str, NDArray[Any]]]] = {}
    for run in results.runs:
        if run.experiment == "explanations" and run in results.done:
            groups.setdefault((run.network, run.dropout, run.part), []).append(workshop.result(run))
    rows = []
    for (network, dropout, part), seeds in groups.items():
        f1 = _macro_f1(workshop, seeds)
        for method in workshop.settings.explanations["methods"]:
            cells: dict[str, Cell] = {
                title: mean_quality(
                    [result[f"quality {method}|{metric}|value"] for result in seeds],
                    [result[f"quality {method}|{metric}|chance"] for result in seeds],
                    workshop.settings.resamples,
                )
                for metric, title in METRICS.items()
            }
            if part == "trained":
                names = names_of(network, dropout, method)
            elif not method.endswith("(control)"):
                names = names_of(network, None, f"{method}, untrained network")
            else:
                continue  # a control does not look at the network
            rows.append(Row(names, {"macro F1 on phantoms": f1} | cells))
    crops = workshop.settings.explanations["crops"]
    return Section(
        "Explanations by dropout rate, on phantoms",
        f"Trained on {crops['training']} generated phase crops, where the cause of the class is known. Maps of the "
        f"true class of {crops['test']} others, from unseen donors, are held against the mask of the cause; the chance "
        "level stands below each number. All networks share the phantoms; the interval is over phantoms.",
        rows,
    )


def mean_quality(
    values: Sequence[NDArray[np.float64]], chances: Sequence[NDArray[np.float64]], resamples: int
) -> Estimate:
    """Average a quality over seeds and images.

    Args:
        values: for each seed the quality of each image, ``(N,)``; NaN where it cannot be measured.
        chances: its chance levels, likewise.
        resamples: bootstrap resamples, over images.
    """
    stacked = np.stack(values)  # (seeds, N)
    measured = ~np.isnan(stacked).any(axis=0)
    (estimate,) = mean_over_repeats(weighted_mean, [], [stacked[:, measured, None]], resamples=resamples)
    return replace(estimate, chance=float(np.stack(chances)[:, measured].mean()))


def _macro_f1(workshop: Workshop, seeds: Sequence[dict[str, NDArray[Any]]]) -> Estimate:
    labels = seeds[0]["labels"].astype(np.int64)
    probabilities = np.stack([softmax(result["test_logits"].astype(np.float64), axis=-1) for result in seeds])
    settings = workshop.settings
    meter = Meter(labels, len(workshop.cells.classes), settings.n_bins, settings.resamples)
    return meter.classification(probabilities)["macro_f1"]
