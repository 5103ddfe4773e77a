"""The study's settings: ``configs/study.json``, a default, and overlays for less or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.study.settings import as_settings, read_mode

__all__ = ["BUNDLE_ROOT", "StudySettings", "read_settings"]

BUNDLE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class StudySettings:
    """What is trained and measured.

    Attributes:
        black_rad: phase of a black pixel of the stand-in in radians, white being 0; chosen so that its cells have about
            the phases of real ones.
        seeds: each seed gives a partition into folds, initial weights, an order of batches and dropout masks.
        folds: folds of the cross-validation.
        validation_share: share of what is not held out that chooses the model and fits the temperature.
        networks: network name to ``learning_rate``, ``batch_size``, ``max_epochs`` and ``patience``.
        dropout_rates: rates of the main comparison.
        dropout_rate: the rate at which everything else is measured.
        monte_carlo_samples: samples S of Monte Carlo dropout.
        label_noise: shares of wrong training labels.
        further_seeds: network name to the number of seeds with which wrong labels and explanations are measured: the
            first so many of ``seeds``, all of them for a network that is not named.
        perturbations: kind to strengths, see :mod:`scripts.study.perturbations`.
        pgd_steps: steps of projected gradient descent.
        explanations: ``crops`` per section, and ``methods`` with their parameters and what counts as relevant.
        n_bins: equal-width bins of the calibration error.
        resamples: bootstrap resamples and null simulations.
    """

    black_rad: float
    seeds: Sequence[int]
    folds: int
    validation_share: float
    networks: Mapping[str, Mapping[str, Any]]
    dropout_rates: Sequence[float]
    dropout_rate: float
    monte_carlo_samples: int
    label_noise: Sequence[float]
    further_seeds: Mapping[str, int]
    perturbations: Mapping[str, Sequence[Any]]
    pgd_steps: int
    explanations: Mapping[str, Any]
    n_bins: int
    resamples: int


def read_settings(mode: str = "default", n_seeds: int | None = None, path: Path | None = None) -> StudySettings:
    """Read the settings.

    Args:
        mode: ``default``, ``quick`` or ``full``; the latter two replace values of the former.
        n_seeds: number of seeds, counted from 0, instead of the file's.
        path: the file; the bundle's ``configs/study.json`` if None.

    Raises:
        DataError: if the file has no such mode, or a key is missing or unknown.
    """
    file = path or BUNDLE_ROOT / "configs" / "study.json"
    values = read_mode(file, mode)
    if n_seeds is not None:
        values["seeds"] = list(range(n_seeds))
    return as_settings(StudySettings, values, f"{file}, '{mode}'")
