"""Maps as OME-TIFF, read back: valid OME-XML, every tile's value where it is by µm, lower levels as means."""

from __future__ import annotations

import tracemalloc
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest
import tifffile

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
METHOD = 'Shapley values, exact <&"µ"> {0}'


@pytest.fixture(scope="module")
def build(scripts):
    """A map of tiles over a slide of an odd size: ``(heat_map, coords, values)``."""

    def make(size, side, seed=0):
        rng = np.random.default_rng(seed)
        xs, ys = (np.arange(0, length - side + 1, side).round().astype(np.int64) for length in size)
        coords = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        coords = coords[rng.random(len(coords)) < 0.6]
        values = rng.standard_normal(len(coords))
        return scripts("heat_map").TileGrid(coords, side, size).heat_map(values), coords, values

    return make


def write(scripts, path, heat_map, values, size, downsample, mpp):
    scale = scripts("heat_map_colours").ColourScale.of(values, signed=True)
    placement = scripts("heat_map_placement").MapPlacement(size, downsample, mpp)
    subject = scripts("heat_map_placement").MapSubject("slide 1", METHOD, "log-odds")
    return scripts("heat_map_ome").write_ome_tiff(path, heat_map, scale, placement, subject)


def halved(values):
    """The mean of what is known of each square of 2 × 2 pixels, written slowly."""
    rows, columns = (-(-length // 2) for length in values.shape)
    found = np.full((rows, columns), np.nan, dtype=np.float32)
    for row in range(rows):
        for column in range(columns):
            # beyond an odd last row or column it is repeated: the mean is that of what there is
            square = values[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].astype(np.float64)
            if not np.isnan(square).all():
                found[row, column] = square[~np.isnan(square)].mean()
    return found


@pytest.mark.parametrize("size", [(1021, 640), (600, 1311)])
@pytest.mark.parametrize(("side", "downsample"), [(64, 4), (64, 1), (51.3, 3.1875), (73, 4.7)])
def test_every_tile_has_its_value_where_it_is_by_microns(scripts, build, tmp_path, size, side, downsample):
    heat_map, coords, values = build(size, side)
    path = write(scripts, tmp_path / "m.ome.tif", heat_map, values, size, downsample, 0.25)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        (series,) = file.series
        assert (series.axes, series.dtype) == ("YX", np.float32)
        shapes = [level.shape for level in series.levels]
        levels = [level.asarray() for level in series.levels]
        assert len(file.pages) == 1  # all others are below it
        image = ElementTree.fromstring(file.ome_metadata.encode()).find(f"{OME}Image")
        # for readers that go by the tags of a TIFF
        resolution = file.pages[0].get_resolution("micrometer")
    for larger, smaller in pairwise(shapes):
        assert smaller == tuple(-(-length // 2) for length in larger)
    assert max(shapes[-1]) <= 512
    pixels = image.find(f"{OME}Pixels")
    assert (pixels.get("PhysicalSizeXUnit"), pixels.get("PhysicalSizeYUnit")) == ("µm", "µm")
    step = float(pixels.get("PhysicalSizeX"))
    assert step == float(pixels.get("PhysicalSizeY")) == pytest.approx(0.25 * downsample)
    assert resolution == pytest.approx((1 / step, 1 / step))
    assert pixels.find(f"{OME}Channel").get("Name") == METHOD
    assert image.get("Name") == f"slide 1: {METHOD}"
    for found, length in zip(levels[0].shape[::-1], size, strict=True):
        assert 0 <= found * step - length * 0.25 < step + 1e-9
    for (x, y), value in zip(coords, values, strict=True):
        middle = [int((corner + side / 2) * 0.25 / step) for corner in (y, x)]
        assert levels[0][tuple(middle)] == np.float32(value)
    expected = heat_map.raster(downsample, levels[0].shape).astype(np.float32)
    np.testing.assert_array_equal(levels[0], expected)


@pytest.mark.parametrize("size", [(131, 90), (67, 131), (128, 128)])
def test_lower_levels_are_means_of_what_is_known(scripts, tmp_path, size):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(size[::-1]).astype(np.float32)
    values[rng.random(values.shape) < 0.6] = np.nan
    path = scripts("pyramid_tiff").write_ome_pyramid(
        tmp_path / "p.ome.tif",
        size,
        lambda x, y, width, height: values[y : y + height, x : x + width],
        0.5,
        {"Name": "p"},
        tile=16,
        smallest=20,
    )
    with tifffile.TiffFile(path) as file:
        levels = [level.asarray() for level in file.series[0].levels]
    assert len(levels) >= 3
    np.testing.assert_array_equal(levels[0], values)
    for larger, smaller in pairwise(levels):
        np.testing.assert_allclose(smaller, halved(larger), rtol=1e-6)


@pytest.mark.parametrize("mpp", [0.25, None])
def test_the_description_is_valid_by_the_schema(scripts, build, tmp_path, mpp):
    ome_types = pytest.importorskip("ome_types")
    xmlschema = pytest.importorskip("xmlschema")
    size = (1021, 640)
    heat_map, _, values = build(size, 64)
    path = write(scripts, tmp_path / "m.ome.tif", heat_map, values, size, 1, mpp)
    text = tifffile.tiffcomment(path)
    schema = xmlschema.XMLSchema(str(ome_types.__path__[0]) + "/ome-2016-06.xsd")
    schema.validate(text)
    read = ome_types.from_tiff(path)
    (image,) = read.images
    assert image.pixels.physical_size_x == mpp
    assert [channel.name for channel in image.pixels.channels] == [METHOD]
    (stated,) = read.structured_annotations
    assert (stated.value["method"], stated.value["unit"]) == (METHOD, "log-odds")
    assert (stated.value["slide width"], stated.value["downsample"]) == ("1021", "1.0")


def test_two_runs_write_the_same_bytes(scripts, build, tmp_path):
    heat_map, _, values = build((600, 400), 64)
    one, other = (
        write(scripts, tmp_path / name, heat_map, values, (600, 400), 2, 0.5).read_bytes() for name in ("a", "b")
    )
    assert one == other


def test_memory_does_not_grow_with_the_slide(scripts, build, tmp_path):
    """A map of 96 MB."""
    size = (100_000, 80_000)
    heat_map, _, values = build(size, 2000)
    tracemalloc.start()
    write(scripts, tmp_path / "m.ome.tif", heat_map, values, size, 18.3, 0.25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6
