"""Which samples calibrating fits on, and whether what it promises of them holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from shared.data.datalist import load_section, read_datalist
from shared.data.splits import CALIBRATION

__all__ = ["SOURCE_SECTION", "chose_epoch", "fitted_on", "records_to_calibrate"]

#: key of a record that stands in the place of the validation section: the section that it is of
SOURCE_SECTION = "source_section"

_Records = list[dict[str, Any]]


def records_to_calibrate(
    datalist: str | os.PathLike[str],
    load: Callable[[str | os.PathLike[str], str], _Records] = load_section,
) -> _Records:
    """Return the training records and those that are fitted on, each with its ``section``.

    Fitted on are the records of the section ``calibration`` if it has any, else those of ``validation``. Either have
    the section ``validation`` here, so that nothing else needs to tell them apart, and under ``source_section`` their
    own. Conformal guarantees ask that the calibration samples be exchangeable with new ones, given the weights
    (Angelopoulos et al. 2022, arXiv:2208.02814, section 1): the samples on which the epoch was chosen are not.

    Args:
        datalist: ``datalist.json``.
        load: returns the records of a section.

    Raises:
        DataError: as ``load``.
    """
    source = CALIBRATION if read_datalist(datalist).get(CALIBRATION) else "validation"
    training = [{**record, "section": "training"} for record in load(datalist, "training")]
    fitted = [{**record, "section": "validation", SOURCE_SECTION: source} for record in load(datalist, source)]
    return training + fitted


def chose_epoch(section: str) -> bool:
    """Return whether the epoch of the weights was chosen on a section, so that guarantees on it are nominal."""
    return section == "validation"


def fitted_on(section: str, n: int) -> dict[str, Any]:
    """Return what a calibration file says of the n samples that it was fitted on."""
    nominal = chose_epoch(section)
    note = (
        "guarantees are nominal: the epoch of the weights was chosen on the same samples; prepare the data with "
        "--calibration_share to calibrate on samples that had no part in training"
        if nominal
        else "these samples had no part in training: neither weights nor epoch were chosen on them"
    )
    return {"section": section, "n": n, "nominal": nominal, "note": note}
