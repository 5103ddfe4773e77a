"""The study's settings: ``configs/study.json``, a default, and overlays for less or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.alarms.alarm import AlarmSettings
from shared.calibration.label_calibration import Method
from shared.data.errors import DataError
from shared.study.precision import with_precision
from shared.study.settings import as_settings, read_mode

__all__ = ["BUNDLE_ROOT", "Phantoms", "RealImages", "ShortcutFilms", "StudySettings", "read_settings"]

BUNDLE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class RealImages:
    """Cross-validation on real radiographs.

    Attributes:
        folds: of the cross-validation by patient.
        repeats: cross-validations, each with a partition of its own.
        validation_share: share of the images outside the test fold on which every choice is made.
        training: keys of ``train.json`` for these networks.
        minutes: expected of one fold, on one core.
    """

    folds: int
    repeats: int
    validation_share: float
    training: Mapping[str, Any]
    minutes: float


@dataclass(frozen=True)
class Phantoms:
    """Generated films, of which there can be enough.

    Attributes:
        seeds: of the phantoms and of everything random in training; one network each.
        patients: films of the tables ``train``, ``valid`` and ``test``, one of each patient.
        parameters: values in place of the phantoms' own, see :class:`scripts.phantom_parameters.PhantomParameters`.
        training: keys of ``train.json`` for these networks.
        minutes: expected of one seed, on one core.
    """

    seeds: Sequence[int]
    patients: Mapping[str, int]
    parameters: Mapping[str, Any] | None
    training: Mapping[str, Any]
    minutes: float


@dataclass(frozen=True)
class ShortcutFilms:
    """Films whose text is tied to one finding in training and validation.

    Attributes:
        seeds: among those of the phantoms, whose networks they are compared with.
        films: test films that are drawn twice, with and without the text.
        mapped: films whose maps are measured.
        shown: films in the picture.
        shown_method: saliency method of the picture.
        minutes: expected of one seed, on one core.
    """

    seeds: Sequence[int]
    films: int
    mapped: int
    shown: int
    shown_method: str
    minutes: float


@dataclass(frozen=True)
class StudySettings:
    """What is trained and measured.

    Attributes:
        device: torch device of the networks, as a config's expression.
        training: keys of ``train.json`` that all networks are trained with; ``amp`` null lowers the precision where
            that is faster, see :func:`~shared.study.precision.with_precision`.
        doubts: keys under ``doubts`` of ``train.json`` in place of its own.
        scaling: how logits are calibrated, see :func:`shared.calibration.label_calibration.fit_label_calibration`.
        alarms: how alarms are fitted.
        goal: ``alarms`` that shall beat each of the ``rivals``; both were named before any alarm was fitted.
        real: real radiographs.
        phantoms: generated films.
        shortcut: films with a shortcut.
        resamples: bootstrap resamples.
        hours: no run is started that would not end within so many; None for no limit.
    """

    device: str
    training: Mapping[str, Any]
    doubts: Mapping[str, Any]
    scaling: Method
    alarms: AlarmSettings
    goal: Mapping[str, Sequence[str]]
    real: RealImages
    phantoms: Phantoms
    shortcut: ShortcutFilms
    resamples: int
    hours: float | None

    def fewer(self, number: int) -> StudySettings:
        """Return the settings with at most so many repeats, and seeds of the phantoms."""
        seeds = self.phantoms.seeds[:number]
        return replace(
            self,
            real=replace(self.real, repeats=min(self.real.repeats, number)),
            phantoms=replace(self.phantoms, seeds=seeds),
            shortcut=replace(self.shortcut, seeds=[seed for seed in self.shortcut.seeds if seed in seeds]),
        )


def read_settings(mode: str = "default", seeds: int | None = None, path: Path | None = None) -> StudySettings:
    """Read the settings.

    Args:
        mode: ``default``, ``quick`` or ``full``; the latter two replace values of the former.
        seeds: at most so many repeats, and seeds of the phantoms.
        path: the file; the bundle's ``configs/study.json`` if None.

    Raises:
        DataError: if the file has no such mode, a key is missing or unknown, or a seed of the shortcut is not one of
            the phantoms'.
    """
    file = path or BUNDLE_ROOT / "configs" / "study.json"
    values = read_mode(file, mode)
    place = f"{file}, '{mode}'"
    parts: Mapping[str, type[Any]] = {
        "alarms": AlarmSettings,
        "real": RealImages,
        "phantoms": Phantoms,
        "shortcut": ShortcutFilms,
    }
    for name, kind in parts.items():
        if name in values:
            values[name] = as_settings(kind, values[name], f"{place}, {name}")
    if "training" in values and "device" in values:
        values["training"] = with_precision(values["training"], values["device"])
    settings = as_settings(StudySettings, values, place)
    strangers = sorted(set(settings.shortcut.seeds) - set(settings.phantoms.seeds))
    if strangers:
        seeds_there = list(settings.phantoms.seeds)
        raise DataError(f"{place}: shortcut names seed {strangers[0]}, expected one of the phantoms' {seeds_there}")
    return settings if seeds is None else settings.fewer(seeds)
