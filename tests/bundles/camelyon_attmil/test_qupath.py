"""GeoJSON as QuPath reads it, on the slide itself: every region covers the tiles whose value it says."""

from __future__ import annotations

import numpy as np
import openslide
import pytest
import shapely

from tests.oracles.qupath import read_objects

#: width and height of the slide, its µm per pixel, and those of the tiles: downsamples of 1, 1.35…, 1.61… and 3.70…
SLIDES = [((331, 207), 0.5, 0.5), ((611, 404), 0.37, 0.5), ((383, 790), 0.31, 0.5), ((1021, 640), 0.2704, 1.0)]
TILE = 32


@pytest.fixture(scope="module", params=SLIDES, ids=lambda case: f"{case[0][0]}x{case[0][1]} at {case[1]}")
def marked(request, scripts, write_exact, tmp_path_factory):
    """A slide on which each tile has its own grey, its value: ``(path, geometry, coords, values)``."""
    size, mpp, tile_mpp = request.param
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    pixels = np.full((size[1], size[0], 3), 255, dtype=np.uint8)
    write_exact(path, pixels, mpp, levels=2)
    with scripts("slide").Slide(path) as slide:
        geometry = slide.tile_geometry(TILE, tile_mpp)
        mask = np.random.default_rng(0).random((slide.size[1] // 8 + 1, slide.size[0] // 8 + 1)) < 0.5
        tissue = scripts("tissue").TissueMask(mask, 8.0, 8.0, pale=False)
        coords = scripts("tiling").Tiling(tissue_share=0.5)(slide.size, geometry, tissue)
    side = geometry.level0_tile_size
    greys = np.random.default_rng(1).permutation(np.linspace(10, 210, len(coords)).round())
    assert len(coords) > 15
    for (x, y), grey in zip(coords, greys, strict=True):
        pixels[y : y + side, x : x + side] = grey
    write_exact(path, pixels, mpp, levels=2)
    return path, geometry, coords, greys - 110


def under(slide, roi):
    """The grey of the slide's pixels that lie wholly within the bounds of a region."""
    left, top, right, bottom = (round(edge) for edge in roi.bounds)
    return np.asarray(slide.read_region((left, top), 0, (right - left, bottom - top)))[..., 0]


def test_tiles(scripts, marked, tmp_path):
    path, geometry, coords, values = marked
    files, colours = scripts("heat_map_files"), scripts("heat_map_colours")
    scale, named = colours.ColourScale.of(values, signed=True), {"Shapley values, exact": values}
    with openslide.OpenSlide(path) as slide:
        size = slide.dimensions
        features = files.tile_features(
            "s", coords, geometry.level0_tile_size, named, "Shapley values, exact", scale, size
        )
        files.write_geojson(tmp_path / "t.geojson", features)
        objects, colours_of = read_objects((tmp_path / "t.geojson").read_text(encoding="utf-8"))
        assert len(objects) == len(coords)
        for one in objects:
            assert (one.kind, one.locked) == ("detection", False)
            assert one.roi.area == geometry.level0_tile_size**2
            grey = under(slide, one.roi)
            assert grey.min() == grey.max() == one.measurements["Shapley values, exact"] + 110
            level = scale.levels[scale.level_of(one.measurements["Shapley values, exact"])]
            assert (one.path_class, colours_of[one.path_class]) == (level.name, level.colour)


def test_regions(scripts, marked, tmp_path):
    path, geometry, coords, values = marked
    files, colours = scripts("heat_map_files"), scripts("heat_map_colours")
    scale = colours.ColourScale.of(values, signed=True)
    with openslide.OpenSlide(path) as slide:
        size = slide.dimensions
        grid = scripts("heat_map").TileGrid(coords, geometry.level0_tile_size, size)
        features = files.region_features("s", grid.heat_map(values), scale, "Shapley values, exact", 0.5)
        files.write_geojson(tmp_path / "m.geojson", features)
        objects, colours_of = read_objects((tmp_path / "m.geojson").read_text(encoding="utf-8"))
        whole = np.asarray(slide.read_region((0, 0), 0, size))[..., 0]
    assert sum(one.roi.area for one in objects) == len(coords) * geometry.level0_tile_size**2
    names = [f"Shapley values, exact, {level.name}" for level in scale.levels]
    assert colours_of == {name: level.colour for name, level in zip(names, scale.levels, strict=True)}
    for (x, y), value in zip(coords, values, strict=True):
        middle = x + geometry.level0_tile_size / 2, y + geometry.level0_tile_size / 2
        (one,) = (one for one in objects if one.roi.buffer(-0.5).intersects(shapely.Point(middle)))
        assert (one.kind, one.locked) == ("annotation", True)
        assert names.index(one.path_class) == scale.level_of(value)
        assert one.measurements["Shapley values, exact: min"] <= value <= one.measurements["Shapley values, exact: max"]
        assert whole[int(middle[1]), int(middle[0])] == value + 110
