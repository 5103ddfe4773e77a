"""From CAMELYON16 or a table of slides to features and one datalist: checked, split by patient, with what was left out.

Settings come from ``configs/prepare.json``. Started by ``torchrun``, each process does its share of the slides.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.feature_export import EXPORT_LAYOUTS, check_layouts, export_features
from scripts.feature_extraction import FeatureExtraction, feature_path
from scripts.feature_file import FeatureAttributes, check_same_encoder
from scripts.feature_layouts import feature_folder, read_features
from scripts.slide import Slide
from scripts.slide_split import SlideSplit
from scripts.source_slide import Layout, SourceSlide
from scripts.work_division import Processes
from shared.data.datalist import load_section, write_datalist
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, write_excluded
from shared.data.layouts import recognise
from shared.data.left_out import Nouns, main_reasons
from shared.data.preparation import PreparedFolder
from shared.data.prepare_settings import PREPARED_WITH
from shared.data.splits import check_group_disjoint
from shared.data.summary import Summary

__all__ = ["KEYS_WITH_PATHS", "NOUNS", "UNLABELLED", "Preparation"]

logger = logging.getLogger(__name__)

UNLABELLED = "unlabelled"
NOUNS = Nouns("slide", "slides", "part of a slide", "parts of slides")
#: keys of a record that hold paths
KEYS_WITH_PATHS = ("slide", "features", "annotation")

_Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Preparation:
    """Writes the features and the datalist of a data set. Slides stay where they are; the datalist points at them.

    A call whose result is already there does nothing; one that was interrupted goes on.

    Args:
        classes: names of the classes, normal first.
        layouts: the layouts that a source may have, by their keys in ``configs/prepare.json``.
        extraction: makes the features.
        fractions: share of each section.
        features: folder of features that are there already, ``<slide>.h5`` of CLAM, TRIDENT, STAMP or this project, or
            CLAM's folder that has them in ``h5_files``; the slides are then not read, and need not be there. None makes
            them.
        published: whether slides that were published as test stay in the section ``test``, and the others are divided
            between ``training`` and ``validation``; otherwise all are divided.
        seed: seed of the split.
        feature_layouts: of other programs (``clam``, ``trident``, ``stamp``) in which the features are written besides,
            each below ``features_<layout>``; also of a data set that is prepared already.
    """

    classes: Sequence[str]
    layouts: Mapping[str, Layout]
    extraction: FeatureExtraction
    fractions: Mapping[str, float]
    features: str | os.PathLike[str] | None = None
    published: bool = True
    seed: int = 0
    feature_layouts: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_layouts(self.feature_layouts)

    def __call__(
        self,
        source: str | os.PathLike[str],
        output: str | os.PathLike[str],
        overwrite: bool = False,
        progress: bool = True,
    ) -> Summary:
        """Prepare a data set.

        Args:
            source: a folder of one of the layouts.
            output: folder that receives ``datalist.json``, ``excluded.csv`` and ``features/``.
            overwrite: begin anew, whatever was prepared there.
            progress: whether to show progress bars.

        Raises:
            DataError: if the source holds nothing usable, a split by patient is not possible, or the output was
                prepared from another source or with other settings and ``overwrite`` is false.
        """
        source, output = Path(source), Path(output)
        name, layout = recognise(source, self.layouts)
        folder = PreparedFolder(
            output,
            source,
            layout.files(source),
            {
                **self._reading(name, layout),
                "fractions": self.fractions,
                "published": self.published,
                "seed": self.seed,
            },
            written=("datalist.json", "excluded.csv", "features", *(f"features_{layout}" for layout in EXPORT_LAYOUTS)),
            sections=(*self.fractions, UNLABELLED),
        )
        with Processes.of_torchrun() as processes:
            reused = processes.share(processes.first and not overwrite and folder.is_complete())
            if not reused:
                slides, excluded = layout.read(source)
                self._check_divisible(source, slides, excluded)
                if processes.first:
                    if overwrite:
                        folder.clear()
                    folder.begin()
                processes.wait()
                records, unusable = self._records(slides, source, output, processes, progress)
                if processes.first:
                    self._finish(folder, name, layout, records, [*excluded, *unusable])
            if processes.first:
                self._export(folder)
            processes.wait()
        return Summary.read(folder.datalist, "patient", ("tiles",), reused, NOUNS)

    @property
    def _split(self) -> SlideSplit:
        return SlideSplit(self.classes, self.fractions, self.published, self.seed)

    def _check_divisible(self, source: Path, slides: Sequence[SourceSlide], excluded: Sequence[Exclusion]) -> None:
        """Find out before hours are spent on features that the slides cannot be split.

        Raises:
            DataError: if they cannot, even if all whose files are there turn out to be usable.
        """
        files = {slide.identity: self._file(slide) for slide in slides}
        gone = [
            Exclusion(_place(file, source), identity, "no such file", NOUNS.whole)
            for identity, file in files.items()
            if not file.is_file()
        ]
        try:
            self._split.of_slides([slide for slide in slides if files[slide.identity].is_file()])
        except DataError as error:
            lost = [*excluded, *gone]
            left = f"; {len(lost)} slide(s) cannot be used: {main_reasons(lost, NOUNS)}" if lost else ""
            raise DataError(f"{source}: {error}{left}") from error

    def _file(self, slide: SourceSlide) -> Path:
        """Return the file that is read of a slide: its features, if these are there already, or itself."""
        return slide.path if self.features is None else feature_folder(self.features) / f"{slide.identity}.h5"

    def _records(
        self, slides: Sequence[SourceSlide], source: Path, output: Path, processes: Processes, progress: bool
    ) -> tuple[_Records, list[Exclusion]]:
        """Return a record of each usable slide, with absolute paths, and what was left out."""
        if self.features is not None:
            return self._of_existing(slides, source)
        records, excluded = [], []
        for slide, state in zip(slides, self.extraction.extract_all(slides, output, processes, progress), strict=True):
            place = _place(slide.path, source)
            if state.status == "done":
                if state.unreadable:
                    excluded.append(Exclusion(place, slide.identity, state.unreadable, NOUNS.part))
                records.append(_record(slide, feature_path(output, slide.identity), state.tiles))
            else:
                excluded.append(Exclusion(place, slide.identity, state.reason, "slide"))
        return records, excluded

    def _of_existing(self, slides: Sequence[SourceSlide], source: Path) -> tuple[_Records, list[Exclusion]]:
        """Return the records of slides whose features are there already.

        Raises:
            DataError: if the files are of several encoders.
        """
        records: _Records = []
        excluded: list[Exclusion] = []
        known: list[tuple[Path, FeatureAttributes, int]] = []
        for slide in slides:
            file = self._file(slide)
            try:
                scale = _scale(slide)
                bag = read_features(file, scale)
            except DataError as error:
                excluded.append(Exclusion(_place(slide.path, source), slide.identity, str(error), "slide"))
                continue
            known.append((file, bag.attributes, bag.features.shape[1]))
            record = _record(slide, file.resolve(), len(bag.features))
            # files of other programs do not say it: STAMP's places are in µm, and are read again without the slide
            told = scale is not None and bag.attributes.layout != "own"
            records.append({**record, "mpp": scale} if told else record)
        check_same_encoder(known)
        return records, excluded

    def _finish(
        self, folder: PreparedFolder, name: str, layout: Layout, records: _Records, excluded: list[Exclusion]
    ) -> None:
        """Split the records and write the datalist."""
        write_excluded(folder.output / "excluded.csv", excluded)
        labelled = [record for record in records if "label" in record]
        if not labelled:
            raise DataError(
                f"{folder.source}: no usable labelled slide ({len(records)} without label); {len(excluded)} item(s) "
                f"were left out, see {folder.output / 'excluded.csv'}; the reasons: {main_reasons(excluded, NOUNS)}"
            )
        try:
            sections = self._split(labelled)
        except DataError as error:
            lost = sum(item.what != NOUNS.part for item in excluded)
            raise DataError(
                f"{folder.source}: {error}; {lost} slide(s) were left out, see {folder.output / 'excluded.csv'}"
            ) from error
        unlabelled = [record for record in records if "label" not in record]
        sections[UNLABELLED] = [
            {key: value for key, value in record.items() if key != "published"} for record in unlabelled
        ]
        check_group_disjoint({section: sections[section] for section in self.fractions}, "patient")
        info = {
            "bundle": "camelyon_attmil",
            "source": folder.source.name,
            "layout": name,
            "image": "whole-slide image, haematoxylin and eosin",
            PREPARED_WITH: self._reading(name, layout),
            "split_by": "patient",
            "seed": self.seed,
            "slides": {name: len(section) for name, section in sections.items()},
            "tiles": {name: sum(record["tiles"] for record in section) for name, section in sections.items()},
            "excluded": len(excluded),
        }
        write_datalist(folder.datalist, sections, self.classes, info, KEYS_WITH_PATHS)
        folder.finish()

    def _export(self, folder: PreparedFolder) -> None:
        """Write the features in the layouts of other programs.

        Raises:
            DataError: if features do not say what a layout needs.
        """
        for layout in self.feature_layouts:
            for section in (*self.fractions, UNLABELLED):
                for record in load_section(folder.datalist, section, KEYS_WITH_PATHS, require_files=False):
                    export_features(record["features"], folder.output / f"features_{layout}", layout, record.get("mpp"))

    def _reading(self, name: str, layout: Layout) -> dict[str, Any]:
        """Return what decides how slides are read, by the keys of ``configs/prepare.json``, for raw data."""
        made = self.extraction.settings if self.features is None else {"folder": Path(self.features).name}
        return {name: asdict(layout), "features": made}


def _record(slide: SourceSlide, features: Path, tiles: int) -> dict[str, Any]:
    record = {
        "id": slide.identity,
        "patient": slide.patient,
        "slide": str(slide.path.resolve()) if slide.path.is_file() else None,
        "features": str(features.resolve()),
        "label": slide.label,
        "annotation": None if slide.annotation is None else str(slide.annotation.resolve()),
        "partly_annotated": slide.partly_annotated or None,
        "mpp": slide.mpp,
        "kind": slide.kind,
        "tiles": tiles,
    }
    return {**{key: value for key, value in record.items() if value is not None}, "published": slide.published}


def _scale(slide: SourceSlide) -> float | None:
    """Return µm per pixel of a slide if it is given, or the slide is there and says it."""
    if slide.mpp is not None or not slide.path.is_file():
        return slide.mpp
    with Slide(slide.path) as opened:
        return opened.mpp


def _place(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if source in path.parents else str(path)
