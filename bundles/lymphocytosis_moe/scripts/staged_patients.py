"""Patients of a request laid out as a table and a folder of images for each, as the bundle reads them."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.inference_data import PREPARE_CONFIG
from scripts.source_layout import SourceLayout, list_images
from shared.data.errors import DataError
from shared.data.file_names import safe_name
from shared.data.prepare_settings import calibrated_settings, read_prepare_settings
from shared.serving.items import Item
from shared.serving.staging import Staged

__all__ = ["StagedPatients"]

#: what the networks need to know of a patient besides the images; sex is kept if it is given
NEEDED = ("age", "lymphocyte_count")
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


class StagedPatients:
    """Writes the table of a layout that ``prepare.json`` describes, and links each patient's images.

    Args:
        layout: its key in ``prepare.json``.
        suffixes: of the images, in small letters, as clients are told.
        calibration_file: records how the calibrated data were read; need not exist.
        prepare_config: settings of preparing, for all that is not recorded.
    """

    def __init__(
        self,
        layout: str,
        suffixes: Sequence[str],
        calibration_file: str | os.PathLike[str] | None = None,
        prepare_config: str | os.PathLike[str] = PREPARE_CONFIG,
    ) -> None:
        self.layout = layout
        self.suffixes = list(suffixes)
        self.calibration_file = calibration_file
        self.prepare_config = prepare_config

    def describe(self) -> Mapping[str, Any]:
        """Return what is accepted: a folder or archive of images, and what a form must say."""
        return {"suffixes": self.suffixes, "folder": True, "attributes": list(NEEDED)}

    def __call__(self, items: Sequence[Item], folder: Path) -> list[Staged]:
        """Lay patients out below an empty folder.

        Raises:
            DataError: if a patient has no folder of images, or age or count are missing or no numbers.
        """
        settings = read_prepare_settings(self.prepare_config, {}, calibrated_settings(self.calibration_file))
        layout: SourceLayout = settings.get_parsed_content(self.layout)
        columns = {role: name for role, name in layout.columns.items() if name is not None}
        folder.mkdir(parents=True)
        rows = []
        for item in items:
            rows.append({columns[role]: value for role, value in _row(item).items() if role in columns})
            _link_images(item, folder / layout.folders[0] / item.key)
        with (folder / layout.table).open("w", newline="", encoding="utf-8") as stream:
            separator = layout.attributes.separator
            writer = csv.DictWriter(stream, list(columns.values()), restval="", delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
        return [Staged(folder, tuple(item.key for item in items))]


def _row(item: Item) -> dict[str, str]:
    """Return what the table says of a patient, by role."""
    values = {"id": item.key, "label": ""}
    for role in NEEDED:
        value = item.attributes.get(role)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(
                f"{item.key}: {role} is {value!r}, expected a number; give it with the request, as params or as info "
                "of the image"
            )
        values[role] = repr(value)
    sex = item.attributes.get("sex")
    return values | ({"sex": sex} if isinstance(sex, str) else {})


def _link_images(item: Item, place: Path) -> None:
    if not item.source.is_dir():
        raise DataError(f"{item.key}: found a file, expected a folder or an archive of the images of one patient")
    images, _ = list_images(item.source)
    if not images:
        raise DataError(f"{item.key}: no image in it")
    for image in images:
        inside = image.relative_to(item.source)
        # smears may be told apart by the names of images and their folders: these stay where they can
        name = inside if all(PLAIN.fullmatch(part) for part in inside.parts) else Path(_renamed(inside))
        link = place / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(image.resolve())


def _renamed(inside: Path) -> str:
    return safe_name(inside.with_suffix("").as_posix()) + inside.suffix.lower()
