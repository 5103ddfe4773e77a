"""The settings of the studies: ``configs/study.json``, one section for each, with a default and overlays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.study.bag_training import TrainingSettings
from shared.data.errors import DataError
from shared.study.precision import with_precision
from shared.study.settings import as_settings, overlaid, read_mode

__all__ = ["BUNDLE_ROOT", "DATA_KINDS", "STUDY_FILE", "BagStudySettings", "bag_study_settings", "read_settings"]

BUNDLE_ROOT = Path(__file__).resolve().parents[2]
STUDY_FILE = BUNDLE_ROOT / "configs" / "study.json"
DATA_KINDS = ("classic", "mnist", "colon", "planted", "slides")


@dataclass(frozen=True)
class BagStudySettings:
    """What is trained and measured in a study of one kind of data.

    Attributes:
        data: the kind, one of :data:`DATA_KINDS`.
        conditions: name to ``title``, ``minutes`` (expected of one training, on one core), ``training`` (keys that
            differ from the others'), and, by kind of data: for ``mnist`` ``bags`` (for training and validation
            together), ``mean_size`` and ``size_deviation``; for ``planted`` ``bags`` (for training) and ``planted``,
            arguments of :class:`~shared.phantoms.planted_bags.PlantedBags`; for ``slides`` ``drawing``, see
            :func:`~scripts.study.phantom_slides.phantom_folder`, and ``tumour_share``.
        models: name to ``title`` and ``network``, a name of :func:`scripts.networks.assemble`.
        encoder: arguments of the encoder of instances; of ``planted`` and ``slides``, whose instances are features of
            tiles, those of :func:`scripts.networks.assemble`.
        attention_dimension: of the attention's hidden layer.
        training: see :class:`~scripts.study.bag_training.TrainingSettings`; ``amp`` null lowers the precision where
            that is faster.
        stain_deviation: of the stains of colon patches, see
            :class:`~scripts.study.patch_augmentation.PatchAugmentation`; None for no augmentation.
        repeats: partitions into folds, or drawings of bags.
        folds: of each partition that are held out in turn; 1 where bags are drawn for testing.
        validation_share: share of the bags that are not held out, on whom the epoch is chosen.
        test_bags: bags drawn for testing, the same in all repeats.
        resamples: of the bootstrap.
    """

    data: str
    conditions: Mapping[str, Mapping[str, Any]]
    models: Mapping[str, Mapping[str, Any]]
    encoder: Mapping[str, Any]
    attention_dimension: int
    training: Mapping[str, Any]
    repeats: int
    folds: int
    validation_share: float
    resamples: int
    stain_deviation: float | None = None
    test_bags: int = 0

    def training_of(self, condition: str) -> TrainingSettings:
        """Return how the networks of a condition are trained."""
        values = overlaid(self.training, self.conditions[condition].get("training", {}))
        return as_settings(TrainingSettings, values, f"{STUDY_FILE}, training of '{condition}'")


def read_settings(
    study: str, mode: str = "default", repeats: int | None = None, path: Path | None = None, part: str | None = None
) -> BagStudySettings:
    """Read the settings of a study of bags.

    Args:
        study: name of its section.
        mode: ``default``, ``quick`` or ``full``; the latter two replace values of the former.
        repeats: at most so many.
        path: the file; the bundle's ``configs/study.json`` if None.
        part: key within the mode under which the settings are; None if they are the mode's own keys. A part that names
            another one under ``as`` is that one with its own values put in.

    Raises:
        DataError: if the file has no such section, mode or part, or a key is missing or unknown.
    """
    file = path or STUDY_FILE
    values = read_mode(file, mode, study)
    given: Mapping[str, Any] = values
    if part is not None:
        given = _part(values, part, f"{file}, '{study}'")
    return bag_study_settings(given, repeats, f"{file}, '{study}', '{mode}'")


def _part(values: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    if name not in values:
        raise DataError(f"{place}: no part '{name}'; found {', '.join(values)}")
    part = dict(values[name])
    if (other := part.pop("as", None)) is None:
        return part
    return overlaid(_part(values, other, f"{place}, part '{name}'"), part)


def bag_study_settings(given: Mapping[str, Any], repeats: int | None, place: str) -> BagStudySettings:
    """Return values as settings.

    Args:
        given: what the settings consist of; an overlay removes a condition or a model by null.
        repeats: at most so many.
        place: where the values come from, for the error.

    Raises:
        DataError: if a key is missing or unknown.
    """
    values = dict(given)
    if "training" in values:
        values["training"] = with_precision(values["training"], "cpu")
    for group in ("conditions", "models"):
        values[group] = {name: item for name, item in values.get(group, {}).items() if item is not None}
    settings = as_settings(BagStudySettings, values, place)
    if settings.data not in DATA_KINDS:
        raise DataError(f"{place}: is of {settings.data!r}, expected one of {', '.join(DATA_KINDS)}")
    for condition in settings.conditions:
        settings.training_of(condition)
    return settings if repeats is None else replace(settings, repeats=min(repeats, settings.repeats))
