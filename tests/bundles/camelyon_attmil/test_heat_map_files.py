"""TIFF, GeoJSON and pictures of maps, read back: every tile lies where it is on the slide, in its colour."""

from __future__ import annotations

import json
import tracemalloc
import uuid

import numpy as np
import openslide
import pytest
import shapely
import tifffile
from PIL import Image

SIZES = [(1021, 640), (600, 1311)]


@pytest.fixture(scope="module")
def build(scripts):
    """A map of tiles over a slide of an odd size: ``(grid, coords, values)``."""

    def make(size, side, step=None, seed=0):
        rng = np.random.default_rng(seed)
        xs, ys = (np.arange(0, length - side + 1, step or side) for length in size)
        coords = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        coords = coords[rng.random(len(coords)) < 0.6]
        return scripts("heat_map").TileGrid(coords, side, size), coords, rng.standard_normal(len(coords))

    return make


@pytest.fixture(scope="module")
def write_tiff(scripts):
    """The colours of a map as a TIFF: ``(path, scale)``."""

    def write(path, grid, values, size, downsample, mpp):
        scale = scripts("heat_map_colours").ColourScale.of(values, signed=True)
        placement = scripts("heat_map_placement").MapPlacement(size, downsample, mpp)
        subject = scripts("heat_map_placement").MapSubject("slide 1", "LRP", "log-odds")
        return scripts("heat_map_files").write_tiff(path, grid.heat_map(values), scale, placement, subject), scale

    return write


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("side", "downsample"), [(64, 4), (64, 1), (51, 3.1875), (73, 4.7)])
def test_the_tiff_lies_over_the_slide(write_tiff, build, tmp_path, size, side, downsample):
    grid, coords, values = build(size, side)
    path, scale = write_tiff(tmp_path / "m.tif", grid, values, size, downsample, 0.25)
    with openslide.OpenSlide(path) as slide:
        mpp = float(slide.properties["openslide.mpp-x"])
        for found, length in zip(slide.dimensions, size, strict=True):
            # as wide in µm as the slide, but for less than a pixel
            assert 0 <= found * mpp - length * 0.25 < mpp + 1e-3
        picture = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]
        # a pixel of a slide beside it is found by µm alone
        for (x, y), value in zip(coords, values, strict=True):
            middle = [int((corner + side / 2) * 0.25 / mpp) for corner in (y, x)]
            assert picture[tuple(middle)].tolist() == scale.rgb(np.array([value]))[0].tolist()
        covered = ~np.isnan(grid.heat_map(values).raster(downsample, picture.shape[:2]))
        assert (picture[~covered] == 255).all()
        assert max(slide.level_dimensions[-1]) <= 512
    with tifffile.TiffFile(path) as file:
        stated = json.loads(file.pages[0].description)
        assert stated["downsample"] == downsample
        assert stated["slide_size"] == list(size)
        assert (stated["slide"], stated["method"], stated["unit"]) == ("slide 1", "LRP", "log-odds")
        assert stated["colours"]["to"] == pytest.approx(scale.high)
        assert file.pages[0].is_tiled


def test_a_slide_without_scale_gives_a_tiff_without(write_tiff, build, tmp_path):
    grid, _, values = build((300, 200), 32)
    path, _ = write_tiff(tmp_path / "m.tif", grid, values, (300, 200), 2, None)
    with openslide.OpenSlide(path) as slide:
        assert openslide.PROPERTY_NAME_MPP_X not in slide.properties


