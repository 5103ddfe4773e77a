"""What is known of generated images: the mask file of each, and which cells are abnormal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scripts.source_layout import Patient
from shared.data.errors import DataError

__all__ = ["INSTANCES", "TRUTH", "truth_of"]

TRUTH = "truth"
INSTANCES = "instances.csv"


def truth_of(patients: list[Patient], source: Path) -> dict[str, dict[str, list]]:
    """Return ``truth`` (mask files) and ``instance_label`` (1 for an abnormal cell) of each patient's images.

    Args:
        patients: with the images that count.
        source: the data set; generated ones hold ``instances.csv`` (columns ``patient``, ``image``, ``abnormal``) and
            ``truth/<patient>/<image>.png``.

    Returns:
        The two lists by patient, in the order of the images; empty for data that were not generated.

    Raises:
        DataError: if the truth of an image is missing.
    """
    table = source / INSTANCES
    if not table.is_file():
        return {}
    rows = pd.read_csv(table, dtype={"patient": str, "image": str, "abnormal": int})
    abnormal = dict(zip(zip(rows["patient"], rows["image"], strict=True), rows["abnormal"].tolist(), strict=True))
    found: dict[str, dict[str, list]] = {}
    for patient in patients:
        masks = [source / TRUTH / patient.identity / f"{image.stem}.png" for image in patient.images]
        names = [(patient.identity, image.name) for image in patient.images]
        for name, mask in zip(names, masks, strict=True):
            if name not in abnormal or not mask.is_file():
                what = f"no row for {'/'.join(name)} in {INSTANCES}" if name not in abnormal else f"no {mask.name}"
                raise DataError(f"{source}: {what}; generate the phantoms anew with --overwrite, or remove {INSTANCES}")
        found[patient.identity] = {"truth": list(map(str, masks)), "instance_label": [abnormal[name] for name in names]}
    return found
