"""Slides to infer on, from whatever a user points at: a prepared data set, feature files, or slides."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.feature_bags import LoadFeatureBagd
from scripts.feature_extraction import FeatureExtraction, feature_path
from scripts.feature_file import FeatureAttributes
from scripts.feature_kind import FeatureKind
from scripts.feature_layouts import feature_folder
from scripts.networks import BagClassifier
from scripts.prepare import NOUNS
from scripts.slide_records import load_slides
from scripts.source_slide import SLIDE_SUFFIXES, Layout, SourceSlide, ambiguous_names
from scripts.work_division import Processes
from shared.data.datalist import find_datalist
from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.data.layouts import recognise
from shared.data.left_out import check_usable
from shared.data.prepare_settings import calibrated_settings, read_prepare_settings, tell_settings
from shared.training.weights import load_weights

__all__ = ["PREPARE_CONFIG", "inference_records", "slide_extraction"]

logger = logging.getLogger("inference_records")

PREPARE_CONFIG = Path(__file__).resolve().parents[1] / "configs" / "prepare.json"
FEATURE_SUFFIXES = (".h5", ".hdf5")

_Records = list[dict[str, Any]]
_Check = Callable[[Iterable[str]], None]


def inference_records(
    path: str | os.PathLike[str],
    network: BagClassifier,
    load: LoadFeatureBagd,
    section: str | Sequence[str] = "test",
    output_dir: str | os.PathLike[str] | None = None,
    model_file: str | os.PathLike[str] | None = None,
    prepare_config: str | os.PathLike[str] = PREPARE_CONFIG,
    prepare_overrides: Mapping[str, Any] | None = None,
    calibration_file: str | os.PathLike[str] | None = None,
    check: _Check | None = None,
) -> _Records:
    """Return one record per slide that can be judged, with ``id`` and ``features`` (path).

    Slides get their features here, by the encoder, tiles and tissue detection that the calibrated data were prepared
    with; the log says so. A recorded ``slide_mpp`` is not taken over: slides that lie there without a table have the
    scale that they say, or that ``prepare_overrides`` gives. A slide that cannot be used is recorded with the reason,
    and the others are judged.

    Args:
        path: ``datalist.json``, a folder with one; a folder of feature files; a folder in a layout that preparing
            knows, or of slides alone; or one slide or feature file.
        network: that will judge; its weights say which features it was trained on.
        load: reads feature files.
        section: section of a prepared datalist, or several.
        output_dir: folder for ``excluded.csv``, which says what was left out and why, and for the features of slides.
            Without it nothing is written, and slides cannot be read.
        model_file: weights of the network; if it is there, features of another encoder are found here, and left out.
        prepare_config: settings of preparing, for all that is not recorded.
        prepare_overrides: values in place of the recorded ones and those of ``prepare_config``, e.g.
            ``{"weights": "encoder.pt"}`` or ``{"slide_mpp": 0.25}``; nested mappings replace single nested keys.
        calibration_file: records the settings that the calibrated data were prepared with; need not exist.
        check: is given the ids of slides before their features are extracted, and may refuse them by a
            :class:`DataError`.

    Raises:
        DataError: if the path does not exist, if nothing there can be used, if the encoder is not the one that the
            network was trained with, or if an override names no key of ``prepare_config``.
    """
    source = Path(path)
    if model_file is not None and Path(model_file).is_file():
        load_weights(network, model_file)
    excluded: list[Exclusion] = []
    if datalist := find_datalist(source):
        records = load_slides(datalist, section)
    elif files := _files(feature_folder(source), FEATURE_SUFFIXES):
        files, excluded = _unambiguous(files)
        records = [{"id": file.stem, "features": str(file.resolve())} for file in files]
    elif source.is_dir() or source.suffix.lower() in SLIDE_SUFFIXES:
        records, excluded = _encoded(
            source, network.feature_kind, output_dir, prepare_config, prepare_overrides or {}, calibration_file, check
        )
    else:
        found = "a file" if source.exists() else "nothing"
        raise DataError(
            f"{source}: found {found}, expected datalist.json, feature files (.h5), slides, or a folder of one of these"
        )
    usable: _Records = []
    for record in records:
        try:
            load.read(record)
        except DataError as error:
            excluded.append(Exclusion(str(record.get("features")), str(record["id"]), str(error), "slide"))
        else:
            usable.append(record)
    check_usable(source, usable, excluded, output_dir, logger, NOUNS, what="slide")
    return usable


def _files(source: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files with one of the suffixes: the path itself, or those in the folder."""
    if source.is_file():
        return [source] if source.suffix.lower() in suffixes else []
    return sorted(file for file in source.glob("*") if file.suffix.lower() in suffixes and file.is_file())


def _unambiguous(files: Sequence[Path]) -> tuple[list[Path], list[Exclusion]]:
    """Divide files into those whose name, without its suffix, no other one has, and the others."""
    taken = ambiguous_names((file.stem, file) for file in files)
    excluded = [Exclusion(str(file), file.stem, taken[file.stem], "slide") for file in files if file.stem in taken]
    return [file for file in files if file.stem not in taken], excluded


