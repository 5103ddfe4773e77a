"""Feature files: written whole, read with what they say, refused if they cannot be trusted; and those of others."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def feature_file(scripts):
    return scripts("feature_file")


@pytest.fixture(scope="module")
def read_features(scripts):
    return scripts("feature_layouts").read_features


@pytest.fixture
def attributes(feature_file):
    return feature_file.FeatureAttributes(
        slide_id="tumor_001",
        mpp=0.486,
        tile_size=256,
        level0_tile_size=512,
        slide_size=(97792, 221184),
        slide_mpp=0.243,
        encoder="ResNet",
        encoder_sha256="ab" * 32,
        code_version="1",
    )


def _features(number=7, width=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((number, width)).astype(np.float16), rng.integers(0, 9999, (number, 2))


def _parts(features, coords, labels=None, cut=3):
    for rows in (slice(0, cut), slice(cut, None)):
        yield features[rows], coords[rows], None if labels is None else labels[rows]


def test_round_trip(feature_file, read_features, attributes, tmp_path):
    features, coords = _features()
    labels = np.array([0, 1, 0.5, np.nan, 0, 0, 1], dtype=np.float32)
    feature_file.write_features(tmp_path / "a.h5", _parts(features, coords, labels), 7, attributes)
    bag = read_features(tmp_path / "a.h5")
    np.testing.assert_array_equal(bag.features, features)
    np.testing.assert_array_equal(bag.coords, coords)
    np.testing.assert_array_equal(bag.tile_label, labels)
    assert (bag.features.dtype, bag.coords.dtype) == (np.float16, np.int64)
    assert bag.attributes == attributes


def test_an_interrupted_write_leaves_the_older_file(feature_file, read_features, attributes, tmp_path):
    features, coords = _features()
    feature_file.write_features(tmp_path / "a.h5", _parts(features, coords), 7, attributes)

    def broken():
        yield features[:3], coords[:3], None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature_file.write_features(tmp_path / "a.h5", broken(), 7, attributes)
    with pytest.raises(ValueError, match="7 tiles given, 8 announced"):
        feature_file.write_features(tmp_path / "a.h5", _parts(features, coords), 8, attributes)
    np.testing.assert_array_equal(read_features(tmp_path / "a.h5").features, features)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_features_that_are_not_finite_are_refused(feature_file, read_features, attributes, tmp_path):
    features, coords = _features()
    features[4, 2] = np.nan
    feature_file.write_features(tmp_path / "a.h5", _parts(features, coords), 7, attributes)
    with pytest.raises(DataError, match=r"a\.h5.*1 of 7 tiles.*tile 4"):
        read_features(tmp_path / "a.h5")


def test_what_is_no_feature_file_is_refused(read_features, tmp_path):
    with pytest.raises(DataError, match="no such feature file"):
        read_features(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(DataError, match="not a readable HDF5"):
        read_features(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DataError, match="has the datasets images"):
        read_features(tmp_path / "other.h5")
    with h5py.File(tmp_path / "lengths.h5", "w") as file:
        file["features"], file["coords"] = np.zeros((3, 4)), np.zeros((2, 2))
    with pytest.raises(DataError, match=r"\(3, 4\).*\(2, 2\)"):
        read_features(tmp_path / "lengths.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["features"], file["coords"] = np.zeros((0, 4)), np.zeros((0, 2))
    with pytest.raises(DataError, match="no tile"):
        read_features(tmp_path / "empty.h5")


@pytest.mark.parametrize(
    "change", [{"encoder": "UNI"}, {"encoder_sha256": "cd" * 32}, {"mpp": 0.25}, {"tile_size": 224}]
)
def test_features_of_another_encoder_are_refused(feature_file, attributes, change):
    same = replace(attributes, slide_id="tumor_002", mpp=0.4861)
    feature_file.check_same_encoder([("a.h5", attributes, 512), ("b.h5", same, 512)])
    other = replace(attributes, **change)
    with pytest.raises(DataError, match=rf"c\.h5.*a\.h5.*{next(iter(change))}"):
        feature_file.check_same_encoder([("a.h5", attributes, 512), ("c.h5", other, 512)])
    with pytest.raises(DataError, match="width 512, now 1024"):
        feature_file.check_same_encoder([("a.h5", attributes, 512), ("c.h5", attributes, 1024)])


def test_trident(read_features, tmp_path):
    features, coords = _features()
    with h5py.File(tmp_path / "slide.h5", "w") as file:
        file["features"], file["coords"] = features.astype(np.float32), coords
        file["features"].attrs["encoder"] = "uni_v1"
        file["coords"].attrs.update(
            {"patch_size": 256, "patch_size_level0": 512, "target_magnification": 20, "level0_magnification": 40,
             "overlap": 0, "name": "slide", "level0_width": 90000, "level0_height": 80000}
        )  # fmt: skip
    bag = read_features(tmp_path / "slide.h5")
    np.testing.assert_array_equal(bag.features, features.astype(np.float32))
    np.testing.assert_array_equal(bag.coords, coords)
    about = bag.attributes
    assert (about.layout, about.encoder, about.slide_id) == ("trident", "uni_v1", "slide")
    assert (about.level0_tile_size, about.tile_size, about.mpp, about.slide_size) == (512, 256, 0.5, (90000, 80000))


@pytest.mark.parametrize("place", ["coords", "patches"])
def test_clam(read_features, tmp_path, place):
    features, coords = _features()
    stated = {"patch_size": 256, "patch_level": 1, "downsample": np.array([4.0, 4.0]), "name": "slide"}
    (tmp_path / "h5_files").mkdir()
    (tmp_path / "patches").mkdir()
    with h5py.File(tmp_path / "h5_files" / "slide.h5", "w") as file:
        file["features"], file["coords"] = features.astype(np.float32), coords
        if place == "coords":
            file["coords"].attrs.update(stated)
    if place == "patches":
        with h5py.File(tmp_path / "patches" / "slide.h5", "w") as file:
            file["coords"] = coords
            file["coords"].attrs.update(stated)
    bag = read_features(tmp_path / "h5_files" / "slide.h5")
    np.testing.assert_array_equal(bag.coords, coords)
    assert (bag.attributes.layout, bag.attributes.level0_tile_size) == ("clam", 1024)


def test_clam_without_a_downsample_of_its_level(read_features, tmp_path):
    features, coords = _features()
    with h5py.File(tmp_path / "slide.h5", "w") as file:
        file["features"], file["coords"] = features, coords
    assert read_features(tmp_path / "slide.h5").attributes.level0_tile_size is None
    with h5py.File(tmp_path / "slide.h5", "a") as file:
        file["coords"].attrs.update({"patch_size": 256, "patch_level": 2})
    with pytest.raises(DataError, match="without its downsample"):
        read_features(tmp_path / "slide.h5")


@pytest.mark.parametrize("name", ["feats", "patch_embeddings"])
def test_stamp(read_features, tmp_path, name):
    features, _ = _features()
    grid = np.array([[x, y] for x in range(7) for y in (3,)]) * 256.0  # µm
    with h5py.File(tmp_path / "slide.h5", "w") as file:
        file[name], file["coords"] = features, grid
        file.attrs.update({"unit": "um", "tile_size_um": 256.0, "tile_size_px": 224, "extractor": "ctranspath-abc",
                           "stamp_version": "2.1.0"})  # fmt: skip
    bag = read_features(tmp_path / "slide.h5", slide_mpp=0.25)
    np.testing.assert_array_equal(bag.coords, grid * 4)
    about = bag.attributes
    assert (about.layout, about.encoder, about.level0_tile_size) == ("stamp", "ctranspath-abc", 1024)
    assert about.mpp == pytest.approx(256 / 224)
    with pytest.raises(DataError, match="µm per pixel in the column 'mpp'"):
        read_features(tmp_path / "slide.h5")


def test_the_first_stamp_counted_pixels_of_its_tiles(read_features, tmp_path):
    features, _ = _features()
    coords = np.array([[x, 0] for x in range(7)]) * 224
    with h5py.File(tmp_path / "slide.h5", "w") as file:
        file["feats"], file["coords"] = features, coords
    bag = read_features(tmp_path / "slide.h5", slide_mpp=0.5)
    np.testing.assert_array_equal(bag.coords[:, 0], np.arange(7) * 512)
    with h5py.File(tmp_path / "slide.h5", "a") as file:
        file["coords"][:] = coords * 3
    with pytest.raises(DataError, match="without a unit"):
        read_features(tmp_path / "slide.h5", slide_mpp=0.5)


def test_features_that_a_small_file_only_says_it_holds_are_refused(read_features, tmp_path):
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", shape=(10_000_000, 1024), dtype="f4", chunks=(256, 1024))
        file.create_dataset("coords", data=np.zeros((2, 2)))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"huge\.h5: features: 10000000 x 1024 values of 40960000000 bytes, of which 0"):
        read_features(path)
