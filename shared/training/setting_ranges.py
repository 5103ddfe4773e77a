"""Which numbers the settings of bundles may be: said before anything is read, under the names that users give.

The four bundles name alike what is alike, so that a rule stands once for all of them. What a setting becomes an
argument of is often not theirs (a data loader, a trainer), or is made when hours have gone by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from monai.bundle import ConfigParser

from shared.data.number_range import COUNT, NOT_NEGATIVE, POSITIVE, SEED, SHARE, NumberRange

__all__ = ["RANGES", "check_ranges"]

PROBABILITY = NumberRange(0, 1, above=True, below=True)

RANGES: Mapping[str, NumberRange] = {
    "seed": SEED,
    # training
    "max_epochs": COUNT,
    "val_interval": COUNT,
    "picture_interval": COUNT,
    "saliency_interval": COUNT,
    "patience": replace(COUNT, optional=True),
    "learning_rate": NumberRange(0),
    "weight_decay": NumberRange(0),
    # how much at once
    "batch_size": COUNT,
    "evaluation_batch_size": COUNT,
    "encoding_batch_size": COUNT,
    "tiles_per_step": replace(COUNT, optional=True),
    "images_per_step": replace(COUNT, optional=True),
    "cache_gib": NumberRange(0),
    "num_workers": NOT_NEGATIVE,
    "workers": NOT_NEGATIVE,
    # calibrating
    "minimum_confidence": NumberRange(0, 1),
    "inliers_kept": PROBABILITY,
    "target_risk": PROBABILITY,
    "target_sensitivity": replace(PROBABILITY, optional=True),
    # evaluating
    "bootstrap_resamples": COUNT,
    "calibration_bins": COUNT,
    "seconds_per_slide": POSITIVE,
    "seconds_per_correction": replace(NumberRange(0), optional=True),
    "slides_reported": COUNT,
    # explaining
    "samples_per_class": NOT_NEGATIVE,
    "samples_per_finding": NOT_NEGATIVE,
    "samples_per_kind": NOT_NEGATIVE,
    "wrong_samples": NOT_NEGATIVE,
    "flagged_samples": NOT_NEGATIVE,
    "watched_samples": NOT_NEGATIVE,
    "measured_samples": NOT_NEGATIVE,
    "checked_samples": NOT_NEGATIVE,
    "similar_cases": NOT_NEGATIVE,
    "region_threshold": SHARE,
}


def check_ranges(parser: ConfigParser) -> None:
    """Refuse settings that are no number, or one that they cannot be.

    Expressions and references to other settings are not evaluated for it: they may build what they name.

    Args:
        parser: of a bundle's command, or of its ``prepare.json``.

    Raises:
        DataError: naming the first such setting, what was found and what is expected.
    """
    for name, numbers in RANGES.items():
        if name in parser and not str(value := parser[name]).startswith(("$", "@")):
            numbers.check(name, value)
