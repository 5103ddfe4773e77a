"""From a slide to the features of its tiles: read, encoded and written as a stream, resumed where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.annotations import Annotation, check_place, read_asap
from scripts.feature_file import FeatureAttributes, write_features
from scripts.slide import Slide
from scripts.slide_state import BrokenTile, FeatureParts, SlideState
from scripts.source_slide import SourceSlide, ambiguous_names
from scripts.tile_encoder import TileEncoder, half_precision
from scripts.tile_reader import TileBatch, TileReader
from scripts.tile_truth import tumour_shares
from scripts.tiling import Tiling
from scripts.tissue import TissueDetection
from scripts.work_division import Processes, divide
from shared import __version__
from shared.data.errors import DataError
from shared.data.freed_memory import keep_freed_memory, return_freed_memory
from shared.data.number_range import COUNT, NOT_NEGATIVE, POSITIVE, NumberRange
from shared.data.preparation import fingerprint

__all__ = ["FeatureExtraction", "feature_path", "tile_labels"]

#: bytes that the encoder's layers free, and that stay for the next ones
KEPT = 32 * 2**20


@dataclass(frozen=True)
class FeatureExtraction:
    """Writes one feature file per slide.

    Nothing that grows with the slide is held but the tiles' corners: readers are some batches ahead, and features go to
    disk every ``part_batches`` batches. A run that is interrupted goes on there; slides that are done are left alone. A
    slide that cannot be used is recorded with the reason, and the run goes on.

    Args:
        encoder: of the tiles.
        tissue: finds the tissue.
        tiling: chooses the tiles.
        tile_size: side of a tile, pixels.
        mpp: µm per pixel of a tile.
        batch_size: tiles that are encoded at once.
        readers: processes that read tiles.
        prefetch: batches that each of them reads ahead.
        part_batches: batches between two visits to the disk.
        broken_share: a slide fails if more than this share of its tiles cannot be read.
        attempts: how often a slide may take the whole process down before it is given up.

    Raises:
        DataError: if a number is out of range.
    """

    encoder: TileEncoder
    tissue: TissueDetection = field(default_factory=TissueDetection)
    tiling: Tiling = field(default_factory=Tiling)
    tile_size: int = 256
    mpp: float = 0.5
    batch_size: int = 32
    readers: int = 2
    prefetch: int = 2
    part_batches: int = 16
    broken_share: float = 0.2
    attempts: int = 3

    def __post_init__(self) -> None:
        for name in ("tile_size", "batch_size", "prefetch", "part_batches", "attempts"):
            COUNT.check(name, getattr(self, name))
        NOT_NEGATIVE.check("readers", self.readers)
        POSITIVE.check("mpp", self.mpp)
        NumberRange(0, 1).check("broken_share", self.broken_share)

    @property
    def settings(self) -> dict[str, Any]:
        """All that features depend on, but the slide."""
        return {
            "encoder": self.encoder.name,
            "encoder_sha256": self.encoder.sha256,
            "tissue": asdict(self.tissue),
            "tiling": asdict(self.tiling),
            "tile_size": self.tile_size,
            "mpp": self.mpp,
        }

    def extract_all(
        self, slides: Sequence[SourceSlide], output: Path, processes: Processes, progress: bool = True
    ) -> list[SlideState]:
        """Extract the features of this process's share of the slides, wait for the others, and tell what became of all.

        Args:
            slides: the same in all processes.
            output: folder that receives ``features/`` and ``state/``.
            processes: this one among the others.
            progress: whether to show a progress bar.

        Returns:
            The state of every slide.

        Raises:
            DataError: if two slides have one name, under which the features of both would be kept.
        """
        if taken := ambiguous_names((slide.identity, slide.path) for slide in slides):
            raise DataError("; ".join(taken.values()))
        if self.encoder.device.type == "cpu":
            keep_freed_memory(KEPT)  # layers of a few tiles at a time
        sizes = [slide.path.stat().st_size if slide.path.is_file() else 0 for slide in slides]
        mine = divide(sizes, processes.rank, processes.world)
        bar = tqdm(mine, desc=f"encoding {processes.rank + 1}/{processes.world}", unit="slide", disable=not progress)
        for index in bar:
            bar.set_postfix_str(slides[index].identity)
            self.extract(slides[index], output)
        processes.wait()
        return [SlideState.read(output, slide.identity, self._key(slide)) for slide in slides]

    def extract(self, source: SourceSlide, output: Path) -> SlideState:
        """Extract the features of one slide, unless they are there."""
        state = SlideState.read(output, source.identity, self._key(source))
        file = feature_path(output, source.identity)
        if state.status == "done" and file.is_file():
            return state
        if state.status == "running" and state.attempts >= self.attempts:
            state.status = "failed"
            state.reason = (
                f"{source.path}: the process ended {state.attempts} times while this slide was read; look at the file, "
                f"and remove {SlideState.file(output, source.identity)} to try again"
            )
            state.write(output)
            return state
        state.status, state.reason = "running", ""
        state.attempts += 1
        state.write(output)
        try:
            self._extract(source, output, file, state)
            state.status = "done"
        except DataError as error:
            state.status, state.reason = "failed", str(error)
        state.write(output)
        return state

    def _extract(self, source: SourceSlide, output: Path, file: Path, state: SlideState) -> None:
        """Write the feature file of a slide, and note in its state what was found.

        Raises:
            DataError: if the slide cannot be used.
        """
        annotation = None if source.annotation is None else read_asap(source.annotation)
        with Slide(source.path, source.mpp) as slide:
            geometry = slide.tile_geometry(self.tile_size, self.mpp)
            coords = self.tiling(slide.size, geometry, self.tissue(slide))
            size, slide_mpp = slide.size, slide.mpp
        if annotation is not None and source.annotation is not None:
            check_place(annotation, size, source.annotation)
        if len(coords) == 0:
            raise DataError(
                f"{source.path}: no tile of {geometry.level0_tile_size} pixels has a share of "
                f"{self.tiling.tissue_share:g} of tissue; lower --tissue_share, or leave the slide out"
            )
        return_freed_memory()  # that of the overview, before the readers start
        labels = tile_labels(source, annotation, coords, geometry.level0_tile_size)
        reader = TileReader(
            source.path,
            coords,
            geometry,
            source.mpp,
            self.batch_size,
            self.readers,
            self.prefetch,
            pin_memory=self.encoder.device.type == "cuda",
        )
        parts = FeatureParts(output, source.identity, state.key)
        self._stream(reader, parts, labels, state, source)
        state.tiles, state.broken = parts.tiles, parts.broken
        if parts.tiles == 0:
            raise DataError(f"{source.path}: none of {len(coords)} tiles can be read; copy the file again")
        attributes = FeatureAttributes(
            slide_id=source.identity,
            mpp=geometry.mpp,
            tile_size=geometry.tile_size,
            level0_tile_size=geometry.level0_tile_size,
            slide_size=size,
            slide_mpp=slide_mpp,
            encoder=self.encoder.name,
            encoder_sha256=self.encoder.sha256,
            code_version=__version__,
        )
        write_features(file, parts, parts.tiles, attributes)
        parts.remove()

    def _stream(
        self,
        reader: TileReader,
        parts: FeatureParts,
        labels: NDArray[np.float32],
        state: SlideState,
        source: SourceSlide,
    ) -> None:
        """Encode the batches that are not done yet."""
        clock = _Clock(state.seconds)
        features, tiles, broken = list[NDArray[np.float16]](), list[NDArray[np.intp]](), list[BrokenTile]()
        for batch in reader.batches(parts.next_batch):
            clock.lap("reading")
            images = self.encoder.to_device(batch.images)
            self.encoder.synchronise()
            clock.lap("transfer")
            if len(images):
                features.append(half_precision(self.encoder.encode(images), self.encoder.name))
            clock.lap("encoder")
            numbers = batch.number * reader.batch_size + np.arange(len(batch.readable))
            tiles.append(numbers[batch.readable])
            broken += _broken(batch, reader.coords[numbers])
            failed = len(parts.broken) + len(broken)
            if failed > self.broken_share * len(reader.coords):
                first = (parts.broken + broken)[0]
                raise DataError(
                    f"{source.path}: {failed} tiles or more of {len(reader.coords)} cannot be read, the first at "
                    f"x {first.x}, y {first.y} ({first.reason}); copy the file again, or raise broken_share"
                )
            if features and (len(tiles) == self.part_batches or batch.number + 1 == len(reader)):
                chosen = np.concatenate(tiles)
                parts.add(batch.number + 1, np.concatenate(features), reader.coords[chosen], labels[chosen], broken)
                features, tiles, broken = [], [], []
                if state.attempts > 1:  # an interruption after progress says nothing against the slide
                    state.attempts = 1
                    state.write(parts.output)
            clock.lap("writing")

    def _key(self, source: SourceSlide) -> str:
        """Return a hash of all that a slide's features depend on."""
        files = [source.path, *([] if source.annotation is None else [source.annotation])]
        known = {
            **self.settings,
            "batch_size": self.batch_size,
            "files": [fingerprint(file) if file.is_file() else None for file in files],
            "slide_mpp": source.mpp,
            "label": source.label,
            "partly_annotated": source.partly_annotated,
        }
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


