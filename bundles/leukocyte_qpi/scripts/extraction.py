"""From one recording to its single-cell crops: background, segmentation, physical quantities, files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scripts.crop_files import CropFiles
from scripts.frames import Frame, FrameFile, FrameReader
from scripts.physics import Optics
from scripts.preprocessing import SubtractBackground
from scripts.segmentation import CellObject, Segmentation, crop_around, crop_fits
from shared.data.errors import DataError
from shared.data.integrity import Exclusion

__all__ = ["CellExtraction", "ExtractedCells", "own_truth"]

# bits of a phantom's truth that belong to a cell, not to the field around it: cell, nucleus, granules, cause
_BITS_OF_A_CELL = 1 | 2 | 4 | 8


@dataclass
class ExtractedCells:
    """What one recording gave.

    Args:
        records: one per crop, with ``image`` and ``truth`` as paths relative to the output folder.
        excluded: frames and objects that were left out.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)


@dataclass(frozen=True)
class _Crop:
    """A crop ``(S, S)``, its bit image or None, and what the datalist says of it."""

    phase: NDArray[np.float32]
    truth: NDArray[np.uint8] | None
    description: dict[str, Any]


@dataclass(frozen=True)
class CellExtraction:
    """How crops are made from a recording.

    Args:
        reader: format of the recordings.
        background: background subtraction.
        segmentation: segmentation of the cells.
        optics: wavelength, pixel size and refraction increment.
        crop_size: side of the square crops in pixels.
        outlier_min_area_um2: smallest object in µm² of recordings of an outlier kind, by kind; for the other kinds, and
            in inference, the segmentation's own limit holds.
        merge_distance_um: objects of recordings of an outlier kind with a smaller gap in µm are one object, by kind.
        exclude_touching: leave touching cells out of recordings of a leukocyte class.
        empty_kind: kind of the recordings without cells, from which crops are taken at seeded places.
        empty_crops_per_frame: number of those in each frame.
        max_cells_per_recording: keep at most so many crops, a seeded choice over the whole recording; None keeps all.
        seed: seed of the seeded choices.
    """

    reader: FrameReader
    background: SubtractBackground
    segmentation: Segmentation
    optics: Optics
    crop_size: int = 50
    outlier_min_area_um2: Mapping[str, float] = field(default_factory=dict)
    merge_distance_um: Mapping[str, float] = field(default_factory=dict)
    exclude_touching: bool = True
    empty_kind: str = "empty"
    empty_crops_per_frame: int = 2
    max_cells_per_recording: int | None = None
    seed: int = 0

    def extract(self, path: Path, output: Path, label: str | None = None, kind: str | None = None) -> ExtractedCells:
        """Write the crops of one recording and describe them.

        Crops go to ``crops`` (float32, background-subtracted phase in radians), the bit images of phantoms to
        ``truth``, named by :class:`CropFiles`. Both appear only when the recording is done.

        Args:
            path: the recording.
            output: folder that receives ``crops`` and ``truth``.
            label: class of a leukocyte recording; only in these ``exclude_touching`` holds.
            kind: kind of an outlier recording.

        Raises:
            DataError: if the recording cannot be read, or has too few frames for the background method asked for.
        """
        result = ExtractedCells()
        name = self.reader.name(path)
        generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        with self.reader.open(path) as recording, CropFiles(output, name) as files:
            static = self._static_background(recording)
            for frame in recording.frames(result.excluded):
                phase = self.background(frame.phase, static)
                labels = self.segmentation.label(phase)
                if kind is not None and kind in self.merge_distance_um:
                    labels = self.segmentation.merge(labels, self.merge_distance_um[kind])
                if kind == self.empty_kind:
                    crops = self._empty_crops(frame, phase, labels, generator)
                else:
                    crops = self._cell_crops(frame, phase, labels, label, kind, path.name, result.excluded)
                for number, crop in enumerate(crops):
                    written = files.save(frame.name, number, crop.phase, crop.truth)
                    result.records.append({**written, "source": path.name, "frame": frame.name, **crop.description})
            self._limit(result, generator, files)
        return result

    def measure_crop(self, crop: NDArray[np.float32]) -> dict[str, float]:
        """Return the physical quantities of the object nearest to the middle of a crop ``(H, W)``, 0 if there is none.

        Unlike in frames, an object may reach the border of the crop.
        """
        labels = self.segmentation.label(crop)
        mask = np.zeros(crop.shape, dtype=bool)
        if labels.any():
            rows, columns = np.nonzero(labels)
            distance = np.hypot(rows - (crop.shape[0] - 1) / 2, columns - (crop.shape[1] - 1) / 2)
            nearest = distance.argmin()
            mask = labels == labels[rows[nearest], columns[nearest]]
        return self.optics.measure(crop, mask)

    def _static_background(self, recording: FrameFile) -> NDArray[np.float32] | None:
        """Return the static background from evenly spaced usable frames, or None if the method does without."""
        names = recording.names
        if self.background.method_for(len(names)) == "polynomial":
            return None
        count = min(self.background.median_frames, len(names))
        chosen = [names[position] for position in np.linspace(0, len(names) - 1, count).astype(int)]
        ignored: list[Exclusion] = []  # the same frames are met again, and reported, when the crops are taken
        try:
            return self.background.static([frame.phase for frame in recording.frames(ignored, chosen)])
        except DataError as error:
            raise DataError(f"{recording.path.name}: {error}") from error

    def _cell_crops(
        self,
        frame: Frame,
        phase: NDArray[np.float32],
        labels: NDArray[np.int32],
        label: str | None,
        kind: str | None,
        source: str,
        excluded: list[Exclusion],
    ) -> Iterator[_Crop]:
        """Give a crop around each usable object of a frame."""
        for cell in self.segmentation.find(labels, self.outlier_min_area_um2.get(kind or "")):
            if reason := self._problem(cell, phase.shape, label):
                place = f"{frame.name} at row {cell.row:.0f}, column {cell.column:.0f}"
                excluded.append(Exclusion(source, place, reason, "cell"))
                continue
            row, column = round(cell.row), round(cell.column)
            crop = crop_around(phase, row, column, self.crop_size)
            truth = None
            if frame.truth is not None:
                mask = np.equal(crop_around(labels, row, column, self.crop_size), cell.label)
                truth = own_truth(crop_around(frame.truth, row, column, self.crop_size), mask)
            measured = self.optics.measure(phase, labels == cell.label)  # also what an aggregate has beyond its crop
            yield _Crop(crop, truth, {"row": row, "column": column, **measured, "touching": cell.touching})

    def _problem(self, cell: CellObject, shape: tuple[int, ...], label: str | None) -> str | None:
        if cell.problem:
            return cell.problem
        if not crop_fits(shape, round(cell.row), round(cell.column), self.crop_size):
            return f"closer than {self.crop_size // 2} px to the border: its crop would be incomplete"
        if label and self.exclude_touching and cell.touching:
            return f"{cell.parts} touching cells"
        return None

    def _empty_crops(
        self, frame: Frame, phase: NDArray[np.float32], labels: NDArray[np.int32], generator: np.random.Generator
    ) -> Iterator[_Crop]:
        """Give crops at seeded places in which no object lies."""
        size, half = self.crop_size, self.crop_size // 2
        # a window of size + 1 is symmetric and holds the crop around its middle
        free = ~ndimage.maximum_filter(labels > 0, size + 1)
        inner = free[half : free.shape[0] - size + half + 1, half : free.shape[1] - size + half + 1]
        places = np.argwhere(inner) + half
        if len(places):
            places = generator.choice(places, min(self.empty_crops_per_frame, len(places)), replace=False)
        for row, column in places.tolist():
            crop = crop_around(phase, row, column, size)
            truth = None if frame.truth is None else crop_around(frame.truth, row, column, size)
            measured = self.optics.measure(crop, np.zeros(crop.shape, dtype=bool))
            yield _Crop(crop, truth, {"row": row, "column": column, **measured, "touching": False})

    def _limit(self, result: ExtractedCells, generator: np.random.Generator, files: CropFiles) -> None:
        limit = self.max_cells_per_recording
        if limit is None or len(result.records) <= limit:
            return
        kept = set(generator.choice(len(result.records), limit, replace=False).tolist())
        for position, record in enumerate(result.records):
            if position not in kept:
                files.remove(record)
        result.records = [record for position, record in enumerate(result.records) if position in kept]


def own_truth(truth: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Take a neighbour's cell, nucleus, granules and cause out of the bit image of a crop.

    What touches or overlaps the segmented object stays, and so does what is no part of a cell (distractor, shortcut).

    Args:
        truth: bit image ``(H, W)``.
        mask: the segmented object, ``(H, W)``.
    """
    regions, _ = ndimage.label(truth & 1)
    own = np.isin(regions, np.unique(regions[mask & (regions > 0)]))
    return np.where(own, truth, truth & np.uint8(0xFF ^ _BITS_OF_A_CELL))
