"""The sections on what the diagnoses rest on: sets of cells, numbers of cells, experts, attention weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scripts.study.diagnoses import names_of
from scripts.study.held_out import HeldOut
from scripts.study.measures import Meter
from scripts.study.settings import StudySettings
from scripts.study.subsets import cell_sets
from scripts.study.workshop import Workshop
from shared.evaluation.weight_skew import skew_against_size, weight_skew
from shared.study.measures import Estimate
from shared.study.table import Cell, Row, Section

__all__ = ["attention_section", "cell_number_section", "expert_section", "repeatability_section"]

AGREEMENT = {
    "patients_with_disagreement": "patients with a disagreement",
    "sets_against_majority": "sets against the majority",
    "probability_spread": "spread of the probability",
    "set_accuracy": "accuracy of a set",
    "majority_accuracy": "accuracy of the majority",
}
BY_CELLS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "roc_auc": "ROC AUC"}
SKEW = {
    "effective_instances": "effective cells (Kish)",
    "effective_share": "their share of all",
    "gini": "Gini coefficient",
    "largest_weight": "largest weight",
}


def repeatability_section(workshop: Workshop, meter: Meter, found: Mapping[str, HeldOut]) -> Section:
    """Agreement between several sets of each patient's cells, and whether it is better than the CNN's."""
    settings, rows = workshop.settings, []
    for model, predictions in found.items():
        if "image_sets" not in predictions.more:
            continue
        measured = meter.agreement(predictions.more["image_sets"])
        cells: dict[str, Cell] = {heading: measured[name] for name, heading in AGREEMENT.items()}
        reference = found.get(_compared_with(settings, model))
        common = [r for r in predictions.repeats if reference is not None and r in reference.repeats]
        if reference is not None and common and reference is not predictions:
            of = [held.of(common, "image_sets") for held in (predictions, reference)]
            less = meter.agreement_difference(*of)["patients_with_disagreement"]
            cells["difference of the first"] = less
            described = settings.models[model]
            if described["inputs"] == "images, attributes" and described["kind"] != "classical":
                cells["goal: fewer disagreements"] = _fewer(less)
        rows.append(Row(names_of(settings, model), cells))
    origins = {cell_sets(record, 0, 0, settings).origin for record in workshop.patients.records} - {""}
    return Section(
        "Repeatability",
        f"{settings.image_sets} sets of each held-out patient's cells ({', '.join(sorted(origins)) or 'none'}), each "
        "diagnosed by itself; random subsets vary by the choice of cells only and not by the making of a smear, so "
        "that they flatter a model. Majority: the diagnosis of most sets. Differences are paired by patient, to "
        f"{settings.models[settings.repeatability_of]['title']}, of an ensemble to the ensemble of that. A model that "
        "hardly looks at the cells hardly disagrees: read it beside the gate and the experts. Models on attributes "
        "alone never disagree.",
        rows,
    )


def _compared_with(settings: StudySettings, model: str) -> str:
    """Return the image-only model whose repeatability a model's is compared with: a single one, or an ensemble."""
    if settings.models[model]["kind"] != "ensemble":
        return settings.repeatability_of
    ensembles = {other["of"]: name for name, other in settings.models.items() if other["kind"] == "ensemble"}
    return ensembles.get(settings.repeatability_of, settings.repeatability_of)


def _fewer(difference: Estimate) -> str:
    if difference.high < 0:
        return f"met: {difference.value:+.3f}"
    return f"{'open' if difference.value < 0 else 'missed'}: {difference.value:+.3f}, the interval includes no change"


def cell_number_section(settings: StudySettings, meter: Meter, found: Mapping[str, HeldOut]) -> Section:
    """Accuracy against the number of cells that are looked at."""
    numbers = settings.cell_numbers
    rows = [
        Row(
            {**names_of(settings, model), "cells": f"{size}"},
            {heading: measured[name] for name, heading in BY_CELLS.items()},
        )
        for model, predictions in found.items()
        if "fewer" in predictions.more
        for size, measured in meter.by_cells(predictions.more["fewer"], numbers["sizes"])
    ]
    return Section(
        "Accuracy by number of cells",
        f"Mean over {numbers['draws']} random choices of so many cells of each held-out patient, of all for patients "
        "with fewer.",
        rows,
    )


def expert_section(settings: StudySettings, meter: Meter, found: Mapping[str, HeldOut]) -> Section:
    """What the experts of the combined models say by themselves, and whom the gate believes."""
    rows = []
    for model, predictions in found.items():
        if "image_expert" not in predictions.more:
            continue
        cells: dict[str, Cell] = {"ROC AUC, both": meter.classification(predictions.after)["roc_auc"]}
        for name, heading in (("image_expert", "expert on images"), ("attribute_expert", "expert on attributes")):
            cells[f"ROC AUC, {heading}"] = meter.classification(predictions.more[name])["roc_auc"]
        if "gate" in predictions.more:
            gate = predictions.more["gate"]
            cells["mean gate"] = meter.mean(gate)
            cells["share of patients with gate > 0.5"] = meter.mean((gate > 0.5).astype(np.float64))
        rows.append(Row(names_of(settings, model), cells))
    return Section(
        "Experts", "Gate: weight of the expert on images. An expert inside a mixture is not calibrated.", rows
    )


def attention_section(workshop: Workshop, found: Mapping[str, HeldOut]) -> Section:
    """Skew of attention weights, and how it goes with the number of a patient's cells."""
    settings, rows = workshop.settings, []
    for model, predictions in found.items():
        if not predictions.attention:
            continue
        lengths = workshop.patients.lengths
        repeats = [weight_skew(np.concatenate(weights), lengths) for weights in predictions.attention]
        mean = pd.DataFrame(np.mean([skew.to_numpy() for skew in repeats], axis=0), columns=repeats[0].columns)
        measured = skew_against_size(mean, resamples=settings.resamples)
        cells: dict[str, Cell] = {}
        for name, heading in SKEW.items():
            cells[heading] = _estimate(measured[name]["mean"], len(mean), len(repeats))
            cells[f"{heading}, rank correlation with number of cells"] = _estimate(
                measured[name]["rank_correlation_with_size"], len(mean), len(repeats)
            )
        rows.append(Row(names_of(settings, model), cells))
    return Section(
        "Attention weights",
        "The paper argues that attention weights become skewed when there are many cells. Equal weights would make all "
        "cells effective, with a rank correlation of 1 of their number; a correlation near 0 says that more cells add "
        "nothing. Weights of held-out patients, averaged over repeats.",
        rows,
    )


def _estimate(entry: Mapping[str, Any], n: int, repeats: int) -> Cell:
    if not np.isfinite(entry["value"]):
        return "not defined"
    if entry["ci95"] is None:
        return f"{entry['value']:.3f} (no interval: {entry['reason']})"
    low, high = entry["ci95"]
    return Estimate(entry["value"], low, high, n, repeats)