class _Clock:
    """Adds up what each kind of work takes."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.last = seconds, time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
        self.last = now


def feature_path(output: Path, slide_id: str) -> Path:
    """Return where the features of a slide are kept."""
    return output / "features" / f"{slide_id}.h5"


def tile_labels(
    source: SourceSlide, annotation: Annotation | None, coords: NDArray[np.int64], side: float
) -> NDArray[np.float32]:
    """Return the share of each tile that is tumour, ``(N,)``, see :func:`~scripts.tile_truth.tumour_shares`.

    Raises:
        DataError: if all tumour of a slide with tumour is said to be outlined, and none of it lies on a tile.
    """
    labels = tumour_shares(coords, side, annotation, source.label, source.partly_annotated)
    if annotation is not None and source.label == 1 and not (labels > 0).any() and not np.isnan(labels).any():
        raise DataError(
            f"{source.annotation}: no outline of tumour lies on any of the {len(coords)} tiles with tissue; look "
            "whether it is of this slide, or take the annotation out"
        )
    return labels


def _broken(batch: TileBatch, corners: NDArray[np.int64]) -> list[BrokenTile]:
    return [
        BrokenTile(int(x), int(y), reason)
        for (x, y), reason in zip(corners[~batch.readable], batch.reasons, strict=True)
    ]
