"""Boxes that radiologists drew around findings, as the NIH published a few: for pictures, never for a score."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.source_image import read_table
from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.saliency.boxes import Box

__all__ = ["BoxTable", "FindingBoxes", "boxes_of"]

logger = logging.getLogger(__name__)

FindingBoxes = dict[str, list[list[float]]]
"""By finding, boxes as ``[left, top, width, height]`` in shares of the image's width and height."""

#: how far a box may reach over the edge, as a share of the image: annotations are rounded
TOLERANCE = 0.005


@dataclass(frozen=True)
class BoxTable:
    """Reads a table with one row per box.

    Args:
        files: names that it may have, beside the table of images; need not exist.
        columns: name of the columns by role: ``image`` (file name), ``finding``, ``left``, ``top``, ``width`` and
            ``height``.
        names: how the table calls each finding. Boxes of others are passed over.
        image_size: width and height in pixels of the images that the boxes were drawn on, whatever size they have now.
    """

    files: Sequence[str]
    columns: Mapping[str, str]
    names: Mapping[str, str]
    image_size: int

    def places(self, source: Path) -> list[Path]:
        """Return the tables that a folder has."""
        return [source / name for name in self.files if (source / name).is_file()]

    def read(self, source: Path) -> tuple[dict[str, FindingBoxes], list[Exclusion]]:
        """Return the boxes of each image by its file name, and what cannot be used; nothing without a table.

        Raises:
            DataError: if the table cannot be read or lacks a column, or there are several.
        """
        if not (paths := self.places(source)):
            return {}, []
        path, *others = paths
        if others:
            raise DataError(f"{source}: holds both {path.name} and {others[0].name}; keep the one that counts")
        table = read_table(path, dict(self.columns))
        findings = {title.lower(): finding for finding, title in self.names.items()}
        sides = [self.columns[role] for role in ("left", "top", "width", "height")]
        numbers = table[sides].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64) / self.image_size
        boxes: dict[str, FindingBoxes] = {}
        excluded: list[Exclusion] = []
        passed_over = 0
        rows = zip(table[self.columns["image"]], table[self.columns["finding"]], numbers, strict=True)
        for row, (image, title, box) in enumerate(rows):
            finding = findings.get(title.lower())
            if finding is None:
                passed_over += 1
            elif fault := _fault(box):
                found = ", ".join(table.loc[row, sides])
                reason = f"{title}: {fault} in [{found}] pixels"
                excluded.append(Exclusion(path.name, image or f"row {row + 2}", reason, "annotation"))
            else:
                corner, end = box[:2].clip(0, 1), (box[:2] + box[2:]).clip(0, 1)
                boxes.setdefault(image, {}).setdefault(finding, []).append([*corner, *(end - corner)])
        if passed_over:
            logger.info("%s: %d boxes of other findings are passed over", path, passed_over)
        return boxes, excluded


def boxes_of(record: Mapping[str, Any], finding: str, shape: Sequence[int]) -> list[Box]:
    """Return the boxes of a finding in pixels of an image.

    Args:
        record: of the image; ``boxes`` as :data:`FindingBoxes`, if there are any.
        finding: its name.
        shape: rows and columns of the image.

    Raises:
        DataError: if an entry is no box.
    """
    known = record.get("boxes") or {}
    try:
        boxes = [Box(*map(float, box)) for box in known.get(finding, [])]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"record {record.get('id')!r}: boxes are {known!r}, expected for each finding a list of [left, top, width, "
            "height] in shares of the image; prepare the data anew"
        ) from error
    return [box.scaled(shape[1], shape[0]) for box in boxes]


def _fault(box: np.ndarray) -> str:
    """Say what is wrong with ``left, top, width, height`` in shares of the image; empty if nothing is."""
    if not np.isfinite(box).all():
        return "no number"
    if (box[2:] <= 0).any():
        return "a side that is not positive"
    if (box[:2] < -TOLERANCE).any() or (box[:2] + box[2:] > 1 + TOLERANCE).any():
        return "an edge outside the image"
    return ""
