"""The sections on cells as they are: cross-validation, another source, wrong training labels."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.study.held_out import HeldOut
from scripts.study.measures import Meter
from scripts.study.results import Results, names_of
from shared.study.measures import Estimate
from shared.study.table import Cell, Row, Section

__all__ = ["cross_validation_section", "source_section", "verdict", "wrong_label_section"]

FALL = 3.0  # the calibration error is to fall at least so many times, or to within the null band
#: Published figures of arXiv:2311.14485, on phase images: another data set.
PUBLISHED: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("AlexNet", {"macro F1": 0.963}),
    ("LeNet5", {"macro F1": 0.925}),
    ("network not named", {"ECE before": 0.0647, "ECE after": 0.0125}),
)


def cross_validation_section(results: Results) -> Section:
    """All networks and dropout rates, each cell held out once per seed."""
    rows = []
    for (network, dropout, _), group in results.groups("cross_validation").items():
        found = results.held_out(group)
        if found is not None:
            rows.append(Row(names_of(network, dropout, "all cells"), _cells(results.meter(found), found)))
    if rows:
        condition = "published (arXiv:2311.14485), on another data set: phase images"
        rows += [
            Row(names_of(network, None, condition), {name: f"{value:g}" for name, value in figures.items()})
            for network, figures in PUBLISHED
        ]
    settings = results.workshop.settings
    return Section(
        "Cross-validation",
        f"{settings.folds}-fold, stratified by class and source: each cell is held out exactly once per seed. Model "
        "and temperature are chosen on a validation split of the remaining cells, never on the held-out fold. MC: mean "
        f"of {settings.monte_carlo_samples} Monte Carlo dropout samples, with a temperature of its own. Goal: the "
        "calibration error (ECE, top label) falls at least threefold through the temperature, or to within what 95 % "
        "of perfect predictors get on as many cells (null band).",
        rows,
    )


def source_section(results: Results) -> Section:
    """Networks tested on a source that they were not trained on."""
    rows = []
    for (network, dropout, _), group in results.groups("leave_one_source_out").items():
        for source in sorted({run.part for run in group}):
            found = results.held_out([run for run in group if run.part == source])
            if found is not None:
                names = names_of(network, dropout, f"held out: {source}")
                rows.append(Row(names, _cells(results.meter(found), found)))
    return Section(
        "Leave one source out",
        "Trained, chosen and calibrated on one source, tested on all of the other: a temperature is fitted for data "
        "like the validation data, and this shows what remains of it on other data.",
        rows,
    )


def wrong_label_section(results: Results) -> Section:
    """Networks trained on wrong labels, beside those that were not."""
    rate = results.workshop.settings.dropout_rate
    clean = {key[0]: group for key, group in results.groups("cross_validation").items() if key[1] == rate}
    noisy = results.groups("wrong_labels")
    rows, measured = [], False
    for network in dict.fromkeys(key[0] for key in noisy):
        for noise, group in [(0.0, clean[network]), *((k[2], g) for k, g in noisy.items() if k[0] == network)]:
            found = results.held_out(group)
            if found is None:
                continue
            measured |= noise > 0
            meter = results.meter(found)
            cells: dict[str, Cell] = {"mean confidence": meter.confidence(found.after)}
            rows.append(Row(names_of(network, rate, f"{100 * noise:g} % wrong labels"), cells | _cells(meter, found)))
    return Section(
        "Wrong training labels",
        "So many training labels are replaced by another class at random; validation and held-out labels are right.",
        rows if measured else [],
    )


def _cells(meter: Meter, found: HeldOut) -> dict[str, Cell]:
    temperatures = found.temperatures
    before, after = meter.calibration(found.before), meter.calibration(found.after)
    measured = meter.classification(found.after)
    cells: dict[str, Cell] = {
        "macro F1": measured["macro_f1"],
        "accuracy": measured["accuracy"],
        "ECE before": before,
        "ECE after": after,
        "goal": verdict(before, after),
        "temperature": f"{temperatures.mean():.2f} ({temperatures.min():.2f} to {temperatures.max():.2f})",
    }
    if found.sampled_before is not None and found.sampled_after is not None:
        before, after = meter.calibration(found.sampled_before), meter.calibration(found.sampled_after)
        measured = meter.classification(found.sampled_after)
        cells |= {
            "MC macro F1": measured["macro_f1"],
            "MC accuracy": measured["accuracy"],
            "MC ECE before": before,
            "MC ECE after": after,
            "MC goal": verdict(before, after),
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
