"""The sections on the shortcut: what the text does to predictions, alarms and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.alarm_titles import alarm_title
from scripts.alarms.applied import AppliedAlarms, pool_alarms
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.resampled import resampled_measures
from scripts.findings import FINDINGS
from scripts.study.cells import cell_of_interval
from scripts.study.doubting import doubts_from
from scripts.study.grid import Run
from scripts.study.pooled import FittedNetwork, fit_network
from scripts.study.shortcut_run import NETWORKS
from scripts.study.workshop import Workshop
from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.evaluation.multi_label import mean_of_defined
from shared.saliency.titles import method_title
from shared.study.table import Cell, Row, Section

__all__ = ["POLICIES", "ShortcutResults", "map_section", "prediction_section", "read_shortcut", "revealing_section"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: which films bear the text, given where the training's films would have it and which have the finding
POLICIES: Mapping[str, Callable[[Flags, Flags], Flags]] = {
    "as in training": lambda tied, _: tied,
    "on none": lambda tied, _: np.zeros_like(tied),
    "on all": lambda tied, _: np.ones_like(tied),
    "against the finding": lambda _, present: ~present,
}
TITLES = {"shortcut": "trained with the shortcut", "plain": "trained with random text"}
MISLEADING = "against the finding"


@dataclass(frozen=True)
class ShortcutResults:
    """Test films with and without the text, as two networks see them.

    Attributes:
        finding: index of the finding that the text is tied to.
        tied: per seed, which films of the shortcut's test set have the text ``(F,)``.
        versions: per seed, by network, what its alarms make of the films without and with the text.
        masses: by network and method, shares of maps on the text ``(M, 5)``, all seeds.
        areas: share of the film that the text covers ``(M,)``.
        arrays: of the first seed, for the picture.
    """

    finding: int
    tied: Sequence[Flags]
    versions: Sequence[Mapping[str, tuple[AppliedAlarms, AppliedAlarms]]]
    masses: Mapping[tuple[str, str], Floats]
    areas: Floats
    arrays: Mapping[str, NDArray[Any]]

    def under(self, policy: str, network: str) -> AppliedAlarms:
        """Return one version of each film, that which a policy says; all seeds together."""
        chosen = []
        for number, (tied, versions) in enumerate(zip(self.tied, self.versions, strict=True)):
            without, with_text = versions[network]
            present = without.label[:, self.finding] == 1
            chosen.append(_renamed(_choose(without, with_text, POLICIES[policy](tied, present)), f"{number}/"))
        return pool_alarms(chosen)


def read_shortcut(workshop: Workshop, runs: Sequence[Run], finding: str) -> ShortcutResults:
    """Fit each network's alarms on its own validation films, and apply them to both versions of the test films.

    Args:
        workshop: of the study.
        runs: shortcut runs that are done.
        finding: which the text is tied to.
    """
    results = [workshop.result(run) for run in runs]
    versions = []
    for run, result in zip(runs, results, strict=True):
        plain = workshop.result(Run("phantoms", run.seed))
        validation = {
            "shortcut": doubts_from(result, "shortcut_validation"),
            "plain": doubts_from(plain, "validation"),
        }
        versions.append(
            {name: _both(fit_network(validation[name], workshop.settings), result, name) for name in NETWORKS}
        )
    begin = "mass_"
    named = [name for name in results[0] if name.startswith(begin)]
    masses = {}
    for name in named:
        network, _, method = name.removeprefix(begin).partition("_")
        masses[network, method] = np.concatenate([result[name] for result in results])
    return ShortcutResults(
        FINDINGS.index(finding),
        [result["tied"] for result in results],
        versions,
        masses,
        np.concatenate([result["marker_area"] for result in results]),
        results[0],
    )


def prediction_section(results: ShortcutResults, resamples: int) -> Section:
    """How the predictions depend on which films bear the text."""
    rows = []
    for network in NETWORKS:
        for policy in POLICIES:
            applied = results.under(policy, network)
            own, others = _before(applied, resamples, results.finding)
            cells = {f"{name}, {_tied(results)}": cell for name, cell in own.items()}
            cells["AUC, mean of the others"] = others
            rows.append(Row({"network": TITLES[network], "text": policy}, cells))
    return Section(
        "Shortcut: predictions",
        f"Films with {_tied(results)} bear a text far more often than others in the training and validation films of "
        "the first network; in those of the second the text is as frequent and says nothing. Both are tested on the "
        "same films, which differ in nothing but the text: where training would have it, on none, on all, and on "
        "exactly those without the finding.",
        rows,
    )


def revealing_section(results: ShortcutResults, resamples: int) -> Section:
    """Whether alarms that were fitted on films with the shortcut flag predictions that the text misleads."""
    usual, misled = (results.under(policy, "shortcut") for policy in ("as in training", MISLEADING))
    measured = _of_alarms(misled, results.finding, resamples)
    rows = []
    for alarm in usual.flags:
        errors, before, after = measured[alarm]
        cells: dict[str, Cell] = {
            "flagged, text as in training": _share(usual.flags[alarm][:, results.finding], usual.patient, resamples),
            "flagged, text against the finding": _share(
                misled.flags[alarm][:, results.finding], misled.patient, resamples
            ),
            "AUC for errors, against": errors,
            "F1, against, before": before,
            "F1, against, swapped": after,
        }
        rows.append(Row({"alarm": alarm_title(alarm)}, cells))
    return Section(
        "Shortcut: do alarms flag it?",
        f"Predictions of {_tied(results)} by the network trained with the shortcut, whose alarms were fitted on "
        "validation films that have the shortcut too, as those of a hospital would. An alarm reveals the shortcut if "
        "it flags more where the text misleads, and if wrong predictions are then the more doubtful ones (AUC for "
        "errors above 0.5).",
        rows,
    )


def map_section(results: ShortcutResults, resamples: int) -> Section:
    """Whether the maps lie on the text."""
    rows = []
    area = _mean(results.areas, resamples)
    others = [index for index in range(len(FINDINGS)) if index != results.finding]
    for (network, method), mass in results.masses.items():
        own, other = mass[:, results.finding], mean_of_defined(mass[:, others])
        cells: dict[str, Cell] = {
            f"map of {_tied(results)}": _mean(own, resamples),
            "maps of the others": _mean(other, resamples),
            "difference": _mean(own - other, resamples),
            "area of the text": area,
        }
        rows.append(Row({"method": method_title(method), "network": TITLES[network]}, cells))
    return Section(
        "Shortcut: do the maps lie on the text?",
        "Share of a map's magnitude that lies on the text, mean over test films that bear it. The text covers the "
        "share of the film in the last column.",
        sorted(rows, key=lambda row: row.names["method"]),
    )


def _both(fitted: FittedNetwork, result: Mapping[str, Any], network: str) -> tuple[AppliedAlarms, AppliedAlarms]:
    tables: list[Doubts] = [doubts_from(result, f"{network}_{version}") for version in ("without", "with")]
    return fitted.applied(tables[0]), fitted.applied(tables[1])


def _choose(without: AppliedAlarms, with_text: AppliedAlarms, chosen: Flags) -> AppliedAlarms:
    """Return of each film the version with the text where it is chosen."""

    def pick(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
        return np.where(chosen.reshape(-1, *[1] * (first.ndim - 1)), second, first)

    def all_of(name: str) -> dict[str, NDArray[Any]]:
        own: Mapping[str, NDArray[Any]] = getattr(without, name)
        return {key: pick(values, getattr(with_text, name)[key]) for key, values in own.items()}

    names = ("id", "patient", "label", "prediction", "probability", "margin")
    picked: dict[str, Any] = {name: pick(getattr(without, name), getattr(with_text, name)) for name in names}
    return replace(without, flags=all_of("flags"), doubts=all_of("doubts"), **picked)


def _renamed(applied: AppliedAlarms, prefix: str) -> AppliedAlarms:
    return replace(applied, id=np.char.add(prefix, applied.id), patient=np.char.add(prefix, applied.patient))


def _before(applied: AppliedAlarms, resamples: int, finding: int) -> tuple[dict[str, Cell], Cell]:
    """Return AUC and F1 of one finding, and the mean AUC of the others, without any alarm."""
    alone = replace(applied, flags={"no_alarm": applied.flags["no_alarm"]}, doubts={})
    others = [index for index in range(len(applied.classes)) if index != finding]

    def statistic(weights: Floats, _: Floats) -> Floats:
        measures = resampled_measures(alone, weights)
        area, f1 = (measures["before", name][:, 0] for name in ("roc_auc", "f1"))
        return np.stack([area[:, finding], f1[:, finding], area[:, others].mean(axis=1)], axis=1)

    found = bootstrap_interval(statistic, [applied.margin], resamples=resamples, groups=applied.patient)
    cells = [cell_of_interval(found[index], len(applied.id), 1) for index in range(3)]
    return {"AUC": cells[0], "F1": cells[1]}, cells[2]


def _of_alarms(applied: AppliedAlarms, finding: int, resamples: int) -> dict[str, tuple[Cell, Cell, Cell]]:
    """Return of each alarm the AUC for errors of one finding, and its F1 before and after swapping."""
    names = list(applied.flags)

    def statistic(weights: Floats, _: Floats) -> Floats:
        measures = resampled_measures(applied, weights)
        parts = [
            measures[key][:, :, finding] for key in (("ranking", "error_auc"), ("before", "f1"), ("swapping", "f1"))
        ]
        return np.concatenate(np.broadcast_arrays(*parts), axis=1)  # (R, 3 A)

    found = bootstrap_interval(statistic, [applied.margin], resamples=resamples, groups=applied.patient)
    n = len(applied.id)
    cells = [cell_of_interval(found[index], n, 1) for index in range(3 * len(names))]
    return {
        name: (
            cells[index] if name in applied.doubts else "no order",
            cells[len(names) + index],
            cells[2 * len(names) + index],
        )
        for index, name in enumerate(names)
    }


def _share(flags: Flags, patients: NDArray[np.str_], resamples: int) -> Cell:
    found = bootstrap_interval(weighted_mean, [flags.astype(np.float64)], resamples=resamples, groups=patients)
    return cell_of_interval(found, len(flags), 1)


def _mean(values: Floats, resamples: int) -> Cell:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return "no map"
    return cell_of_interval(bootstrap_interval(weighted_mean, [defined], resamples=resamples), len(defined), 1)


def _tied(results: ShortcutResults) -> str:
    return FINDINGS[results.finding].replace("_", " ")
