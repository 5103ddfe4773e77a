"""Maps for ASAP, read back as ASAP reads them and by the bundle's own reader, beside the GeoJSON of the same maps."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from shared.data.errors import DataError
from tests.oracles.asap import read_annotations

#: by which the outline of a region may be off: coordinates are written to a hundredth of a pixel
ROUNDING = 0.01


@pytest.fixture(scope="module")
def build(scripts):
    """A map of tiles over a slide of an odd size: ``(heat_map, coords, values)``."""

    def make(size, side, signed=True, seed=0):
        rng = np.random.default_rng(seed)
        xs, ys = (np.arange(0, length - side + 1, side).round().astype(np.int64) for length in size)
        coords = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        coords = coords[rng.random(len(coords)) < 0.8]
        values = rng.uniform(-1, 1, len(coords))
        values = values if signed else np.abs(values)
        return scripts("heat_map").TileGrid(coords, side, size).heat_map(values), coords, values

    return make


def close(one, other):
    """Whether two areas are the same but for rounded corners."""
    return shapely.area(shapely.symmetric_difference(one, other)) <= ROUNDING * (one.length + other.length)


@pytest.mark.parametrize("size", [(1021, 640), (331, 1207), (2047, 511)])
@pytest.mark.parametrize("side", [32, 37.3, 51.19])
@pytest.mark.parametrize("signed", [True, False])
def test_regions_are_those_of_the_geojson(scripts, build, tmp_path, size, side, signed):
    heat_map, _, values = build(size, side, signed)
    files, asap = scripts("heat_map_files"), scripts("heat_map_asap")
    scale = scripts("heat_map_colours").ColourScale.of(values, signed)
    outlines = asap.region_outlines(heat_map, scale, "Shapley values, exact", 0.6)
    asap.write_asap_map(tmp_path / "m.xml", outlines, scale)
    files.write_geojson(tmp_path / "m.geojson", files.region_features("s", heat_map, scale, "Shapley", 0.5))
    levels = {}
    for feature in json.loads((tmp_path / "m.geojson").read_text())["features"]:
        name = feature["properties"]["classification"]["name"].removeprefix("Shapley, ")
        levels.setdefault(name, []).append(shapely.geometry.shape(feature["geometry"]))
    wanted = (
        {"for": ["strongly for"], "against": ["strongly against"]} if signed else {"high": ["high", "very high"]}
    )  # fmt: skip
    annotations, groups = read_annotations(tmp_path / "m.xml")
    assert set(groups) == {f"Shapley values, exact, {word}" for word in wanted}
    for word, names in wanted.items():
        group = f"Shapley values, exact, {word}"
        expected = shapely.union_all([shape for name in names for shape in levels[name]])
        pieces = [shapely.Polygon(one.coordinates) for one in annotations if one.group == group]
        assert {one.kind for one in annotations} == {"Polygon"}
        assert all(piece.is_valid for piece in pieces)
        assert close(shapely.union_all(pieces), expected)
        # nothing is covered twice
        assert sum(piece.area for piece in pieces) == pytest.approx(expected.area, abs=ROUNDING * expected.length)
        others = [name.lower() for name in groups if name != group]
        own = scripts("annotations").read_asap(tmp_path / "m.xml", [group.lower()], others)
        assert close(own.tumour, expected)
        assert groups[group] == asap._hexadecimal(scale.levels[0 if word == "against" else -1].colour)


@pytest.mark.parametrize("seed", range(4))
def test_pieces_without_holes_are_the_region(scripts, seed):
    """Regions of a random mask: holes within holes, touching at corners, islands."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((40, 60)) < 0.7)
    region = shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))
    parts = shapely.get_parts(region)
    assert sum(len(part.interiors) for part in parts) > 50
    pieces = [piece for part in parts for piece in scripts("heat_map_asap").without_holes(part)]
    assert not any(len(piece.interiors) for piece in pieces)
    assert all(piece.is_valid for piece in pieces)
    assert sum(piece.area for piece in pieces) == pytest.approx(len(rows))
    assert shapely.area(shapely.symmetric_difference(shapely.union_all(pieces), region)) == 0


def test_a_lower_threshold_shows_more(scripts, build):
    heat_map, _, values = build((640, 480), 32)
    scale = scripts("heat_map_colours").ColourScale.of(values, True)
    for threshold in (0.1, 0.5, 1.0):
        outlines = scripts("heat_map_asap").region_outlines(heat_map, scale, "m", threshold)
        for tumour, chosen in ((True, values >= threshold * scale.high), (False, values <= -threshold * scale.high)):
            area = sum(shapely.Polygon(one.vertices).area for one in outlines if one.tumour == tumour)
            assert area == chosen.sum() * 32**2


@pytest.mark.parametrize("threshold", [0, -0.2, 1.5, float("nan")])
def test_a_threshold_outside_of_the_scale_is_refused(scripts, build, threshold):
    heat_map, _, values = build((640, 480), 32)
    scale = scripts("heat_map_colours").ColourScale.of(values, True)
    with pytest.raises(DataError, match=r"region_threshold.*in \(0, 1\]"):
        scripts("heat_map_asap").region_outlines(heat_map, scale, "m", threshold)


@pytest.mark.parametrize("signed", [True, False])
def test_ranked_tiles(scripts, build, tmp_path, signed):
    size, side = (613, 407), 64
    coords = np.stack(np.meshgrid(np.arange(0, 613, side), np.arange(0, 407, side)), axis=-1).reshape(-1, 2)
    values = np.random.default_rng(0).permutation(np.arange(len(coords)) - 20.0)
    asap, scale = scripts("heat_map_asap"), scripts("heat_map_colours").ColourScale.of(values, signed)
    asap.write_asap_map(tmp_path / "t.xml", asap.tile_outlines(coords, side, values, "LRP", 3, signed, size), scale)
    annotations, groups = read_annotations(tmp_path / "t.xml")
    falling = np.argsort(-values)
    expected = {("LRP, highest tiles", f"+{rank + 1}"): falling[rank] for rank in range(3)}
    if signed:
        expected |= {("LRP, lowest tiles", f"\N{MINUS SIGN}{rank + 1}"): falling[-1 - rank] for rank in range(3)}
    assert set(groups) == {group for group, _ in expected}
    assert [(one.group, one.name) for one in annotations] == list(expected)
    for one in annotations:
        x, y = coords[expected[one.group, one.name]]
        # tiles end where the slide does
        assert shapely.Polygon(one.coordinates).bounds == (x, y, min(x + side, 613), min(y + side, 407))


def test_an_outline_of_a_group_that_is_not_listed_is_an_error(scripts, tmp_path):
    annotations = scripts("annotations")
    outline = annotations.Outline("a", "for", np.array([[0, 0], [1, 0], [1, 1]]))
    with pytest.raises(ValueError, match=r"group.* for, listed are against"):
        annotations.write_asap(tmp_path / "a.xml", annotations.Annotation((outline,)), {"against": "#000000"})
