"""The sections on diagnoses: all models, the goals, and what could be reached without looking at a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from scripts.study.held_out import HeldOut
from scripts.study.measures import COMPARED, Meter
from scripts.study.published import BIOLOGISTS, PUBLISHED
from scripts.study.settings import StudySettings
from shared.study.table import Cell, Row, Section

__all__ = ["diagnosis_section", "goal_section", "names_of", "shortcut_section"]

HEADINGS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
}
#: inputs of a model to the goals that it is measured by: measure and least value
GOALS = {
    "images": (("roc_auc", 0.93),),
    "images, attributes": (("roc_auc", 0.96), ("balanced_accuracy", 0.88)),
}


def names_of(settings: StudySettings, model: str) -> dict[str, str]:
    """Return what names a model's row."""
    described = settings.models[model]
    return {"model": described["title"], "inputs": described["inputs"]}


def diagnosis_section(settings: StudySettings, meter: Meter, found: Mapping[str, HeldOut]) -> Section:
    """All models but the shortcuts."""
    rows = [
        Row(names_of(settings, model), _cells(settings, meter, found, model))
        for model in found
        if settings.models[model]["kind"] != "shortcut"
    ]
    if rows:
        figures = {HEADINGS[name]: f"paper {value:.3f}" for name, value in BIOLOGISTS.items()}
        rows.append(Row({"model": "twelve biologists", "inputs": "images, attributes"}, figures))
    return Section(
        "Diagnosis",
        "Tumoral is the class to be found; a patient is called tumoral above a calibrated probability of one half. "
        "Validation threshold: the one that was best on the validation patients (Youden) instead. Differences are "
        f"paired by patient, to {settings.models[settings.reference]['title']} on age and logarithm of the count, in "
        "the same repeats. Paper: Sahasrabudhe et al. 2020, tables 2 to 4.",
        rows,
    )


def _cells(settings: StudySettings, meter: Meter, found: Mapping[str, HeldOut], model: str) -> dict[str, Cell]:
    predictions = found[model]
    published = PUBLISHED.get(model, {})
    cells: dict[str, Cell] = {
        HEADINGS[name]: replace(estimate, published=published.get(name))
        for name, estimate in meter.classification(predictions.after).items()
    }
    if not _calibrated_inside(settings, model):
        cells["ECE before"] = meter.calibration(predictions.before)
    cells |= {
        "ECE after": meter.calibration(predictions.after),
        "balanced accuracy, validation threshold": meter.at_threshold(predictions.at_threshold),
    }
    return cells | _differences(settings, meter, found, model)


def _calibrated_inside(settings: StudySettings, model: str) -> bool:
    """Tell whether a model's parts are calibrated before they are joined, so that it has no logits without that."""
    described = settings.models[model]
    if described["kind"] == "ensemble":
        return True
    return bool(described.get("calibrated"))


def _differences(settings: StudySettings, meter: Meter, found: Mapping[str, HeldOut], model: str) -> dict[str, Cell]:
    """Return the paired differences to the reference; nothing for the reference, or as long as it is not done."""
    reference = found.get(settings.reference)
    if reference is None or model == settings.reference:
        return {}
    common = [repeat for repeat in found[model].repeats if repeat in reference.repeats]
    if not common:
        return {}
    measured = meter.difference(found[model].of(common), reference.of(common))
    return {f"{HEADINGS[name]}, difference to attributes": measured[name] for name in COMPARED}


def goal_section(settings: StudySettings, meter: Meter, found: Mapping[str, HeldOut]) -> Section:
    """Goals of the networks, and whether they are met."""
    rows = []
    for model, predictions in found.items():
        described = settings.models[model]
        if described["kind"] not in ("network", "average", "ensemble"):
            continue
        measured = meter.classification(predictions.after)
        for name, least in GOALS.get(described["inputs"], ()):
            value = measured[name].value
            verdict = f"{'met' if value >= least else 'missed'}: {value:.3f}"
            if measured[name].low < least <= measured[name].high:
                verdict += ", the goal is within the interval"
            names = {**names_of(settings, model), "goal": f"{HEADINGS[name]} ≥ {least:g}"}
            cells: dict[str, Cell] = {"verdict": verdict, "value": measured[name]}
            rows.append(Row(names, cells | _differences(settings, meter, found, model)))
    return Section(
        "Goals",
        "A mixture that is not better than the attributes alone has learned nothing from the images. Every network on "
        f"images is a try at its goal, {len({row.names['model'] for row in rows})} in all: the best of them is better "
        "by luck too.",
        rows,
    )


def shortcut_section(settings: StudySettings, meter: Meter, found: Mapping[str, HeldOut]) -> Section:
    """What could be diagnosed without looking at a cell."""
    rows = [
        Row(names_of(settings, model), _cells(settings, meter, found, model))
        for model in found
        if settings.models[model]["kind"] == "shortcut"
    ]
    return Section(
        "Shortcut check",
        "Logistic regressions on a single number that says nothing of a cell. A number of images that tells the "
        "classes apart is a flaw of the data: how many cells were photographed.",
        rows,
    )
