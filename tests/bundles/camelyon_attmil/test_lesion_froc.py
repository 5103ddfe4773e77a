"""Lesion FROC: MONAI's own on maps that are not square, and what it does with lesions that are small or absent."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from monai.apps.pathology.metrics import LesionFROC


def test_it_is_monais_on_a_map_that_is_not_square(scripts, tmp_path):
    """The class itself, which reads files: NumPy's and a pyramidal TIFF."""
    rng, module = np.random.default_rng(0), scripts("lesion_froc")
    froc = module.HeatMapFROC(tile_pixels=1, peak_tiles=8)
    data, found = [], []
    for number in range(3):
        mask = np.zeros((70, 181), dtype=np.uint8)
        mask[10:30, 100:130] = mask[50:62, 20:40] = 1
        mask[40:42, 170:172] = 1  # isolated tumour cells
        scores = np.zeros(mask.shape)
        for row, column in zip(rng.integers(0, 70, 12), rng.integers(0, 181, 12), strict=True):
            scores[row : row + 4, column : column + 4] = rng.uniform(0.1, 1)
        scores[12:16, 110:114] = 0.6 + 0.1 * number
        np.save(tmp_path / f"{number}.npy", scores)
        pixels = np.repeat(mask[..., None], 3, axis=2)
        scripts("pyramid_tiff").write_pyramid(
            tmp_path / f"{number}.tif", (181, 70), lambda x, y, w, h, p=pixels: p[y : y + h, x : x + w], 32.0,
            quality=None,
        )  # fmt: skip
        files = {"prob_map": str(tmp_path / f"{number}.npy"), "tumor_mask": str(tmp_path / f"{number}.tif")}
        data.append({**files, "level": 0, "pixel_spacing": 32.0})
        found.append(froc.of_map(scores, *froc.lesions(mask, 32.0)))
    expected = LesionFROC(data, nms_prob_threshold=0.0, nms_box_size=8, image_reader_name="OpenSlide").evaluate()
    sensitivities = module.froc_sensitivities(found, np.ones((1, 3)))[0]
    assert sensitivities.mean() == pytest.approx(expected)
    assert 0 < expected < 1
    assert [len(one.true) for one in found] == [2, 2, 2]


def test_a_peak_lies_in_the_middle_of_its_tile(scripts):
    """A lesion smaller than a tile, in the middle of one."""
    froc = scripts("lesion_froc").HeatMapFROC(tile_pixels=4, grow_um=1.0, isolated_um=0.0)
    mask = np.zeros((20, 28), dtype=np.uint8)
    mask[9:11, 13:16] = 1
    scores = np.full((5, 7), 0.1)
    scores[2, 3] = 0.9
    found = froc.of_map(scores, *froc.lesions(mask, 32.0))
    assert found.true.tolist() == pytest.approx([0.9])
    # its neighbours are not taken; of the others not all
    assert found.false.tolist() == pytest.approx([0.1] * len(found.false))
    assert 4 <= len(found.false) < 5 * 7 - 9


def test_weights_stand_for_slides_drawn_again(scripts):
    module, rng = scripts("lesion_froc"), np.random.default_rng(0)
    slides = [module.Detections(rng.random(9), rng.random(3).round(1)) for _ in range(4)]
    drawn = [0, 0, 2, 3, 3, 3]
    weights = np.bincount(drawn, minlength=4)[None].astype(float)
    repeated = module.froc_sensitivities([slides[i] for i in drawn], np.ones((1, 6)))
    np.testing.assert_allclose(module.froc_sensitivities(slides, weights), repeated)


def test_a_slide_without_tumour_has_no_lesion(scripts):
    froc = scripts("lesion_froc").HeatMapFROC()
    lesions, isolated = froc.lesions(np.zeros((28, 40), dtype=np.uint8), 32.0)
    assert not lesions.any()
    found = froc.of_map(np.eye(7, 10), lesions, isolated)
    assert len(found.true) == 0
    assert len(found.false) > 0
    assert len(froc.of_map(np.zeros((7, 10)), lesions, isolated).false) == 0


def test_the_mask_of_a_small_lesion_is_not_lost(scripts):
    mask = scripts("lesion_froc").tumour_mask(shapely.box(100.2, 35.5, 100.4, 35.6), 16.0, (5, 9))
    assert np.argwhere(mask).tolist() == [[2, 6]]
