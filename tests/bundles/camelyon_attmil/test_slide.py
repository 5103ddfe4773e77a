"""Regions at a physical scale, whatever levels a slide has."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tifffile

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def slide_module(scripts):
    return scripts("slide")


def _noise(height=384, width=512, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_level_of_the_wanted_scale_is_taken_as_it_is(slide_module, write_exact, tmp_path):
    pixels = _noise()
    path = write_exact(tmp_path / "slide.tif", pixels, mpp=0.25, levels=3)
    with slide_module.Slide(path) as slide:
        assert slide.mpp == pytest.approx(0.25, rel=1e-4)
        fine, coarse = slide.tile_geometry(64, 0.25), slide.tile_geometry(64, 0.5)
        assert (fine.level, fine.level0_tile_size, fine.resampled) == (0, 64, False)
        assert (coarse.level, coarse.level0_tile_size, coarse.resampled) == (1, 128, False)
        np.testing.assert_array_equal(slide.read_tile(100, 50, fine), pixels[50:114, 100:164])
        halves = np.rint(pixels.reshape(192, 2, 256, 2, 3).mean(axis=(1, 3)))
        np.testing.assert_array_equal(slide.read_tile(128, 64, coarse), halves[32:96, 64:128])


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("mpp", [0.5, 0.62, 0.9])
def test_resampling_keeps_places_and_values(slide_module, write_exact, tmp_path, levels, mpp):
    # on a ramp, a tile's pixel is the ramp at the pixel's centre, whatever the scale and the level
    rows, columns = np.mgrid[:384, :512]
    ramp = np.stack([columns * 0.45, rows * 0.6, 0 * rows + 77], axis=-1)
    path = write_exact(tmp_path / "slide.tif", np.rint(ramp).astype(np.uint8), mpp=0.25, levels=levels)
    with slide_module.Slide(path) as slide:
        geometry = slide.tile_geometry(48, mpp)
        assert geometry.mpp == pytest.approx(mpp, rel=0.01)
        assert geometry.level0_tile_size == round(48 * mpp / 0.25)
        assert geometry.level <= levels - 1
        tile = slide.read_tile(101, 67, geometry).astype(float)
    centres = (np.arange(48) + 0.5) * geometry.level0_tile_size / 48 - 0.5
    np.testing.assert_allclose(tile[24, :, 0], (101 + centres) * 0.45, atol=1.2)
    np.testing.assert_allclose(tile[:, 24, 1], (67 + centres) * 0.6, atol=1.2)
    np.testing.assert_allclose(tile[..., 2], 77, atol=1)  # between two pixels of a level OpenSlide interpolates


def test_neighbouring_tiles_meet(slide_module, write_exact, tmp_path):
    path = write_exact(tmp_path / "slide.tif", _noise(), mpp=0.23, levels=1)
    with slide_module.Slide(path) as slide:
        geometry = slide.tile_geometry(32, 0.5)
        side = geometry.level0_tile_size
        assert side == 70
        both = slide.read_tile(0, 0, geometry), slide.read_tile(side, 0, geometry)
        wide = slide.read_tile(0, 0, slide.tile_geometry(64, 0.5 * 70 / 69.565217))
    np.testing.assert_allclose(np.concatenate(both, axis=1)[:, 4:-4], wide[:32, 4:-4], atol=30)
    np.testing.assert_allclose(both[0][:, 8:24], wide[:32, 8:24], atol=1)


@pytest.mark.parametrize("levels", [1, 3])
def test_overview_is_the_mean_of_what_it_covers(slide_module, write_exact, tmp_path, levels, monkeypatch):
    monkeypatch.setattr(slide_module, "STRIP_PX", 100)
    pixels = _noise(352, 512, seed=1)
    path = write_exact(tmp_path / "slide.tif", pixels, mpp=0.5, levels=levels)
    with slide_module.Slide(path) as slide:
        picture, downsample = slide.overview(4.0)
        assert downsample == pytest.approx(8)
        expected = pixels.reshape(44, 8, 64, 8, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(picture, expected, atol=1.5)
        small, coarser = slide.overview(4.0, largest=500)
        assert small.shape[0] * small.shape[1] <= 1.1 * 500
        assert coarser == pytest.approx(np.sqrt(352 * 512 / 500))


def test_overview_of_odd_sizes_covers_the_slide(slide_module, write_exact, tmp_path):
    path = write_exact(tmp_path / "slide.tif", np.full((333, 517, 3), 90, dtype=np.uint8))
    with slide_module.Slide(path) as slide:
        picture, downsample = slide.overview(3.7)
    assert picture.shape[:2] == (int(np.ceil(333 / downsample)), int(np.ceil(517 / downsample)))
    assert (picture[:-1, :-1] == 90).all()


def test_a_slide_without_scale_tells_how_to_give_it(slide_module, write_exact, tmp_path):
    path = write_exact(tmp_path / "slide.tif", _noise(), mpp=None)
    with pytest.raises(DataError, match=r"slide\.tif.*µm per pixel.*mpp.*--slide_mpp"):
        slide_module.Slide(path)
    assert slide_module.Slide(path, mpp=0.3).mpp == 0.3


def test_implausible_and_unequal_scales_are_refused(slide_module, write_exact, tmp_path):
    path = write_exact(tmp_path / "screen.tif", _noise(), mpp=352.8)
    with pytest.raises(DataError, match="352"):
        slide_module.Slide(path)
    tifffile.imwrite(
        tmp_path / "unequal.tif", _noise(), tile=(64, 64), photometric="rgb", metadata=None,
        resolution=(20000, 10000), resolutionunit="CENTIMETER",
    )  # fmt: skip
    with pytest.raises(DataError, match="along x"):
        slide_module.Slide(tmp_path / "unequal.tif")


def test_tiles_finer_than_the_slide_are_refused(slide_module, write_exact, tmp_path):
    with slide_module.Slide(write_exact(tmp_path / "slide.tif", _noise(), mpp=1.0)) as slide:
        with pytest.raises(DataError, match="finest"):
            slide.tile_geometry(64, 0.5)
        assert slide.tile_geometry(64, 0.985).level0_tile_size == 64


def test_no_slide_and_no_file(slide_module, tmp_path):
    with pytest.raises(DataError, match="no such slide"):
        slide_module.Slide(tmp_path / "none.svs")
    (tmp_path / "text.svs").write_text("no slide")
    with pytest.raises(DataError, match="not a slide"):
        slide_module.Slide(tmp_path / "text.svs")


def test_a_broken_tile_leaves_the_slide_usable(slide_module, write_stained, spoil_tiles, tmp_path):
    path = write_stained(tmp_path / "slide.tif")
    with slide_module.Slide(path) as slide:
        geometry = slide.tile_geometry(256, 0.5)
        whole = slide.read_tile(256, 256, geometry)
    spoil_tiles(path, [(0, 0)])
    with slide_module.Slide(path) as slide:
        with pytest.raises(DataError, match="cannot be decoded"):
            slide.read_tile(0, 0, geometry)
        np.testing.assert_array_equal(slide.read_tile(256, 256, geometry), whole)


def test_a_slide_goes_to_other_processes(slide_module, write_exact, tmp_path):
    pixels = _noise()
    path = write_exact(tmp_path / "slide.tif", pixels)
    copy = pickle.loads(pickle.dumps(slide_module.Slide(path, mpp=0.4)))
    assert copy.mpp == 0.4
    np.testing.assert_array_equal(copy.read_tile(0, 0, copy.tile_geometry(64, 0.4)), pixels[:64, :64])


def test_the_real_slide(slide_module, real_slide):
    with slide_module.Slide(real_slide) as slide:
        assert (slide.size, slide.vendor) == ((2220, 2967), "aperio")
        geometry = slide.tile_geometry(256, 0.5)
        assert (geometry.level0_tile_size, geometry.resampled) == (256, False)
        assert geometry.mpp == pytest.approx(0.499)
        assert slide.tile_geometry(256, 1.0).level0_tile_size == 513
