"""A look at every slide before hours are spent on them: what it is, how many tiles it has, whether it can be read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from scripts.annotations import check_place, read_asap
from scripts.feature_extraction import tile_labels
from scripts.slide import Slide
from scripts.slide_split import SlideSplit
from scripts.source_slide import Layout, SourceSlide
from scripts.tiling import Tiling
from scripts.tissue import TissueDetection
from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.data.layouts import recognise
from shared.data.number_range import COUNT, POSITIVE
from shared.data.processes import in_processes

__all__ = ["Preflight", "PreflightReport", "SlideReport"]


@dataclass
class SlideReport:
    """What was found of a slide.

    Args:
        slide_id: its name.
        vendor: OpenSlide's name of the format.
        width, height: of level 0, pixels.
        mpp: µm per pixel of level 0.
        levels: number of levels.
        tissue: share of the slide that is tissue.
        pale: whether the tissue was found by the threshold for pale slides.
        tiles: number of tiles.
        tiles_per_second: that one reader reads.
        lesions: number of annotated lesions.
        problem: why it cannot be used, or what is odd; empty if nothing is.
        usable: whether it can be used.
        seconds: that the look took.
    """

    slide_id: str
    vendor: str = ""
    width: int = 0
    height: int = 0
    mpp: float = float("nan")
    levels: int = 0
    tissue: float = float("nan")
    pale: bool = False
    tiles: int = 0
    tiles_per_second: float = float("nan")
    lesions: int = 0
    problem: str = ""
    usable: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class PreflightReport:
    """What was found of all slides; as text, a table and the reasons.

    Args:
        slides: one report for each slide.
        excluded: what of the source cannot be used before any slide is opened.
        split: how many of the slides that can be used each section would have, or why they cannot be split; empty if
            that was not asked for.
    """

    slides: Sequence[SlideReport]
    excluded: Sequence[Exclusion]
    split: str = ""

    def table(self) -> pd.DataFrame:
        """Return a row for each slide, the columns those of :class:`SlideReport`."""
        return pd.DataFrame([asdict(slide) for slide in self.slides])

    def __str__(self) -> str:
        usable = [slide for slide in self.slides if slide.usable]
        lines = []
        if self.slides:
            table = self.table().drop(columns=["usable", "problem"])
            lines += [table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.3g}"), ""]
        lines += [f"{slide.slide_id}: {slide.problem}" for slide in self.slides if not slide.usable]
        lines += [f"{item.item}: {item.reason}" for item in self.excluded]
        total, tiles = len(self.slides) + len(self.excluded), sum(slide.tiles for slide in usable)
        lines.append(f"{len(usable)} of {total} slides can be used, {tiles} tiles")
        return "\n".join([*lines, *([f"split: {self.split}"] if self.split else [])])


@dataclass(frozen=True)
class Preflight:
    """Opens each slide, finds its tissue and tiles, and reads a few of these, from its first to its last.

    Args:
        layouts: the layouts that a source may have, by their keys in ``configs/prepare.json``.
        tissue: finds the tissue.
        tiling: chooses the tiles.
        tile_size: side of a tile, pixels.
        mpp: µm per pixel of a tile.
        samples: tiles that are read of each slide.
        workers: number of processes.
        split: divides the slides; None leaves that out.

    Raises:
        DataError: if a number is out of range.
    """

    layouts: Mapping[str, Layout]
    tissue: TissueDetection = field(default_factory=TissueDetection)
    tiling: Tiling = field(default_factory=Tiling)
    tile_size: int = 256
    mpp: float = 0.5
    samples: int = 12
    workers: int = 1
    split: SlideSplit | None = None

    def __post_init__(self) -> None:
        COUNT.check("tile_size", self.tile_size)
        POSITIVE.check("mpp", self.mpp)
        COUNT.check("samples", self.samples)

    def __call__(self, source: str | os.PathLike[str], progress: bool = True) -> PreflightReport:
        """Look at all slides of a folder.

        Raises:
            DataError: if the folder has none of the layouts.
        """
        _, layout = recognise(Path(source), self.layouts)
        slides, excluded = layout.read(Path(source))
        found: dict[int, SlideReport] = {}
        with tqdm(total=len(slides), desc="looking", unit="slide", disable=not progress) as bar:
            for index, report in in_processes(self.look, slides, self.workers):
                found[index] = report
                bar.update()
        reports = [found[index] for index in range(len(slides))]
        usable = [slide for slide, report in zip(slides, reports, strict=True) if report.usable]
        return PreflightReport(reports, excluded, self._divided(usable))

    def _divided(self, usable: Sequence[SourceSlide]) -> str:
        if self.split is None:
            return ""
        try:
            return ", ".join(f"{name} {number}" for name, number in self.split.of_slides(usable).items())
        except DataError as error:
            return f"not possible: {error}"

    def look(self, source: SourceSlide) -> SlideReport:
        """Look at one slide."""
        report, start = SlideReport(source.identity), time.perf_counter()
        try:
            self._look(source, report)
            report.usable = True
        except DataError as error:
            report.problem = str(error)
        report.seconds = time.perf_counter() - start
        return report

    def _look(self, source: SourceSlide, report: SlideReport) -> None:
        annotation = None if source.annotation is None else read_asap(source.annotation)
        with Slide(source.path, source.mpp) as slide:
            report.vendor, report.mpp, report.levels = slide.vendor, slide.mpp, len(slide.downsamples)
            report.width, report.height = slide.size
            geometry = slide.tile_geometry(self.tile_size, self.mpp)
            tissue = self.tissue(slide)
            report.tissue, report.pale = tissue.share, tissue.pale
            coords = self.tiling(slide.size, geometry, tissue)
            report.tiles = len(coords)
            if annotation is not None:
                report.lesions = len(annotation.lesions(slide.mpp))
                check_place(annotation, slide.size, source.annotation or "")
            if len(coords) == 0:
                raise DataError(f"{source.path}: no tile has enough tissue ({self.tiling.tissue_share:g})")
            tile_labels(source, annotation, coords, geometry.level0_tile_size)
            chosen = np.unique(np.linspace(0, len(coords) - 1, self.samples).astype(np.int64))
            start, failed = time.perf_counter(), ""
            for x, y in coords[chosen].tolist():
                try:
                    slide.read_tile(x, y, geometry)
                except DataError as error:
                    failed = failed or str(error)
            if failed:
                raise DataError(failed)
            report.tiles_per_second = len(chosen) / (time.perf_counter() - start)
