"""Features for CLAM, TRIDENT and STAMP: read as each of them reads, and back by the bundle's own reader."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from shared.data.errors import DataError
from tests.oracles.feature_readers import read_clam, read_stamp, read_trident

#: side of a tile in pixels of level 0, µm per pixel there and of the tiles
SCALES = [(512, 0.243, 0.486), (256, 0.499, 0.499), (413, 0.3101, 0.5002793)]


@pytest.fixture(params=SCALES, ids=lambda scale: f"{scale[0]} px")
def own(request, scripts, tmp_path):
    """A feature file of this project: ``(path, features, coords, attributes)``."""
    side, slide_mpp, mpp = request.param
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 12)).astype(np.float16)
    # on a grid with a stride of half a tile, far from the corner
    coords = rng.permutation(np.stack(np.meshgrid(np.arange(10), np.arange(400, 406)), axis=-1).reshape(-1, 2))
    coords = coords * (side // 2)
    files = scripts("feature_file")
    attributes = files.FeatureAttributes(
        "slide.1", mpp, 256, side, (97791, 221183), slide_mpp, "encoder <é>", "ab" * 32, "1"
    )
    path = tmp_path / "features" / "slide.1.h5"
    labels = np.zeros(60, dtype=np.float32)
    files.write_features(path, [(features, coords, labels)], 60, attributes)
    return path, features, coords, attributes


def test_clam(scripts, own, tmp_path):
    path, features, coords, attributes = own
    written = scripts("feature_export").export_features(path, tmp_path / "clam", "clam")
    found, places, side = read_clam(tmp_path / "clam", "slide.1")
    np.testing.assert_array_equal(found, features)
    np.testing.assert_array_equal(places, coords)
    assert side == attributes.level0_tile_size
    bag = scripts("feature_layouts").read_features(written)
    np.testing.assert_array_equal(bag.features, features)
    np.testing.assert_array_equal(bag.coords, coords)
    assert (bag.attributes.layout, bag.attributes.level0_tile_size) == ("clam", attributes.level0_tile_size)


def test_trident(scripts, own, tmp_path):
    path, features, coords, attributes = own
    written = scripts("feature_export").export_features(path, tmp_path / "trident", "trident")
    found, places, stated, encoder = read_trident(written)
    np.testing.assert_array_equal(found, features)
    np.testing.assert_array_equal(places, coords)
    assert (stated["patch_size"], stated["patch_size_level0"]) == (256, attributes.level0_tile_size)
    assert (stated["level0_width"], stated["level0_height"]) == attributes.slide_size
    assert (stated["name"], encoder) == ("slide.1", "encoder <é>")
    assert stated["overlap"] == pytest.approx(128, abs=0.5)
    bag = scripts("feature_layouts").read_features(written)
    np.testing.assert_array_equal(bag.features, features)
    np.testing.assert_array_equal(bag.coords, coords)
    back = bag.attributes
    assert (back.layout, back.slide_id, back.encoder) == ("trident", "slide.1", "encoder <é>")
    assert (back.tile_size, back.level0_tile_size, back.slide_size) == (
        256, attributes.level0_tile_size, attributes.slide_size
    )  # fmt: skip
    assert back.mpp == pytest.approx(attributes.mpp, rel=1e-3)


def test_stamp(scripts, own, tmp_path):
    path, features, coords, attributes = own
    written = scripts("feature_export").export_features(path, tmp_path / "stamp", "stamp")
    found, places_um, side_um, mpp, encoder = read_stamp(written)
    np.testing.assert_array_equal(found, features)
    np.testing.assert_allclose(places_um, coords * attributes.slide_mpp, rtol=1e-6)
    assert side_um == pytest.approx(attributes.level0_tile_size * attributes.slide_mpp)
    assert mpp == pytest.approx(attributes.mpp, rel=1e-3)
    assert encoder == "encoder <é>"
    bag = scripts("feature_layouts").read_features(written, attributes.slide_mpp)
    np.testing.assert_array_equal(bag.features, features)
    np.testing.assert_array_equal(bag.coords, coords)
    assert bag.attributes.level0_tile_size == pytest.approx(attributes.level0_tile_size)
    assert (bag.attributes.layout, bag.attributes.tile_size, bag.attributes.encoder) == ("stamp", 256, "encoder <é>")


@pytest.mark.parametrize("first", ["clam", "trident", "stamp"])
@pytest.mark.parametrize("second", ["clam", "trident", "stamp"])
def test_one_layout_becomes_another(scripts, own, tmp_path, first, second):
    """CLAM says neither scale nor pixels of a tile as the encoder saw it: what needs them is refused."""
    path, features, coords, attributes = own
    export = scripts("feature_export").export_features
    one = export(path, tmp_path / "one", first)
    mpp = attributes.slide_mpp
    other = export(one, tmp_path / "other", second, mpp)
    bag = scripts("feature_layouts").read_features(other, mpp)
    np.testing.assert_array_equal(bag.features, features)
    np.testing.assert_array_equal(bag.coords, coords)
    assert bag.attributes.level0_tile_size == pytest.approx(attributes.level0_tile_size)


def test_what_a_layout_must_say_and_nobody_knows_is_told(scripts, tmp_path):
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["features"], file["coords"] = np.ones((3, 4)), np.arange(6).reshape(3, 2)
    export = scripts("feature_export").export_features
    with pytest.raises(DataError, match=r"bare\.h5: does not say the size of the tiles.*patches/<slide>\.h5"):
        export(tmp_path / "bare.h5", tmp_path / "out", "clam")
    with h5py.File(tmp_path / "bare.h5", "a") as file:
        file["coords"].attrs.update({"patch_size": 256, "patch_level": 0})
    export(tmp_path / "bare.h5", tmp_path / "out", "clam")
    for layout in ("trident", "stamp"):
        with pytest.raises(DataError, match=r"bare\.h5: does not say µm per pixel of the slide.*column 'mpp'"):
            export(tmp_path / "bare.h5", tmp_path / layout, layout)
        export(tmp_path / "bare.h5", tmp_path / layout, layout, 0.5)


def test_a_file_that_is_there_is_written_again_only_if_it_is_older(scripts, own, tmp_path):
    path = own[0]
    export = scripts("feature_export").export_features
    written = export(path, tmp_path / "out", "stamp")
    before = written.stat().st_mtime_ns
    assert export(path, tmp_path / "out", "stamp").stat().st_mtime_ns == before
    os.utime(path, ns=(before + 10**9, before + 10**9))
    assert export(path, tmp_path / "out", "stamp").stat().st_mtime_ns > before


@pytest.mark.parametrize(("layouts", "found"), [(["stamp", "own"], "own"), ("clam", "clam")])
def test_other_layouts_are_refused(scripts, layouts, found):
    with pytest.raises(DataError, match=f"feature_layouts: found '{found}', expected a list of some of clam"):
        scripts("feature_export").check_layouts(layouts)
