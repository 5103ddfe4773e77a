"""Small slides for the tests of the whole-slide bundle, exact or stained, and preparing with small tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from monai.bundle import ConfigParser

from tests.bundles.camelyon_attmil.prepared_sources import HALVES

REAL_SLIDE = Path(__file__).resolve().parents[4] / "shared" / "data" / "wsi_small" / "CMU-1-Small-Region.svs"


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("camelyon_attmil")


@pytest.fixture(scope="session")
def real_slide():
    if not REAL_SLIDE.is_file():
        pytest.skip(f"{REAL_SLIDE} is not there")
    return REAL_SLIDE


@pytest.fixture(scope="session")
def write_exact():
    """Write an array ``(H, W, 3)`` as an uncompressed pyramid, each level the mean of squares of the one before."""

    def write(path, pixels, mpp=0.5, levels=1):
        resolution = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
        with tifffile.TiffWriter(path, bigtiff=True) as file:
            for level in range(levels):
                kind = {"subfiletype": 1} if level else {}
                file.write(pixels, tile=(64, 64), photometric="rgb", metadata=None, **resolution, **kind)
                height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
                halves = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
                pixels = np.rint(halves.mean(axis=(1, 3))).astype(np.uint8)
                resolution = {} if mpp is None else {
                    "resolution": (1e4 / mpp / 2 ** (level + 1),) * 2, "resolutionunit": "CENTIMETER"
                }  # fmt: skip
        return path

    return write


@pytest.fixture(scope="module")
def write_stained(scripts):
    """Write a JPEG-compressed slide with a stained rectangle on glass, and return its path."""

    def write(path, size=(1024, 768), rectangle=(128, 128, 640, 512), mpp=0.5, colour=(190, 110, 170), seed=0):
        noise = np.random.default_rng(seed).integers(-12, 13, (256, 256, 3))
        left, top, right, bottom = rectangle

        def render(x, y, width, height):
            columns, rows = x + np.arange(width)[None, :], y + np.arange(height)[:, None]
            inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
            pixels = np.where(inside[..., None], np.array(colour) + noise[rows % 256, columns % 256], 243)
            return pixels.astype(np.uint8)

        return scripts("pyramid_tiff").write_pyramid(path, size, render, mpp)

    return write


@pytest.fixture(scope="session")
def spoil_tiles():
    """Destroy compressed tiles of level 0, given as (column, row) of the slide's own tiles."""

    def spoil(path, tiles):
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            across = -(-page.imagewidth // page.tilewidth)
            places = [(page.dataoffsets[row * across + column], page.databytecounts[row * across + column])
                      for column, row in tiles]  # fmt: skip
        with Path(path).open("r+b") as file:
            for offset, count in places:
                file.seek(offset)
                file.write(b"\0" * count)

    return spoil


@pytest.fixture(scope="module")
def preparation(scripts, repository):
    """A component of the bundle's own config, on small tiles, read in this process."""
    scripts("prepare")
    file = repository / "bundles" / "camelyon_attmil" / "configs" / "prepare.json"

    def build(component="prepare", **overrides):
        parser = ConfigParser(ConfigParser.load_config_file(str(file)))
        small = {
            "readers": 0,
            "workers": 1,
            "tile_size": 64,
            "network#block_inplanes": [2, 2, 2, 4],
            "fractions": HALVES,
        }
        parser.update({**small, **overrides})
        return parser.get_parsed_content(component)

    return build


@pytest.fixture(scope="module")
def table_source(write_stained, tmp_path_factory):
    """Eight slides with a table."""
    root = tmp_path_factory.mktemp("source")
    rows = []
    for number in range(8):
        write_stained(root / "slides" / f"s{number}.tif", (512, 448), (64, 64, 448, 384), seed=number)
        rows.append(
            {"slide": f"slides/s{number}.tif", "label": ["normal", "tumor"][number % 2], "patient": f"p{number}"}
        )
    pd.DataFrame(rows).to_csv(root / "slides.csv", index=False)
    return root
