"""The study's settings: ``configs/study.json``, a default, and overlays for less or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.study.precision import with_precision
from shared.study.settings import as_settings, read_mode

__all__ = ["BUNDLE_ROOT", "KINDS", "StudySettings", "read_settings"]

BUNDLE_ROOT = Path(__file__).resolve().parents[2]
KINDS = {
    "attributes": ("classifier", "grid", "refit"),
    "shortcut": ("features",),
    "classical": ("classifier", "grid", "attributes"),
    "network": ("overrides", "weights_from"),
    "average": ("of", "calibrated"),
    "ensemble": ("of", "members"),
}


@dataclass(frozen=True)
class StudySettings:
    """What is trained and measured.

    Attributes:
        folds: folds of the cross-validation by patient; each repeat has a partition of its own.
        validation_share: share of the patients outside the test fold on whom every choice is made.
        patients: so many patients only, both classes in their shares; None for all.
        cells: at most so many cells of each patient; None for all.
        device: torch device of the networks, as a config's expression.
        training: keys of ``train.json`` that all networks are trained with; ``amp`` null lowers the precision where
            that is faster, see :func:`~shared.study.precision.with_precision`.
        models: name to ``kind`` (see :data:`KINDS`), ``title``, ``inputs``, ``minutes`` (expected of one run of the
            default study, on one core) and what the kind needs:

            - ``attributes``: ``classifier``, a name of :func:`~scripts.rivals.attribute_classifiers`; ``grid``,
              parameter to the values to choose from; ``refit``, whether it is fitted to the validation patients too,
              after the choice, and then left uncalibrated;
            - ``shortcut``: ``features`` of :func:`~scripts.shortcuts.shortcut_features`;
            - ``classical``: ``classifier``, a config's ``_target_`` with arguments, in which ``@repeat`` is the number
              of the repeat, a seed; ``grid``; ``attributes``, whether
              each cell has them beside its 94 features;
            - ``network``: ``overrides``, keys of ``train.json``; ``weights_from``, key of ``train.json`` to the model
              of the same fold whose weights' file it is given;
            - ``average``: ``of``, an image and an attribute network, whose logits are averaged (AVG, equation 14);
              ``calibrated``, whether each is divided by its own temperature before, so that the surer one does not
              drown the other;
            - ``ensemble``: ``of``, a network or average; ``members``, how often it is trained in a fold, each time
              with other patients left out for validation.
        stages: ``models`` and ``repeats``, in the order in which they are done: what matters most comes first.
        reference: model that all others are compared with.
        repeatability_of: image-only model that the others' repeatability is compared with.
        image_sets: disjoint random subsets of each patient's cells.
        cell_numbers: ``sizes`` and ``draws`` of each size.
        n_bins: equal-width bins of the calibration error.
        resamples: bootstrap resamples and null simulations.
        hours: no run is started after so many; None for no limit.
        ensemble: ``model`` whose folds make up the ensemble, or None for the one with the lowest validation loss;
            further keys are those of ``calibrate.json`` that decide what is accepted.
    """

    folds: int
    validation_share: float
    patients: int | None
    cells: int | None
    device: str
    training: Mapping[str, Any]
    models: Mapping[str, Mapping[str, Any]]
    stages: Sequence[Mapping[str, Any]]
    reference: str
    repeatability_of: str
    image_sets: int
    cell_numbers: Mapping[str, Any]
    n_bins: int
    resamples: int
    hours: float | None
    ensemble: Mapping[str, Any]


def read_settings(mode: str = "default", repeats: int | None = None, path: Path | None = None) -> StudySettings:
    """Read the settings.

    Args:
        mode: ``default``, ``quick`` or ``full``; the latter two replace values of the former.
        repeats: at most so many repeats of the cross-validation.
        path: the file; the bundle's ``configs/study.json`` if None.

    Raises:
        DataError: if the file has no such mode, a key is missing or unknown, or a model is named that there is none of.
    """
    file = path or BUNDLE_ROOT / "configs" / "study.json"
    values = read_mode(file, mode)
    if repeats is not None:
        values["stages"] = [
            {**stage, "repeats": [repeat for repeat in stage["repeats"] if repeat < repeats]}
            for stage in values["stages"]
        ]
    if "training" in values and "device" in values:
        values["training"] = with_precision(values["training"], values["device"])
    settings = as_settings(StudySettings, values, f"{file}, '{mode}'")
    _check_models(file, settings)
    return settings


def _check_models(file: Path, settings: StudySettings) -> None:
    common = {"kind", "title", "inputs", "minutes"}
    for name, model in settings.models.items():
        if model.get("kind") not in KINDS:
            raise DataError(
                f"{file}: the kind of '{name}' is {model.get('kind')!r}, expected one of {', '.join(KINDS)}"
            )
        allowed = common | set(KINDS[model["kind"]])
        if unknown := sorted(set(model) - allowed) or sorted(common - set(model)):
            raise DataError(f"{file}: '{name}' has or lacks {', '.join(unknown)}; its keys are {', '.join(allowed)}")
    named = [(f"stage {n + 1}", name) for n, stage in enumerate(settings.stages) for name in stage["models"]]
    named += [("reference", settings.reference), ("repeatability_of", settings.repeatability_of)]
    for name, model in settings.models.items():
        others = [model["of"]] if model["kind"] == "ensemble" else model.get("of", ())
        named += [(name, other) for other in [*others, *model.get("weights_from", {}).values()]]
    if settings.ensemble.get("model") is not None:
        named.append(("ensemble", settings.ensemble["model"]))
    for place, name in named:
        if name not in settings.models:
            raise DataError(f"{file}: {place} names the model '{name}'; there are {', '.join(settings.models)}")
