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
from scripts.feature_layouts import read_features
from scripts.slide import Slide
from scripts.source_slide import Layout, SourceSlide
from scripts.work_division import Processes
from shared.data.datalist import load_section, write_datalist
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, write_excluded
from shared.data.layouts import recognise
from shared.data.left_out import Nouns, main_reasons
from shared.data.preparation import PreparedFolder
from shared.data.prepare_settings import PREPARED_WITH
from shared.data.splits import check_group_disjoint, split_records
from shared.data.summary import Summary

__all__ = ["KEYS_WITH_PATHS", "NOUNS", "UNLABELLED", "Preparation"]

logger = logging.getLogger(__name__)

UNLABELLED = "unlabelled"
NOUNS = Nouns("slide", "slides", "tile", "tiles")
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
        features: folder of features that are there already, ``<slide>.h5`` of CLAM, TRIDENT, STAMP or this project; the
            slides are then not read, and need not be there. None makes them.
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
            reused = False
            if processes.first:
                if overwrite:
                    folder.clear()
                reused = folder.is_complete()
                if not reused:
                    folder.begin()
            reused = processes.share(reused)
            if not reused:
                slides, excluded = layout.read(source)
                records, unusable = self._records(slides, source, output, processes, progress)
                if processes.first:
                    self._finish(folder, name, layout, records, [*excluded, *unusable])
            if processes.first:
                self._export(folder)
            processes.wait()
        return Summary.read(folder.datalist, "patient", ("tiles",), reused, NOUNS)

    def _records(
        self, slides: Sequence[SourceSlide], source: Path, output: Path, processes: Processes, progress: bool
    ) -> tuple[_Records, list[Exclusion]]:
        """Return a record of each usable slide, with absolute paths, and what was left out."""
        if self.features is not None:
            return self._of_existing(slides, source, Path(self.features))
        records, excluded = [], []
        for slide, state in zip(slides, self.extraction.extract_all(slides, output, processes, progress), strict=True):
            place = _place(slide.path, source)
            excluded += [
                Exclusion(place, f"{slide.identity} x {tile.x} y {tile.y}", tile.reason, "tile")
                for tile in state.broken
            ]
            if state.status == "done":
                records.append(_record(slide, feature_path(output, slide.identity), state.tiles))
            else:
                excluded.append(Exclusion(place, slide.identity, state.reason, "slide"))
        return records, excluded

    def _of_existing(
        self, slides: Sequence[SourceSlide], source: Path, folder: Path
    ) -> tuple[_Records, list[Exclusion]]:
        """Return the records of slides whose features are there already.

        Raises:
            DataError: if the files are of several encoders.
        """
        records: _Records = []
        excluded: list[Exclusion] = []
        known: list[tuple[Path, FeatureAttributes, int]] = []
        for slide in slides:
            file = folder / f"{slide.identity}.h5"
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
        sections = self._divide(labelled)
        sections[UNLABELLED] = [_without(record) for record in records if "label" not in record]
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

    def _divide(self, records: _Records) -> dict[str, _Records]:
        """Return the records of each section."""
        test = [record for record in records if record["published"] == "test"]
        if not (self.published and test):
            divided: dict[str, _Records] = split_records(records, self.fractions, "patient", seed=self.seed)
        else:
            others = {name: share for name, share in self.fractions.items() if name != "test"}
            fractions = {name: share / sum(others.values()) for name, share in others.items()}
            rest = [record for record in records if record["published"] != "test"]
            # slides to test on alone, as of another site: nothing is divided
            divided = split_records(rest, fractions, "patient", seed=self.seed) if rest else {key: [] for key in others}
            divided = {**divided, "test": test}
        return {name: [_without(record) for record in section] for name, section in divided.items()}

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


def _without(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "published"}