def _encoded(
    source: Path,
    kind: FeatureKind,
    output_dir: str | os.PathLike[str] | None,
    prepare_config: str | os.PathLike[str],
    overrides: Mapping[str, Any],
    calibration_file: str | os.PathLike[str] | None,
    check: _Check | None,
) -> tuple[_Records, list[Exclusion]]:
    """Extract the features of the slides of a folder; return their records and what was left out."""
    if output_dir is None:
        raise DataError(f"{source}: slides need an output_dir, where their features are kept")
    settings = read_prepare_settings(prepare_config, overrides, _reading(calibrated_settings(calibration_file)))
    layouts: Mapping[str, Layout] = settings.get_parsed_content("prepare#layouts")
    given: float | None = read_prepare_settings(prepare_config, overrides).get_parsed_content("slide_mpp")
    slides, excluded = _slides(source, layouts, given)
    if check is not None:
        check(slide.identity for slide in slides)
    extraction = slide_extraction(kind, prepare_config, overrides, calibration_file)
    tell_settings(logger, "slides are read", calibration_file, overrides)
    output = Path(output_dir)
    records: _Records = []
    with Processes.of_torchrun() as processes:
        states = extraction.extract_all(slides, output, processes)
    for slide, state in zip(slides, states, strict=True):
        if state.status == "done":
            if state.unreadable:
                excluded.append(Exclusion(str(slide.path), slide.identity, state.unreadable, NOUNS.part))
            record = {"id": slide.identity, "patient": slide.patient, "slide": str(slide.path.resolve())}
            record["features"] = str(feature_path(output, slide.identity).resolve())
            records.append(record if slide.mpp is None else {**record, "mpp": slide.mpp})
        else:
            excluded.append(Exclusion(str(slide.path), slide.identity, state.reason, "slide"))
    return records, excluded


def slide_extraction(
    kind: FeatureKind,
    prepare_config: str | os.PathLike[str] = PREPARE_CONFIG,
    overrides: Mapping[str, Any] | None = None,
    calibration_file: str | os.PathLike[str] | None = None,
) -> FeatureExtraction:
    """Return what makes features of slides, with the settings that the calibrated data were prepared with.

    Args:
        kind: of the features that the network takes.
        prepare_config: see :func:`inference_records`, as ``overrides`` (its ``prepare_overrides``) and
            ``calibration_file``.
        overrides: see there.
        calibration_file: see there.

    Raises:
        DataError: if the encoder is not the one that the network was trained with, or an override names no key.
    """
    recorded = _reading(calibrated_settings(calibration_file))
    settings = read_prepare_settings(prepare_config, overrides or {}, recorded)
    extraction: FeatureExtraction = settings.get_parsed_content("extraction")
    _refuse_another_encoder(extraction, kind)
    return extraction


def _slides(
    source: Path, layouts: Mapping[str, Layout], mpp: float | None
) -> tuple[list[SourceSlide], list[Exclusion]]:
    """Return the slides of a folder in a layout, or those that simply lie there, or the one; these of a given scale."""
    if source.is_dir() and any(layout.fits(source) for layout in layouts.values()):
        return recognise(source, layouts)[1].read(source)
    if found := _files(source, SLIDE_SUFFIXES):
        kept, excluded = _unambiguous(found)
        return [SourceSlide(file.stem, file, file.stem, mpp=mpp) for file in kept], excluded
    expected = "; or ".join(layout.describe() for layout in layouts.values())
    raise DataError(
        f"{source}: found neither datalist.json nor feature files (.h5) nor slides; expected these, or {expected}"
    )


def _reading(recorded: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return recorded settings by the keys of ``prepare.json`` that they belong to."""
    if recorded is None:
        return None
    made = recorded.get("features") or {}
    known = {key: made[key] for key in ("tissue", "tiling", "tile_size", "mpp") if key in made}
    return {**{key: value for key, value in recorded.items() if key != "features"}, **known}


def _refuse_another_encoder(extraction: FeatureExtraction, kind: FeatureKind) -> None:
    """Find out before hours are spent on features that the network would refuse."""
    if not kind.read():
        return
    attributes = FeatureAttributes(
        slide_id="",
        mpp=extraction.mpp,
        tile_size=extraction.tile_size,
        encoder=extraction.encoder.name,
        encoder_sha256=extraction.encoder.sha256,
    )
    try:
        kind.check("configs/prepare.json", attributes, kind.features or 0)
    except DataError as error:
        raise DataError(
            f"{error}. Name the encoder by its weights, --prepare_overrides#weights FILE, one of another network in "
            "the form --prepare_overrides \"{'weights': 'FILE', 'network': {'block_inplanes': [16, 32, 64, 128]}}\", "
            "or give inferring the folder of features that were extracted with it"
        ) from error
