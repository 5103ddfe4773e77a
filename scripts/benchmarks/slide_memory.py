"""Memory of whole slides: features of a slide of 40,000 pixels a side need no more than those of one of 10,000."""

from __future__ import annotations

import copy
import io
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from PIL import Image

from scripts.phantom import PhantomSlide, phantom_renderer
from scripts.phantom_parameters import PhantomParameters
from scripts.pixel_storage import JPEG
from scripts.pyramid_tiff import write_pyramid
from scripts.source_slide import SourceSlide
from scripts.work_division import Processes
from shared.evaluation.peak_memory import peak_memory, tree_memory
from shared.evaluation.timing import Comparison

BUNDLE = "camelyon_attmil"

PREPARE = Path(__file__).resolve().parents[2] / "bundles" / BUNDLE / "configs" / "prepare.json"
SIDES = (10_000, 40_000)
MPP, TILE = 0.5, 256
#: side of the piece of phantom tissue that is repeated, pixels
PIECE = 1024
LIMIT_MIB = 1536.0
SAME = 0.95  # of the larger slide's memory, at least, for the smaller one


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield the memory of extracting features, with two readers and all that belongs to them, and of writing slides."""
    del device  # memory of the host
    with tempfile.TemporaryDirectory() as name:
        folder, (small, large) = Path(name), SIDES
        slides = [repeated(folder / f"{side}.tif", side, seed) for side in SIDES]
        of_small, of_large = (
            partial(tree_memory, prepare_extraction, str(slide), str(folder / slide.stem)) for slide in slides
        )
        yield Comparison(
            name=f"extracting {large} px",
            subject=of_large,
            rivals={f"slide of {small} px": of_small, "the memory allowed": partial(float, LIMIT_MIB)},
            goals={f"slide of {small} px": SAME, "the memory allowed": 1.0},
            unit="MiB",
            rounds=1,
        )
        written = str(folder / "written.tif")
        yield Comparison(
            name=f"writing {small} px",
            subject=partial(peak_memory, prepare_writing, written, small, seed),
            rivals={f"slide of {2 * small} px": partial(peak_memory, prepare_writing, written, 2 * small, seed)},
            unit="MiB",
            rounds=1,
        )


def repeated(path: Path, side: int, seed: int) -> Path:
    """Write a slide of one piece of phantom tissue over and over, on a seventh of its area.

    In seconds at any size: a tile that comes again is drawn and compressed once.
    """
    tissue = RepeatedTissue(side, seed)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level in range(max(1, math.ceil(math.log2(side / TILE)))):
            length = -(-side // 2**level)
            file.write(
                tissue.tiles(length),
                shape=(length, length, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                **JPEG,
                subfiletype=int(level > 0),
                resolution=(1e4 / (MPP * 2**level),) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
            )
            tissue = tissue.halved()
    return path


class RepeatedTissue:
    """Draws a slide of repeated tissue.

    Args:
        side: of the slide, pixels.
        seed: of the tissue.
    """

    def __init__(self, side: int, seed: int) -> None:
        planned = PhantomSlide("repeated", "repeated.tif", "micro", False, 0)
        draw = phantom_renderer(planned, seed, (4 * PIECE, 4 * PIECE), MPP, PhantomParameters())
        self.piece = draw(3 * PIECE // 2, 3 * PIECE // 2, PIECE, PIECE)
        self.low, self.high = (PIECE * round(share * side / PIECE) for share in (0.31, 0.69))
        self.bottom = self.high - TILE  # a row less, or all batches would be full at some sizes and not at others

    def __call__(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return the pixels of a region, ``(height, width, 3)``."""
        columns, rows = x + np.arange(width), y + np.arange(height)
        pixels = np.full((height, width, 3), 243, dtype=np.uint8)
        across, down = (columns >= self.low) & (columns < self.high), (rows >= self.low) & (rows < self.bottom)
        period = len(self.piece)
        pixels[np.ix_(down, across)] = self.piece[np.ix_(rows[down] % period, columns[across] % period)]
        return pixels

    def halved(self) -> RepeatedTissue:
        """Return the next level."""
        period = len(self.piece)
        half = copy.copy(self)
        squares = self.piece.reshape(period // 2, 2, period // 2, 2, 3)
        half.piece = np.rint(squares.mean(axis=(1, 3))).astype(np.uint8)
        half.low, half.high, half.bottom = self.low // 2, self.high // 2, self.bottom // 2
        return half

    def tiles(self, length: int) -> Iterator[bytes]:
        """Yield the compressed tiles of a level of ``length`` pixels a side, row by row."""
        known: dict[tuple[int, ...], bytes] = {}
        for y, x in itertools.product(range(0, length, TILE), repeat=2):
            # where in the piece the tile begins, and which part of it is tissue
            phases = (x % len(self.piece), y % len(self.piece))
            edges = (self.low - x, self.high - x, self.low - y, self.bottom - y)
            ends = tuple(int(np.clip(edge, 0, TILE)) for edge in edges)
            if (*phases, *ends) not in known:
                file = io.BytesIO()
                Image.fromarray(self(x, y, TILE, TILE)).save(file, "JPEG", quality=85, subsampling=2)
                known[*phases, *ends] = file.getvalue()
            yield known[*phases, *ends]


def prepare_extraction(slide: str, output: str) -> Callable[[], Any]:
    """Return the extraction of a slide's features by the settings of ``prepare.json``, two readers among them."""
    parser = ConfigParser(ConfigParser.load_config_file(str(PREPARE)))
    extraction = parser.get_parsed_content("extraction")
    source = SourceSlide("slide", Path(slide), "p", 1)

    def extract() -> None:
        (state,) = extraction.extract_all([source], Path(output), Processes(), progress=False)
        if state.status != "done":
            raise RuntimeError(state.reason)

    return extract


def prepare_writing(path: str, side: int, seed: int) -> Callable[[], Any]:
    """Return the writing of a slide."""
    return partial(write_pyramid, Path(path), (side, side), RepeatedTissue(side, seed), MPP)
