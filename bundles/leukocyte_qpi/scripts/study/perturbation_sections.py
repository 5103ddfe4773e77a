"""The sections on cells that suffered something on their way to the network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scripts.study.grid import BASELINE
from scripts.study.measures import Meter
from scripts.study.results import Results, names_of
from shared.study.table import Cell, Row, Section

__all__ = ["attack_section", "preprocessing_section"]

Floats = NDArray[np.float64]
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


def preprocessing_section(results: Results) -> Section:
    """Held-out cells that are prepared otherwise than those that were trained on."""
    return Section(
        "Other preprocessing of the held-out cells",
        "Networks and temperatures of the cross-validation; only what is held out is prepared otherwise. Trained with "
        "the 5 % quantile of the image as background.",
        _rows(results, PREPROCESSING),
    )


def attack_section(results: Results) -> Section:
    """Held-out cells under attack."""
    settings = results.workshop.settings
    return Section(
        "Small adversarial perturbations",
        "ε is the largest change of a pixel, in the unit of what the network sees: radians, of which black has "
        f"{settings.black_rad:g}. FGSM: one step of Goodfellow et al. 2015; PGD: {settings.pgd_steps} steps of Madry "
        "et al. 2018. The attacker knows network and truth; dropout is off.",
        _rows(results, ATTACKS),
    )


def _rows(results: Results, kinds: Mapping[str, str]) -> list[Row]:
    """Return a row for each network as trained, and one for each perturbation of these kinds."""
    rate = results.workshop.settings.dropout_rate
    rows: list[Row] = []
    for (network, dropout, _), group in results.groups("cross_validation").items():
        found = None if dropout != rate or network == BASELINE else results.held_out(group)
        if found is None:
            continue
        meter = results.meter(found)
        rows.append(Row(names_of(network, rate, "as trained"), _cells(meter, found.after, None)))
        for name, probabilities in found.perturbed.items():
            kind, _, strength = name.partition(" ")
            if kind in kinds:
                names = names_of(network, rate, kinds[kind].format(strength))
                rows.append(Row(names, _cells(meter, probabilities, found.after)))
    return rows


def _cells(meter: Meter, probabilities: Floats, reference: Floats | None) -> dict[str, Cell]:
    measured = meter.classification(probabilities)
    cells: dict[str, Cell] = {"macro F1": measured["macro_f1"]}
    if reference is not None:
        cells["change of macro F1"] = meter.classification_change(probabilities, reference)["macro_f1"]
    cells["accuracy"] = measured["accuracy"]
    if reference is not None:
        cells["predictions changed"] = meter.changed(probabilities, reference)
    cells["mean confidence"] = meter.confidence(probabilities)
    cells["ECE after"] = meter.calibration(probabilities)
    return cells
