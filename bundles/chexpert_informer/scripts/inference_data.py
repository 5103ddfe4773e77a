"""Records to infer on, from whatever a user points at: a prepared data set, a known layout, pictures or DICOM files."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.chest_image import PICTURES, read_chest_image
from scripts.dicom import is_dicom
from scripts.dicom_layout import DicomLayout
from scripts.image_check import ImageCheck
from scripts.image_selection import ImageSelection
from scripts.prepare import NOUNS, image_records
from scripts.source_image import Layout, SourceImage
from shared.data.datalist import find_datalist, load_section
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, check_records
from shared.data.layouts import recognise
from shared.data.left_out import check_usable
from shared.data.prepare_settings import calibrated_settings, read_prepare_settings, tell_settings

__all__ = ["inference_records"]

logger = logging.getLogger("inference_records")

PREPARE_CONFIG = Path(__file__).resolve().parents[1] / "configs" / "prepare.json"


def inference_records(
    path: str | os.PathLike[str],
    section: str | Sequence[str] = "test",
    output_dir: str | os.PathLike[str] | None = None,
    prepare_config: str | os.PathLike[str] = PREPARE_CONFIG,
    prepare_overrides: Mapping[str, Any] | None = None,
    calibration_file: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """Return one record per image, with ``id`` and ``image`` (path), and whatever else is known of it.

    ============================== ======================================================================
    ``path``                       what happens
    ============================== ======================================================================
    ``datalist.json`` or a folder  the records of ``section``
    with one
    folder of a layout that        its frontal images, whether their labels are known or not
    preparing knows
    picture, DICOM file or folder  each PNG, JPEG, TIFF, BMP or DICOM file is one image, taken for frontal; of a
    of pictures                    folder of DICOM, which is a layout, only frontal views are used
    ============================== ======================================================================

    What cannot be used is left out, the reason written to ``excluded.csv`` in ``output_dir``, and the rest goes on.

    Args:
        path: file or folder.
        section: section of a prepared datalist, or several.
        output_dir: folder for ``excluded.csv``; without it nothing is written.
        prepare_config: settings of preparing, for all that is not recorded.
        prepare_overrides: values in place of the recorded ones and those of ``prepare_config``, e.g.
            ``{"unknown_view": "keep"}``; nested mappings replace single nested keys.
        calibration_file: records the settings that the calibrated data were prepared with; need not exist.

    Raises:
        DataError: if the path does not exist, if nothing there can be used, or if an override names no key of
            ``prepare_config``.
    """
    source = Path(path)
    settings = read_prepare_settings(prepare_config, prepare_overrides or {}, calibrated_settings(calibration_file))
    if datalist := find_datalist(source):
        sections = [section] if isinstance(section, str) else section
        listed = [record for name in sections for record in load_section(datalist, name, require_files=False)]
        report = check_records(listed, load=read_chest_image, what="image")
        records, excluded = report.kept, report.excluded
    elif source.exists():
        check: ImageCheck = settings.get_parsed_content("check")
        layouts: Mapping[str, Layout] = settings.get_parsed_content("prepare#layouts")
        if source.is_dir() and any(layout.fits(source) for layout in layouts.values()):
            _refuse_mixture(source)
            tell_settings(logger, "images are read", calibration_file, prepare_overrides)
            selection: ImageSelection = settings.get_parsed_content("selection")
            # nothing is learned here: neither an unknown label nor a healthy patient is a reason to leave an image out
            selection = replace(selection, uncertain="mask", without_finding="keep")
            layout = recognise(source, layouts)[1]
            if isinstance(layout, DicomLayout):
                layout = replace(layout, unknown_patient="keep")
            records, excluded = image_records(layout, selection, check, source, settings["workers"], False)
        else:
            records, excluded = _plain_images(source, replace(check, read=True), settings["workers"])
    else:
        raise DataError(
            f"{source}: found nothing, expected datalist.json, a folder of a layout that preparing knows, or images "
            f"({', '.join(PICTURES)}, DICOM), as file or folder"
        )
    check_usable(source, records, excluded, output_dir, logger, NOUNS, what="image")
    return records


def _refuse_mixture(source: Path) -> None:
    """Refuse a folder of DICOM files and pictures: no layout says of the pictures what they are."""
    if any(source.rglob("*.csv")):
        return
    if pictures := [path for path in _files(source) if path.suffix.lower() in PICTURES]:
        raise DataError(f"{source}: holds DICOM files and pictures ({pictures[0].name}, …); give each a folder")


def _files(source: Path) -> list[Path]:
    """Return the images of a folder of any depth, or the one that a path is."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    return [file for file in files if file.is_file() and (file.suffix.lower() in PICTURES or is_dicom(file))]


def _plain_images(source: Path, check: ImageCheck, workers: int) -> tuple[list[dict[str, Any]], list[Exclusion]]:
    """Return a record for each image of a folder of any depth, or for one file."""
    root = source if source.is_dir() else source.parent
    files = _files(source)
    names = [file.relative_to(root).as_posix() for file in files]
    # of one unknown patient, so that an image that is there twice counts once
    images = [SourceImage(name, "", file) for name, file in zip(names, files, strict=True)]
    usable, excluded = check(images, root, workers, False)
    return [{"id": image.identity, "image": str(image.path.resolve())} for image in usable], excluded