def test_memory_of_the_tiff_does_not_grow_with_the_slide(write_tiff, build, tmp_path):
    """A map of 72 MB."""
    size, side = (100_000, 80_000), 2000
    grid, _, values = build(size, side)
    tracemalloc.start()
    write_tiff(tmp_path / "m.tif", grid, values, size, 18.3, 0.25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6


def check_collection(content):
    """What RFC 7946 demands, in QuPath's plane; the features' shapes."""
    assert set(content) == {"type", "features"}
    assert content["type"] == "FeatureCollection"
    shapes = []
    for feature in content["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["type"] == "Feature"
        uuid.UUID(feature["id"])
        geometry = feature["geometry"]
        assert geometry["type"] == "Polygon"
        for place, ring in enumerate(geometry["coordinates"]):
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert all(len(point) == 2 for point in ring)
            # 3.1.6: the outer ring counter-clockwise, holes clockwise
            assert shapely.LinearRing(ring).is_ccw == (place == 0)
        properties = feature["properties"]
        assert properties["objectType"] in ("annotation", "detection")
        assert len(properties["classification"]["color"]) == 3
        assert all(isinstance(value, int | float) for value in properties["measurements"].values())
        shapes.append(shapely.geometry.shape(geometry))
        assert shapes[-1].is_valid
    assert len({feature["id"] for feature in content["features"]}) == len(content["features"])
    return shapes


@pytest.mark.parametrize("size", [(331, 207), (190, 383)])
@pytest.mark.parametrize(("side", "step"), [(32, None), (27, 9), (37, 45)])
def test_regions_in_qupath_are_those_of_the_map(scripts, build, tmp_path, size, side, step):
    grid, _, values = build(size, side, step)
    files, colours = scripts("heat_map_files"), scripts("heat_map_colours")
    heat_map, scale = grid.heat_map(values), colours.ColourScale.of(values, signed=True)
    files.write_geojson(tmp_path / "m.geojson", files.region_features("s", heat_map, scale, "Shapley", 0.5))
    content = json.loads((tmp_path / "m.geojson").read_text())
    shapes = check_collection(content)
    level = np.full(size[::-1], -1)
    raster = heat_map.raster(1.0, size[::-1])
    covered = ~np.isnan(raster)
    level[covered] = scale.level_of(raster[covered])
    found = np.full(size[::-1], -1)
    names = [f"Shapley, {one.name}" for one in scale.levels]
    rows, columns = np.indices(size[::-1])
    for feature, shape in zip(content["features"], shapes, strict=True):
        inside = shapely.contains_xy(shape, columns + 0.5, rows + 0.5)
        assert (found[inside] == -1).all()
        found[inside] = names.index(feature["properties"]["classification"]["name"])
        measured = feature["properties"]["measurements"]
        assert measured["Area mm²"] == pytest.approx(inside.sum() * 0.5**2 / 1e6)
        assert measured["Shapley: mean"] == pytest.approx(raster[inside].mean())
        assert measured["Shapley: max"] == pytest.approx(raster[inside].max())
        assert measured["Shapley: min"] == pytest.approx(raster[inside].min())
    np.testing.assert_array_equal(found, level)


def test_neighbours_of_one_class_are_one_region_with_few_corners(scripts, tmp_path):
    """A ring of tiles around one that differs: two regions, the ring with a hole, of five points each."""
    coords = np.stack(np.meshgrid(np.arange(3), np.arange(3)), axis=-1).reshape(-1, 2) * 10
    values = np.where(np.arange(9) == 4, -1.0, 1.0)
    scale = scripts("heat_map_colours").ColourScale.of(values, signed=True)
    heat_map = scripts("heat_map").TileGrid(coords, 10).heat_map(values)
    features = list(scripts("heat_map_files").region_features("s", heat_map, scale, "Shapley"))
    rings = [feature["geometry"]["coordinates"] for feature in features]
    assert sorted(len(ring) for ring in rings) == [1, 2]
    assert {len(line) for ring in rings for line in ring} == {5}
    ring = max(features, key=lambda feature: len(feature["geometry"]["coordinates"]))
    assert ring["properties"]["measurements"]["Area px²"] == 800
    assert ring["properties"]["classification"]["name"] == "Shapley, strongly for"
    again = list(scripts("heat_map_files").region_features("s", heat_map, scale, "Shapley"))
    assert [feature["id"] for feature in again] == [feature["id"] for feature in features]


def test_tiles_in_qupath_carry_all_values(scripts, build, tmp_path):
    size = (611, 404)
    _, coords, values = build(size, 64, 60)
    files, colours = scripts("heat_map_files"), scripts("heat_map_colours")
    scale = colours.ColourScale.of(values, signed=True)
    share = np.where(np.arange(len(values)) % 2, 0.25, np.nan)
    named = {"Shapley": values, "Attention": values**2, "Tumour share": share}
    files.write_geojson(
        tmp_path / "t.geojson", files.tile_features("s", coords, 64, named, "Shapley", scale, (600, 404))
    )
    content = json.loads((tmp_path / "t.geojson").read_text())
    for index, (feature, shape) in enumerate(zip(content["features"], check_collection(content), strict=True)):
        x, y = coords[index]
        assert shape.bounds == (x, y, min(x + 64, 600), min(y + 64, 404))
        expected = {"Shapley": values[index], "Attention": values[index] ** 2}
        assert feature["properties"]["measurements"] == expected | ({"Tumour share": 0.25} if index % 2 else {})
        level = scale.levels[scale.level_of(values[index])]
        assert feature["properties"]["classification"] == {"name": level.name, "color": list(level.colour)}


class TestColours:
    def test_signed_values_diverge_from_zero(self, scripts):
        scale = scripts("heat_map_colours").ColourScale.of([-0.2, 0.1, 1.0], signed=True)
        assert (scale.low, scale.high, scale.clipped) == (-1.0, 1.0, False)
        blue, grey, red = scale.rgb(np.array([-1.0, 0.0, 1.0])).astype(int)
        assert blue[2] > blue[0] + 100
        assert red[0] > red[2] + 100
        assert np.ptp(grey) < 5
        assert scale.rgb(np.array([np.nan])).tolist() == [[255, 255, 255]]
        assert [level.name for level in scale.levels][::4] == ["strongly against", "strongly for"]
        assert scale.level_of([-9, -0.61, -0.59, 0, 0.59, 0.61, 9]).tolist() == [0, 0, 1, 2, 3, 4, 4]

    def test_five_tiles_of_ten_thousand_are_seen_and_the_others_not(self, scripts):
        colours = scripts("heat_map_colours").ColourScale
        weights = np.r_[np.full(9_995, 1e-5), np.full(5, 0.18)]
        scale = colours.of(weights, signed=False)
        assert (scale.low, scale.high, scale.clipped) == (0.0, 0.18, False)
        grey = np.full((1, 2, 3), 128, dtype=np.uint8)
        few, many = np.ptp(scale.over(grey, np.array([[0.18, 1e-5]]))[0].astype(int), axis=1)
        assert few > 60 > 3 > many
        clipped = colours.of(weights, signed=False, percentile=50)
        assert (clipped.high, clipped.clipped) == (1e-5, True)

    def test_even_attention_is_pale(self, scripts):
        even = scripts("heat_map_colours").ColourScale.of(np.full(200, 1 / 200), signed=False, at_least=5 / 200)
        assert even.level_of([1 / 200]).tolist() == [1]
        assert even.high == 5 / 200

    def test_attention_keeps_its_order_in_grey(self, scripts):
        scale = scripts("heat_map_colours").ColourScale.of([0.0, 1.0], signed=False)
        assert (np.diff(scale.rgb(np.linspace(0, 1, 50)).mean(axis=1)) <= 0).all()

    @pytest.mark.parametrize("signed", [True, False])
    def test_values_that_are_all_zero_have_a_scale(self, scripts, signed):
        scale = scripts("heat_map_colours").ColourScale.of(np.zeros(5), signed=signed)
        assert scale.low < scale.high
        assert not scale.clipped

    def test_tissue_is_seen_where_a_map_says_nothing(self, scripts):
        picture = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        values = np.full((4, 6), np.nan)
        values[:, :3] = 0.0
        scale = scripts("heat_map_colours").ColourScale(-1, 1, True)
        over = scale.over(picture, values)
        np.testing.assert_allclose(over, np.repeat(picture.mean(axis=2)[..., None], 3, axis=2), atol=1)
        assert np.ptp(scale.over(picture, values + 1)[:, :3].astype(int), axis=2).min() > 50


class TestPictures:
    @pytest.fixture(scope="class")
    def view(self, scripts):
        picture = np.full((300, 700, 3), 230, dtype=np.uint8)
        truth = shapely.box(1000, 400, 1400, 800)
        return scripts("heat_map_picture").SlideView(picture, 4.0, 0.5, truth)

    def test_a_map_lies_pixel_by_pixel_over_the_thumbnail(self, scripts, view, tmp_path):
        picture, colours = scripts("heat_map_picture"), scripts("heat_map_colours")
        coords = np.array([[0, 0], [2000, 800]])
        heat_map = scripts("heat_map").TileGrid(coords, 400).heat_map([1.0, -1.0])
        scale = colours.ColourScale.of([1.0, -1.0], signed=True)
        plain = scripts("heat_map_picture").SlideView(view.picture, 4.0, 0.5)
        picture.write_heat_map(tmp_path / "m.png", plain, heat_map, scale, title="Shapley", subtitle="s")
        drawn = np.asarray(Image.open(tmp_path / "m.png").convert("RGB"))
        left, top = picture.MARGIN, picture.HEADER
        expected = scale.over(view.picture, heat_map.raster(4.0, (300, 700)))
        np.testing.assert_array_equal(drawn[top : top + 300, left : left + 700], expected)

    def test_the_scale_bar_is_as_long_as_it_says(self, scripts, view, tmp_path):
        picture = scripts("heat_map_picture")
        picture.write_thumbnail(tmp_path / "t.png", view, title="slide", marks=[picture.Mark(40, 40, "+1")])
        drawn = np.asarray(Image.open(tmp_path / "t.png").convert("L"))
        below = drawn[picture.HEADER + 300 :]
        # 700 pixels of 2 µm are 1.4 mm: the bar is 0.2 mm, 100 pixels
        longest = max(len(run) for row in below < 60 for run in "".join("#" if p else " " for p in row).split())
        assert longest == pytest.approx(100, abs=2)

    def test_outline_and_rings_are_where_they_belong(self, scripts, view, tmp_path):
        picture = scripts("heat_map_picture")
        picture.write_thumbnail(tmp_path / "t.png", view, title="slide", marks=[picture.Mark(2000, 200, "+1")])
        drawn = np.asarray(Image.open(tmp_path / "t.png").convert("RGB")).astype(int)
        inner = drawn[picture.HEADER : picture.HEADER + 300, picture.MARGIN : picture.MARGIN + 700]
        yellow = np.argwhere((inner[..., 0] > 200) & (inner[..., 1] > 200) & (inner[..., 2] < 110))
        # the outline of 1000 to 1400, 400 to 800 at a downsample of 4
        assert yellow.min(axis=0) == pytest.approx([100, 250], abs=3)
        assert yellow.max(axis=0) == pytest.approx([200, 350], abs=3)
        dark = np.argwhere(inner[:80, 488:511].max(axis=2) < 80)
        assert dark.mean(axis=0) == pytest.approx([50, 12], abs=2)

    def test_names_of_neighbouring_rings_stand_apart(self, scripts):
        points = np.array([[100.0, 100.0], [112.0, 100.0], [100.0, 112.0], [2.0, 2.0]])
        places = scripts("heat_map_picture")._label_places(points, (400, 400))
        both = np.concatenate([points, places])
        distance = np.linalg.norm(both[:, None] - both[None], axis=2) + 99 * np.eye(8)
        assert distance[4:].min() >= 14
        assert (places > 0).all()


def test_the_annotated_area_keeps_its_holes_and_what_lies_in_them(scripts):
    outer, island = shapely.box(40, 40, 360, 280), shapely.box(180, 140, 220, 180)
    # the island comes first: the hole around it must not take it away
    area = shapely.MultiPolygon([island, outer - shapely.box(120, 100, 280, 220)])
    picture = np.zeros((80, 100, 3), dtype=np.uint8)
    view = scripts("heat_map_picture").SlideView(picture, 4.0, truth=area)
    middles = 4.0 * (np.stack(np.meshgrid(np.arange(100), np.arange(80)), axis=-1) + 0.5)
    expected = shapely.contains_xy(area, middles[..., 0], middles[..., 1])
    mask = view.truth_mask()
    # a drawn polygon includes its border, and so does a drawn hole
    border = shapely.distance(area.boundary, shapely.points(middles)) < 4.0 * 2**0.5
    np.testing.assert_array_equal(mask[~border], expected[~border])
    assert mask[40, 50]
    assert not mask[30, 35]
    assert not scripts("heat_map_picture").SlideView(picture, 4.0).truth_mask().any()
