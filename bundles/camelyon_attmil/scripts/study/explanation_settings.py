"""The settings of the study of explanations: what is explained, and by which methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.study import settings as bag_settings
from scripts.study.settings import BagStudySettings, bag_study_settings
from shared.data.errors import DataError
from shared.study.settings import as_settings, overlaid, read_mode

__all__ = ["ExplainedSet", "ExplanationSettings", "read_explanation_settings"]


@dataclass(frozen=True)
class ExplainedSet:
    """One kind of bags, with the network that is explained on it.

    Attributes:
        title: what it is called.
        settings: how it is trained: one condition and one model.
        folder: of its data, within that of the study; None where they are generated.
        positive: bags with evidence that are explained of each run, at most.
        negative: bags without.
        minutes: expected of one run, on one core.
    """

    title: str
    settings: BagStudySettings
    folder: str | None
    positive: int
    negative: int
    minutes: float

    @property
    def condition(self) -> str:
        """Name of the condition."""
        return next(iter(self.settings.conditions))

    @property
    def model(self) -> str:
        """Name of the network."""
        return next(iter(self.settings.models))


@dataclass(frozen=True)
class ExplanationSettings:
    """What is explained and how.

    Attributes:
        sets: by name.
        methods: by name the arguments of a method and, as ``_target_``, its class.
    """

    sets: Mapping[str, ExplainedSet]
    methods: Mapping[str, Mapping[str, Any]]


def read_explanation_settings(study: str, mode: str = "default", runs: int | None = None) -> ExplanationSettings:
    """Read the settings.

    A set is trained as in the study that it names under ``as`` (with ``part`` where that has parts), in its default
    mode, but for the values of ``overlay``.

    Args:
        study: name of the section in ``study.json``.
        mode: ``default``, ``quick`` or ``full``.
        runs: at most so many training runs.

    Raises:
        DataError: if a key is missing or unknown, or a set has not one condition and one model.
    """
    file = bag_settings.STUDY_FILE
    values = read_mode(file, mode, study)
    unknown = values.keys() - {"sets", "methods"}
    if unknown or not values.get("methods") or not values.get("sets"):
        raise DataError(f"{file}, '{study}': expected the keys sets and methods, found {', '.join(values)}")
    sets = {}
    for name, described in values["sets"].items():
        if described is None:
            continue
        place = f"{file}, '{study}', set '{name}'"
        described = dict(described)
        base = read_mode(file, "default", described.pop("as", None))
        part = described.pop("part", None)
        trained = overlaid(base if part is None else base[part], described.pop("overlay", {}))
        settings = bag_study_settings(trained, runs, place)
        explained = as_settings(ExplainedSet, {**described, "settings": settings}, place)
        if len(settings.conditions) != 1 or len(settings.models) != 1:
            raise DataError(
                f"{place}: has the conditions {', '.join(settings.conditions)} and the models "
                f"{', '.join(settings.models)}; expected one of each, remove the others by null"
            )
        sets[name] = explained
    return ExplanationSettings(sets, values["methods"])
