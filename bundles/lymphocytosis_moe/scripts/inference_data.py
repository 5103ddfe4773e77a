"""Records to infer on, from whatever a user points at: a prepared data set, or a table and folders of images."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.image_check import ImageCheck
from scripts.prepare import NOUNS, patient_records
from scripts.source_layout import SourceLayout
from shared.data.datalist import find_datalist, load_section
from shared.data.errors import DataError
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
    """Return one record per patient, with ``id``, ``image`` (paths), ``age`` and ``lymphocyte_count``.

    A source that was not prepared is read with the settings that the calibrated data were prepared with: the day that
    ages are counted to, the columns and their ranges, the least number of images. The log says so.

    Args:
        path: ``datalist.json``, a folder with one, or a folder in a layout that preparing knows (a table and a folder
            of images per patient), whose diagnoses need not be known.
        section: section of a prepared datalist, or several.
        output_dir: folder for ``excluded.csv``, which says what of a source was left out and why; without it nothing
            is written.
        prepare_config: settings of preparing, for all that is not recorded.
        prepare_overrides: values in place of the recorded ones and those of ``prepare_config``, e.g.
            ``{"minimum_images": 1}``; nested mappings replace single nested keys.
        calibration_file: records the settings that the calibrated data were prepared with; need not exist.

    Raises:
        DataError: if the path does not exist, if nothing there can be used, or if an override names no key of
            ``prepare_config``.
    """
    source = Path(path)
    settings = read_prepare_settings(prepare_config, prepare_overrides or {}, calibrated_settings(calibration_file))
    if datalist := find_datalist(source):
        sections = [section] if isinstance(section, str) else section
        records = [record for name in sections for record in load_section(datalist, name)]
        if not records:
            raise DataError(f"{datalist}: no patient in {', '.join(sections)}; choose another section")
        return records
    if not source.is_dir():
        raise DataError(
            f"{source}: found {'a file' if source.exists() else 'nothing'}, expected datalist.json or a folder with "
            "the table of patients and their images"
        )
    tell_settings(logger, "tables and images are read", calibration_file, prepare_overrides)
    layouts: Mapping[str, SourceLayout] = settings.get_parsed_content("prepare#layouts")
    check: ImageCheck = settings.get_parsed_content("check")
    _, layout = recognise(source, layouts)
    records, excluded, _ = patient_records(layout, check, source, workers=settings["workers"])
    check_usable(source, records, excluded, output_dir, logger, NOUNS, what="patient")
    return records
