"""Rows about the quality of explanations, by network, dropout rate and method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from scripts.study.grid import Run
from scripts.study.measures import Estimate, Meter
from scripts.study.rows import Row, Section
from scripts.study.workshop import Workshop
from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean

__all__ = ["explanation_section", "mean_quality"]

METRICS = {
    "rank_accuracy": "rank accuracy",
    "localisation_auc": "localisation AUC",
    "mass_accuracy": "relevance mass",
    "pointing_game": "pointing game",
}


def explanation_section(workshop: Workshop, runs: Sequence[Run]) -> Section:
    """Return one row for each network, dropout rate and method.

    Args:
        workshop: shared by the runs.
        runs: the experiment's runs that are done.
    """
    groups: dict[tuple[str, float, str], list[dict[str, NDArray[np.float64]]]] = {}
    for run in runs:
        with np.load(workshop.result_path(run), allow_pickle=False) as result:
            arrays = {name: result[name] for name in result.files if name != "facts"}
        groups.setdefault((run.network, run.dropout, run.part), []).append(arrays)
    rows = []
    for (network, dropout, part), results in groups.items():
        f1 = _macro_f1(workshop, results)
        for method in workshop.settings.explanations["methods"]:
            cells: dict[str, Estimate | str] = {
                title: mean_quality(
                    [result[f"quality {method}|{metric}|value"] for result in results],
                    [result[f"quality {method}|{metric}|chance"] for result in results],
                    workshop.settings.resamples,
                )
                for metric, title in METRICS.items()
            }
            if part == "trained":
                rows.append(Row(network, dropout, method, {"macro F1 on phantoms": f1} | cells))
            elif not method.endswith("(control)"):
                rows.append(Row(network, None, f"{method}, untrained network", {"macro F1 on phantoms": f1} | cells))
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
    stacked = stacked[:, measured]
    interval = bootstrap_interval(weighted_mean, [stacked.mean(axis=0)], resamples=resamples)
    return Estimate(
        float(interval.value),
        float(interval.low),
        float(interval.high),
        int(measured.sum()),
        len(values),
        float(stacked.mean(axis=1).std(ddof=1)) if len(values) > 1 else None,
        chance=float(np.stack(chances)[:, measured].mean()),
    )


def _macro_f1(workshop: Workshop, results: Sequence[dict[str, NDArray[np.float64]]]) -> Estimate:
    labels = results[0]["labels"].astype(np.int64)
    probabilities = np.stack([softmax(result["test_logits"].astype(np.float64), axis=-1) for result in results])
    settings = workshop.settings
    meter = Meter(labels, len(workshop.cells.classes), settings.n_bins, settings.resamples)
    return meter.classification("macro_f1", probabilities)
