"""Records to infer on, from whatever a user points at: a prepared data set, crops, recordings or holograms."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scripts.crop_files import save_crop
from scripts.extraction import CellExtraction
from scripts.hologram import HologramReader
from scripts.single_cells import SingleCellReader, list_images
from shared.data.arrays import IMAGE_SUFFIXES, read_image
from shared.data.datalist import PATH_KEYS, find_datalist, load_section, read_datalist
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, check_records
from shared.data.left_out import check_usable
from shared.data.prepare_settings import calibrated_settings, read_prepare_settings, tell_settings

__all__ = ["inference_records", "pixel_size_um"]

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
    """Return one record per cell, with ``id`` and ``image`` (path of a float NPY file, phase in radians).

    ============================== =====================================================================
    ``path``                       what happens
    ============================== =====================================================================
    ``datalist.json`` or a folder  the records of ``section``
    with one
    ``.phase`` file or a folder    frames are segmented and cells cropped, as in preparing; touching cells
    with some                      stay in and are marked
    ``.npz`` hologram or a folder  the phase of each is retrieved, then as for recordings
    with some
    image or a folder of images    each NPY, TIFF or PNG is one cell
    ``.npz`` set                   each of its images is one cell
    ============================== =====================================================================

    What cannot be used is left out, the reason written to ``excluded.csv`` in ``output_dir``, and the rest goes on.
    Crops that had to be made or converted are written to ``crops`` in ``output_dir``, with the settings that the
    calibrated data were prepared with, and the log says so.

    Args:
        path: file or folder.
        section: section of a prepared datalist, or several.
        output_dir: folder for ``crops`` and ``excluded.csv``. Needed for recordings, holograms, ``.npz`` sets and
            images that are not floating-point NPY files; without it nothing is written.
        prepare_config: settings of preparing, for all that is not recorded.
        prepare_overrides: values in place of the recorded ones and those of ``prepare_config``, e.g.
            ``{"integer_phase_range": [0, 4]}``; nested mappings replace single nested keys.
        calibration_file: records the settings that the calibrated data were prepared with; need not exist.

    Raises:
        DataError: if the path does not exist, if nothing there can be used, if ``output_dir`` is needed, if a
            folder holds both holograms and crops, or if an override names no key of ``prepare_config``.
    """
    source, output = Path(path), None if output_dir is None else Path(output_dir)
    parser = read_prepare_settings(prepare_config, prepare_overrides or {}, calibrated_settings(calibration_file))
    extraction: CellExtraction = parser.get_parsed_content("extraction")
    hologram_reader: HologramReader = parser.get_parsed_content("holograms")
    reader: SingleCellReader = parser.get_parsed_content("single_cells")
    excluded: list[Exclusion] = []
    if not (datalist := find_datalist(source)):
        tell_settings(logger, "crops are made", calibration_file, prepare_overrides)
    if datalist:
        sections = [section] if isinstance(section, str) else section
        records = [record for name in sections for record in load_section(datalist, name, require_files=False)]
    elif files := extraction.reader.list_files(source):
        records = _from_frames(extraction, files, _needed(output, source), excluded)
    elif files := hologram_reader.list_files(source):
        if images := list_images(source):
            raise DataError(
                f"{source}: holds holograms ({files[0].name}, …) and crops ({images[0].name}, …); give each a folder"
            )
        extraction = replace(extraction, reader=hologram_reader)
        records = _from_frames(extraction, files, _needed(output, source), excluded)
    elif source.is_file() and source.suffix == ".npz":
        records = _from_npz(reader, extraction.optics.pixel_size_um, source, _needed(output, source), excluded)
    elif source.is_dir() or list_images(source):
        records = _from_images(reader, extraction.optics.pixel_size_um, source, output, excluded)
    else:
        what = f"a file of kind '{source.suffix}'" if source.exists() else "nothing"
        raise DataError(
            f"{source}: found {what}, expected datalist.json, .phase recordings, .npz, or images "
            f"({', '.join(IMAGE_SUFFIXES)}), as file or folder"
        )
    report = check_records(records, (extraction.crop_size, extraction.crop_size), what="cell")
    excluded += report.excluded
    expected = f"a prepared folder, .phase recordings, an .npz set, or images ({', '.join(IMAGE_SUFFIXES)})"
    check_usable(source, report.kept, excluded, output, logger, what="cell", expected=expected)
    return report.kept


def pixel_size_um(
    path: str | os.PathLike[str],
    records: Sequence[Mapping[str, Any]] = (),
    prepare_config: str | os.PathLike[str] = PREPARE_CONFIG,
    prepare_overrides: Mapping[str, Any] | None = None,
    calibration_file: str | os.PathLike[str] | None = None,
) -> float | None:
    """Return the side of a pixel of the crops in µm.

    Args:
        path: what the records come from; if that is a prepared data set, its datalist says the pixel size.
        records: the crops. Those that were resized have a ``pixel_size_um`` of their own.
        prepare_config: see :func:`inference_records`; says the pixel size where no datalist does, as the next two.
        prepare_overrides: see :func:`inference_records`.
        calibration_file: see :func:`inference_records`.

    Returns:
        The pixel size, or None if the crops differ in it.
    """
    datalist = find_datalist(path)
    info = read_datalist(datalist).get("info", {}) if datalist else {}
    settings = read_prepare_settings(prepare_config, prepare_overrides or {}, calibrated_settings(calibration_file))
    general = info.get("pixel_size_um", settings.get_parsed_content("pixel_size_um"))
    sizes = {record.get("pixel_size_um", general) for record in records} or {general}
    return sizes.pop() if len(sizes) == 1 else None


def _from_frames(
    extraction: CellExtraction, files: Sequence[Path], output: Path, excluded: list[Exclusion]
) -> list[dict[str, Any]]:
    records = []
    known: dict[str, Path] = {}
    for file in files:
        name = extraction.reader.name(file)
        try:
            if name in known:
                raise DataError(f"{file}: called {name} like {known[name]}; give each a name of its own")
            known[name] = file
            result = extraction.extract(file, output)
        except DataError as error:
            excluded.append(Exclusion(file.name, "recording", str(error)))
            continue
        excluded += result.excluded
        records += [
            {key: str((output / value).resolve()) if key in PATH_KEYS else value for key, value in record.items()}
            for record in result.records
        ]
    return records


def _from_npz(
    reader: SingleCellReader, pixel_size: float, source: Path, output: Path, excluded: list[Exclusion]
) -> list[dict[str, Any]]:
    # inferring needs neither, and a set of unknown cells has no labels
    reader = replace(reader, npz_keys=replace(reader.npz_keys, labels=None, donors=None))
    return [
        {
            "id": cell.identity,
            "image": _save(output, cell.identity, cell.image),
            "source": cell.source,
            **_own_pixel_size(cell.pixel_scale, pixel_size),
        }
        for cell in reader.read_npz(source, excluded)
    ]


def _from_images(
    reader: SingleCellReader, pixel_size: float, source: Path, output: Path | None, excluded: list[Exclusion]
) -> list[dict[str, Any]]:
    records = []
    for file in list_images(source):
        identity = file.relative_to(source).as_posix() if source.is_dir() else file.name
        try:
            image = read_image(file)
            converted = reader.convert(image, file.name)
        except DataError as error:
            excluded.append(Exclusion(file.name, "crop", str(error), "cell"))
            continue
        usable_as_is = file.suffix == ".npy" and np.array_equal(image, converted)
        place = str(file.resolve()) if usable_as_is else _save(_needed(output, source), identity, converted)
        size = _own_pixel_size(reader.pixel_scale(image), pixel_size)
        records.append({"id": identity, "image": place, "source": file.name, **size})
    return records


def _own_pixel_size(scale: float, pixel_size: float) -> dict[str, float]:
    return {} if scale == 1 else {"pixel_size_um": scale * pixel_size}


def _save(output: Path, identity: str, image: np.ndarray) -> str:
    return str((output / save_crop(output, identity, image)).resolve())


def _needed(output: Path | None, source: Path) -> Path:
    if output is None:
        raise DataError(f"{source}: cells must be converted before inference; set output_dir to a folder for them")
    return output
