"""Whole slides: tiles at a physical scale against raw read_region, with more readers, and the share of each stage.

The raw rival reads the same pixels row by row, the order in which OpenSlide's cache helps it most; it makes no array of
them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import openslide
import torch
from monai.networks.nets import ResNet
from numpy.typing import NDArray

from scripts.feature_extraction import FeatureExtraction
from scripts.phantom import PhantomSlide, phantom_renderer
from scripts.phantom_parameters import PhantomParameters
from scripts.pyramid_tiff import write_pyramid
from scripts.slide import Slide, TileGeometry
from scripts.source_slide import SourceSlide
from scripts.tile_encoder import TileEncoder
from scripts.tile_reader import TileReader
from scripts.tiling import Tiling
from scripts.tissue import TissueDetection
from scripts.work_division import Processes
from shared.evaluation.timing import Comparison

BUNDLE = "camelyon_attmil"

SIZE, MPP, TILE = (6144, 4096), 0.5, 256
READERS, REPEATS = 2, 16
GOAL = 0.9  # of raw reading


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield throughput of one reader and of two, and the share of each stage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = phantom(folder / "slide.tif", SIZE, seed)
        with Slide(path) as slide:
            native, halved = slide.tile_geometry(TILE, MPP), slide.tile_geometry(TILE, 1.3 * MPP)
            tissue = TissueDetection()(slide)
            for title, rival, geometry in (
                ("tiles of a level", "read_region, row by row", native),
                ("tiles, resampled", "read_region and resize, row by row", halved),
            ):
                coords = Tiling()(slide.size, geometry, tissue)
                yield Comparison(
                    name=f"{len(coords)} {title}",
                    subject=partial(read_all, path, coords, geometry, 0),
                    rivals={rival: partial(read_raw, path, coords, geometry)},
                    goals={rival: GOAL},
                )
            # a slide of usual size has as many; beside them the start of the readers counts little
            coords = np.tile(Tiling()(slide.size, native, tissue), (REPEATS, 1))
        yield Comparison(
            name=f"{len(coords)} tiles, {READERS} reader processes",
            subject=partial(read_all, path, coords, native, READERS),
            rivals={
                "1 reader process": partial(read_all, path, coords, native, 1),
                "no further process": partial(read_all, path, coords, native, 0),
            },
        )
        stages = Stages(path, folder, device, seed)
        yield Comparison(
            name="waiting for the readers",
            subject=partial(stages.milliseconds, "reading"),
            rivals={stage: partial(stages.milliseconds, stage) for stage in ("transfer", "encoder", "writing")},
            unit="ms",
            rounds=1,
        )


def phantom(path: Path, size: tuple[int, int], seed: int) -> Path:
    """Write a phantom slide."""
    planned = PhantomSlide(path.stem, path.name, "micro", False, 0)
    return write_pyramid(path, size, phantom_renderer(planned, seed, size, MPP, PhantomParameters()), MPP)


def read_all(path: Path, coords: NDArray[np.int64], geometry: TileGeometry, readers: int) -> int:
    """Read all tiles as extraction does; return their number."""
    reader = TileReader(path, coords, geometry, readers=readers)
    return sum(len(batch.images) for batch in reader.batches())


def read_raw(path: Path, coords: NDArray[np.int64], geometry: TileGeometry) -> int:
    """Read the same pixels of the same level, row by row; resize them, if the tiles are of another scale; no more."""
    side = round(geometry.level_tile_size)
    rows = coords[np.lexsort((coords[:, 0], coords[:, 1]))]
    with openslide.OpenSlide(str(path)) as slide:
        for x, y in rows.tolist():
            region = slide.read_region((x, y), geometry.level, (side, side))
            if geometry.resampled:
                region.convert("RGB").resize((geometry.tile_size, geometry.tile_size))
    return len(rows)


class Stages:
    """Extracts a slide once and tells the time of each stage."""

    def __init__(self, path: Path, folder: Path, device: torch.device, seed: int) -> None:
        slides = [SourceSlide("slide", path, "p", 1)]
        self._extract = partial(extraction(device, seed, READERS).extract_all, slides, folder, Processes(), False)
        self._seconds: dict[str, float] = {}

    def milliseconds(self, stage: str) -> float:
        """Return the time of a stage."""
        self._seconds = self._seconds or self._extract()[0].seconds
        return 1000 * self._seconds[stage]


def extraction(device: torch.device | str, seed: int, readers: int) -> FeatureExtraction:
    """Return the extraction of the default settings."""
    network = partial(
        ResNet, block="basic", layers=[1, 1, 1, 1], block_inplanes=[16, 32, 64, 128], spatial_dims=2,
        n_input_channels=3, conv1_t_stride=2, feed_forward=False,
    )  # fmt: skip
    encoder = TileEncoder(network, "small ResNet", seed=seed, device=device)
    return FeatureExtraction(encoder, tile_size=TILE, mpp=MPP, readers=readers)
