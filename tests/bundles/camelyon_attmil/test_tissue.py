"""Tissue against glass, ink, what was not scanned, and on pale slides."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def tissue(scripts):
    return scripts("tissue")


def _picture(colour, rows=slice(40, 120), columns=slice(60, 200), seed=0, shape=(160, 300)):
    rng = np.random.default_rng(seed)
    picture = np.full((*shape, 3), 243.0) + rng.normal(0, 1.5, (*shape, 3))
    picture[rows, columns] = np.array(colour) + rng.normal(0, 10, (*picture[rows, columns].shape[:2], 1))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _overlap(found, expected):
    return (found & expected).sum() / (found | expected).sum()


def _expected(rows=slice(40, 120), columns=slice(60, 200), shape=(160, 300)):
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def test_tissue_on_glass(tissue):
    found, threshold, pale = tissue.TissueDetection().detect(_picture((190, 110, 170)), 8.0)
    assert _overlap(found, _expected()) > 0.93
    assert not pale
    assert 8 < threshold <= 60


def test_a_pale_slide_does_not_vanish(tissue):
    # pale tissue and a few strongly stained specks, as on normal_027 of CAMELYON16
    picture = _picture((232, 218, 230))
    for row, column in ((20, 20), (30, 250), (140, 40), (130, 280)):
        picture[row - 6 : row + 6, column - 6 : column + 6] = (120, 20, 90)
    detection = tissue.TissueDetection()
    smooth = tissue.saturation(picture)
    otsu = smooth > max(threshold_otsu(smooth), 0)
    assert (otsu & _expected()).sum() < 0.3 * _expected().sum()
    found, _, pale = detection.detect(picture, 8.0)
    assert pale
    assert (found & _expected()).sum() > 0.9 * _expected().sum()
    assert (found & ~_expected()).sum() < 0.2 * _expected().sum()
    without, _, _ = tissue.TissueDetection(pale_share=0.0).detect(picture, 8.0)
    assert (without & _expected()).sum() < 0.3 * _expected().sum()


@pytest.mark.parametrize("ink", [(50, 140, 90), (40, 55, 150), (35, 35, 40)])
def test_ink_is_no_tissue(tissue, ink):
    picture = _picture((190, 110, 170))
    picture[130:150, 20:280] = ink
    found, _, _ = tissue.TissueDetection().detect(picture, 8.0)
    assert _overlap(found, _expected()) > 0.93
    assert not found[130:150].any()
    with_ink, _, _ = tissue.TissueDetection(ink=False).detect(picture, 8.0)
    if max(ink) - min(ink) > 20:
        assert with_ink[132:148, 30:270].mean() > 0.8


def test_what_was_not_scanned_is_no_tissue(tissue):
    picture = _picture((190, 110, 170))
    picture[:, 240:] = np.random.default_rng(0).integers(0, 12, (160, 60, 3))
    found, _, _ = tissue.TissueDetection().detect(picture, 8.0)
    assert _overlap(found, _expected()) > 0.9
    assert not found[:, 245:].any()


def test_specks_go_and_holes_are_filled_by_area_in_micrometres(tissue):
    picture = _picture((190, 110, 170))
    picture[10:20, 10:20] = (190, 110, 170)  # 6,400 µm²
    picture[70:80, 100:110] = 243
    found, _, _ = tissue.TissueDetection().detect(picture, 8.0)
    assert not found[:25, :25].any()
    assert found[70:80, 100:110].all()
    # the same picture, four times as large
    found, _, _ = tissue.TissueDetection().detect(picture, 32.0)
    assert found[12:18, 12:18].all()
    assert not found[74:77, 104:107].any()


def test_glass_alone_has_no_tissue(tissue, scripts, write_stained, tmp_path):
    path = write_stained(tmp_path / "glass.tif", rectangle=(0, 0, 0, 0))
    with scripts("slide").Slide(path) as slide, pytest.raises(DataError, match=r"glass\.tif: no tissue"):
        tissue.TissueDetection()(slide)


def test_the_mask_lies_where_the_tissue_is(tissue, scripts, write_stained, tmp_path):
    path = write_stained(tmp_path / "slide.tif", (1024, 768), (300, 200, 812, 584))
    with scripts("slide").Slide(path) as slide:
        found = tissue.TissueDetection()(slide)
    rows, columns = np.nonzero(found.mask)
    edges = np.array([columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]) * found.downsample
    np.testing.assert_allclose(edges, [300, 812, 200, 584], atol=1.5 * found.downsample)
    assert found.share == pytest.approx(512 * 384 / (1024 * 768), rel=0.1)


def test_the_real_slide(tissue, scripts, real_slide):
    with scripts("slide").Slide(real_slide) as slide:
        found = tissue.TissueDetection()(slide)
        picture, _ = slide.overview(8.0)
    assert 0.25 < found.share < 0.55
    grey = picture.mean(axis=2)
    assert grey[found.mask].mean() < 190 < 225 < grey[~found.mask].mean()
