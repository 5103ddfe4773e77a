"""The table: sections of rows, each row a condition, each cell an estimate with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scripts.study.explanation_rows import explanation_section
from scripts.study.grid import BASELINE, Run
from scripts.study.measures import Estimate, Meter
from scripts.study.pool import is_done
from scripts.study.pooling import Pooled, pool_runs
from scripts.study.rows import Row, Section
from scripts.study.workshop import Workshop

__all__ = ["REFERENCES", "Table", "build_table", "verdict"]

FALL = 3.0  # the calibration error is to fall at least so many times, or to within the null band
REFERENCES = (
    ("AlexNet", {"macro F1": 0.963}),
    ("LeNet5", {"macro F1": 0.925}),
    ("network not named", {"ECE before": 0.0647, "ECE after": 0.0125}),
)
"""Published figures of arXiv:2311.14485, on phase images: another data set."""


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """All sections, and what is missing.

    Attributes:
        sections: in the order of the page.
        missing: keys of runs without a result.
        incomplete: seeds left out of a row because a part of them is missing.
    """

    sections: list[Section]
    missing: list[str]
    incomplete: list[str]


@dataclass
class _Maker:
    workshop: Workshop
    done: list[Run]
    incomplete: list[str] = field(default_factory=list)

    def pooled(self, planned: Sequence[Run]) -> Pooled | None:
        """Pool the seeds all of whose parts are done; None if there is no such seed."""
        usable: list[Run] = []
        for seed in sorted({run.seed for run in planned}):
            parts = [run for run in planned if run.seed == seed]
            finished = [run for run in parts if run in self.done]
            if len(finished) == len(parts):
                usable += parts
            else:
                self.incomplete.append(f"{parts[0].key.rpartition('_')[0]}: {len(finished)} of {len(parts)} parts")
        if not usable:
            return None
        paths = [self.workshop.result_path(run) for run in usable]
        return pool_runs(usable, paths, self.workshop.cells.labels)

    def meter(self, pooled: Pooled) -> Meter:
        settings = self.workshop.settings
        return Meter(pooled.labels, len(self.workshop.cells.classes), settings.n_bins, settings.resamples)


def build_table(workshop: Workshop, runs: Sequence[Run]) -> Table:
    """Compute the table from the results that are there.

    A seed enters a row only if all its parts are done.

    Args:
        workshop: shared by the runs.
        runs: all runs of the study.
    """
    maker = _Maker(workshop, [run for run in runs if is_done(workshop, run)])
    sections = [
        _main_section(maker, runs),
        _source_section(maker, runs),
        _label_section(maker, runs),
        *_perturbation_sections(maker, runs),
        explanation_section(workshop, [run for run in maker.done if run.experiment == "explanations"]),
    ]
    missing = [run.key for run in runs if run not in maker.done]
    return Table([section for section in sections if section.rows], missing, sorted(set(maker.incomplete)))


def _groups(runs: Sequence[Run], experiment: str) -> dict[tuple[str, float, float], list[Run]]:
    """Group the runs of an experiment by network, dropout rate and label noise."""
    groups: dict[tuple[str, float, float], list[Run]] = {}
    for run in runs:
        if run.experiment == experiment:
            groups.setdefault((run.network, run.dropout, run.label_noise), []).append(run)
    return groups


def _cells(meter: Meter, pooled: Pooled) -> dict[str, Estimate | str]:
    """Return the columns of a row of the main comparison."""
    before, after = meter.calibration_error(pooled.before), meter.calibration_error(pooled.after)
    cells: dict[str, Estimate | str] = {
        "macro F1": meter.classification("macro_f1", pooled.after),
        "accuracy": meter.classification("accuracy", pooled.after),
        "ECE before": before,
        "ECE after": after,
        "goal": verdict(before, after),
        "temperature": f"{pooled.temperatures.mean():.2f} ({pooled.temperatures.min():.2f} to "
        f"{pooled.temperatures.max():.2f})",
    }
    if pooled.sampled_before is not None and pooled.sampled_after is not None:
        sampled_before = meter.calibration_error(pooled.sampled_before)
        sampled_after = meter.calibration_error(pooled.sampled_after)
        cells |= {
            "MC macro F1": meter.classification("macro_f1", pooled.sampled_after),
            "MC accuracy": meter.classification("accuracy", pooled.sampled_after),
            "MC ECE before": sampled_before,
            "MC ECE after": sampled_after,
            "MC goal": verdict(sampled_before, sampled_after),
        }
    return cells


def verdict(before: Estimate, after: Estimate) -> str:
    """Tell whether the calibration error falls as it should.

    Args:
        before: error without a temperature, with its null band.
        after: error with it.

    Returns:
        Text that begins with ``met`` or ``missed``.
    """
    ratio = before.value / max(after.value, 1e-12)
    times = f"÷ {ratio:.1f}"
    was_within, within = (e.null_high is not None and e.value <= e.null_high for e in (before, after))
    if ratio >= FALL:
        return f"met: {times}" + (", to within null band" if within else "")
    if within:
        return f"met: within null band {'before and after' if was_within else 'only after'} ({times})"
    return f"missed ({times})"


def _main_section(maker: _Maker, runs: Sequence[Run]) -> Section:
    rows = []
    for (network, dropout, _), group in _groups(runs, "cross_validation").items():
        pooled = maker.pooled(group)
        if pooled is not None:
            rate = None if network == BASELINE else dropout
            rows.append(Row(network, rate, "all cells", _cells(maker.meter(pooled), pooled)))
    rows += [
        Row(
            network,
            None,
            "published (arXiv:2311.14485), on another data set: phase images",
            {name: f"{value:g}" for name, value in values.items()},
        )
        for network, values in REFERENCES
        if rows
    ]
    folds = maker.workshop.settings.folds
    return Section(
        "Cross-validation",
        f"{folds}-fold, stratified by class and source: each cell is held out exactly once per seed. Model and "
        "temperature are chosen on a validation split of the remaining cells, never on the held-out fold. MC: mean of "
        f"{maker.workshop.settings.monte_carlo_samples} Monte Carlo dropout samples, with a temperature of its own. "
        "Goal: the calibration error (ECE, top label) falls at least threefold through the temperature, or to within "
        "what 95 % of perfect predictors get on as many cells (null band).",
        rows,
    )


def _source_section(maker: _Maker, runs: Sequence[Run]) -> Section:
    rows = []
    for (network, dropout, _), group in _groups(runs, "leave_one_source_out").items():
        for source in sorted({run.part for run in group}):
            pooled = maker.pooled([run for run in group if run.part == source])
            if pooled is not None:
                rate = None if network == BASELINE else dropout
                rows.append(Row(network, rate, f"held out: {source}", _cells(maker.meter(pooled), pooled)))
    return Section(
        "Leave one source out",
        "Trained, chosen and calibrated on one source, tested on all of the other: a temperature is fitted for data "
        "like the validation data, and this shows what remains of it on other data.",
        rows,
    )


def _label_section(maker: _Maker, runs: Sequence[Run]) -> Section:
    rate = maker.workshop.settings.dropout_rate
    clean = {key[0]: group for key, group in _groups(runs, "cross_validation").items() if key[1] == rate}
    noisy = _groups(runs, "wrong_labels")
    rows = []
    for network in dict.fromkeys(key[0] for key in noisy):
        for noise, group in [(0.0, clean[network]), *((k[2], g) for k, g in noisy.items() if k[0] == network)]:
            pooled = maker.pooled(group)
            if pooled is None:
                continue
            cells = _cells(maker.meter(pooled), pooled)
            confidence = {"mean confidence": maker.meter(pooled).confidence(pooled.after)}
            rows.append(Row(network, rate, f"{100 * noise:g} % wrong labels", confidence | cells))
    return Section(
        "Wrong training labels",
        "So many training labels are replaced by another class at random; validation and held-out labels are right.",
        rows if any(row.condition != "0 % wrong labels" for row in rows) else [],
    )


PREPROCESSING = {
    "background": "background: {}",
    "offset_px": "crop moved by {} px",
    "blur_px": "blurred, standard deviation {} px",
    "intensity": "intensity times {}",
}
ATTACKS = {
    "random_sign": "random signs, ε = {} (control)",
    "fgsm": "FGSM, ε = {}",
    "pgd": "PGD, ε = {}",
}


def _perturbation_sections(maker: _Maker, runs: Sequence[Run]) -> list[Section]:
    rate = maker.workshop.settings.dropout_rate
    sections = []
    for title, kinds, note in (
        (
            "Other preprocessing of the held-out cells",
            PREPROCESSING,
            "Networks and temperatures of the cross-validation; only what is held out is prepared otherwise. Trained "
            "with the 5 % quantile of the image as background.",
        ),
        (
            "Small adversarial perturbations",
            ATTACKS,
            "ε is the largest change of a pixel, in the unit of what the network sees: radians, of which black has "
            f"{maker.workshop.settings.black_rad:g}. FGSM: one step of Goodfellow et al. 2015; "
            f"PGD: {maker.workshop.settings.pgd_steps} steps of Madry et al. 2018. The attacker knows network and "
            "truth; dropout is off.",
        ),
    ):
        rows: list[Row] = []
        for (network, dropout, _), group in _groups(runs, "cross_validation").items():
            if dropout != rate or network == BASELINE:
                continue
            pooled = maker.pooled(group)
            if pooled is None:
                continue
            meter = maker.meter(pooled)
            rows.append(Row(network, rate, "as trained", _perturbation_cells(meter, pooled.after, None)))
            for name, probabilities in pooled.perturbed.items():
                kind, _, strength = name.partition(" ")
                if kind in kinds:
                    cells = _perturbation_cells(meter, probabilities, pooled.after)
                    rows.append(Row(network, rate, kinds[kind].format(strength), cells))
        sections.append(Section(title, note, rows))
    return sections


def _perturbation_cells(meter: Meter, probabilities: Floats, reference: Floats | None) -> dict[str, Estimate | str]:
    cells: dict[str, Estimate | str] = {"macro F1": meter.classification("macro_f1", probabilities)}
    if reference is not None:
        cells["change of macro F1"] = meter.classification_change("macro_f1", probabilities, reference)
    cells["accuracy"] = meter.classification("accuracy", probabilities)
    if reference is not None:
        cells["predictions changed"] = meter.changed(probabilities, reference)
    cells["mean confidence"] = meter.confidence(probabilities)
    cells["ECE after"] = meter.calibration_error(probabilities)
    return cells
