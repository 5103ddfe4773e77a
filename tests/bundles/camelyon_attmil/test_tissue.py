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


@pytest.fixture(scope="module")
def phantom_truth(scripts, tmp_path_factory):
    """A phantom slide with a pale area and pen marks: its overview, and where what lies, by name."""

    def build(strength, seed):
        module, folder = scripts("phantom"), tmp_path_factory.mktemp("phantom")
        spread = {"mean": strength, "std": 0.0, "low": strength, "high": strength}
        parameters = scripts("phantom_parameters").PhantomParameters.from_config(
            {"artefacts": {"pale_area": 1.0, "pale_slide": 0.0, "pale_strength": spread}}
        )
        planned, size = module.PhantomSlide("s", "s.tif", None, True, seed), (1280, 1152)
        renderer = module.phantom_renderer(planned, 0, size, 2.0, parameters)
        path = scripts("pyramid_tiff").write_pyramid(folder / "s.tif", size, renderer, 2.0)
        with scripts("slide").Slide(path) as slide:
            picture, downsample = slide.overview(8.0)
        y, x = ((np.arange(length) + 0.5) * 2.0 * downsample for length in picture.shape[:2])
        x, y, anatomy = x[None], y[:, None], renderer.anatomy
        pen = np.maximum.reduce([line.depth(x, y) for line in anatomy.pens])
        node = anatomy.node.depth(x, y)
        fat = renderer._fat_depth(node, x, y)
        return picture, {
            "node": (node > 8) & (pen < -16),
            "pale": (node > 8) & (anatomy.pale.depth(x, y) > 0) & (pen < -16),
            "fat": (fat > 0) & (node < -24) & (pen < -16),
            "glass": (np.maximum(fat, node) < -16),
            "pen": pen > 0,
        }

    return build


@pytest.mark.parametrize(("strength", "seed"), [(0.25, 0), (0.32, 1), (0.45, 2)])
def test_pale_areas_of_phantoms_are_tissue_and_glass_pen_and_fat_are_not(tissue, phantom_truth, strength, seed):
    picture, truth = phantom_truth(strength, seed)
    assert all(area.sum() > 500 for area in truth.values())

    def shares(detection):
        found, _, pale = detection.detect(picture, 8.0)
        assert not pale
        return {name: found[area].mean() for name, area in truth.items()}

    found = shares(tissue.TissueDetection())
    assert found["pale"] > 0.95
    assert found["node"] > 0.99
    assert found["glass"] < 0.002
    assert found["fat"] < 0.05
    without = shares(tissue.TissueDetection(pale_contrast=1.0))
    assert without["pale"] < 0.4
    # ink on stained tissue is not always told from it; paleness adds none
    assert found["pen"] <= without["pen"] + 0.001


def test_a_pale_area_is_kept_and_a_hole_and_pale_dust_are_not(tissue):
    picture = _picture((190, 110, 170))
    rng = np.random.default_rng(1)
    pale = np.array((226, 205, 222))
    for rows, columns in ((slice(50, 110), slice(140, 200)), (slice(20, 140), slice(240, 290))):
        # at the border of the stained tissue, and apart from it
        picture[rows, columns] = np.clip(pale + rng.normal(0, 4, (*picture[rows, columns].shape[:2], 1)), 0, 255)
    picture[60:100, 80:120] = 243  # 102,400 µm² of glass
    found, threshold, _ = tissue.TissueDetection().detect(picture, 8.0)
    assert tissue.saturation(pale[None, None].astype(np.uint8))[0, 0] < 0.8 * threshold
    assert found[50:110, 142:196].mean() > 0.99
    assert not found[:, 210:].any()
    assert found[64:96, 84:116].mean() < 0.01
    assert found[60:100, 120:140].all()


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
