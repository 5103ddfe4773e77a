from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage


@pytest.fixture(scope="module")
def segmentation(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("segmentation")


def _discs(discs, shape=(120, 160)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.any([np.hypot(rows - r, columns - c) <= radius for r, c, radius in discs], axis=0)


def _phase(discs, shape=(120, 160), seed=0):
    return 2.0 * _discs(discs, shape) + np.random.default_rng(seed).normal(0, 0.05, shape)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.6])
def test_holes_are_filled_like_by_repeated_dilation(segmentation, share):
    mask = np.random.default_rng(1).random((60, 80)) < share
    filled = segmentation.fill_holes(mask)
    np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(mask))
    assert filled.sum() > mask.sum()
    assert segmentation.fill_holes(np.ones((4, 5), bool)).all()
    assert not segmentation.fill_holes(np.zeros((4, 5), bool)).any()


@pytest.mark.parametrize("ratio", [0.5, 0.8, 0.9, 1.2, 1.4, 1.8])
def test_two_discs_count_as_the_closed_form_says(segmentation, ratio):
    """For radius R and distance d, two parts are seen when 1 - sqrt(1 - (d/2R)²) >= neck_depth."""
    radius = 40
    mask = _discs([(100, 100, radius), (100, 100 + ratio * radius, radius)], (200, 260))
    depth = 1 - np.sqrt(1 - (ratio / 2) ** 2)
    for neck_depth in (0.1, 0.15, 0.3):
        if abs(depth - neck_depth) > 0.04:  # pixels blur the limit
            assert segmentation.count_parts(mask, neck_depth) == (2 if depth > neck_depth else 1)


def test_three_in_a_row_and_a_single_one(segmentation):
    assert segmentation.count_parts(_discs([(60, 40, 18), (60, 72, 18), (60, 104, 18)])) == 3
    assert segmentation.count_parts(_discs([(60, 60, 18)])) == 1
    rows, columns = np.mgrid[:80, :80] - 40
    assert segmentation.count_parts((rows / 25) ** 2 + (columns / 15) ** 2 <= 1) == 1


def test_smaller_neighbour_is_seen(segmentation):
    assert segmentation.count_parts(_discs([(60, 50, 20), (60, 80, 12)])) == 2


def test_centre_area_and_labels_of_single_cells(segmentation):
    discs = [(30.0, 40.0, 14), (80.0, 100.0, 17)]
    method = segmentation.Segmentation(pixel_size_um=0.36, threshold_rad=1.0)
    labels = method.label(_phase(discs))
    cells = method.find(labels)
    assert len(cells) == 2
    for cell, (row, column, radius) in zip(cells, discs, strict=True):
        assert (cell.row, cell.column) == pytest.approx((row, column), abs=0.2)
        assert cell.area_um2 == pytest.approx(np.pi * radius**2 * 0.36**2, rel=0.03)
        assert cell.problem is None
        assert not cell.touching
        assert labels[round(row), round(column)] == cell.label


def test_touching_cut_small_and_large_objects_are_told_apart(segmentation):
    discs = [(3, 60, 14), (40, 40, 14), (40, 66, 14), (80, 30, 4), (85, 100, 30)]
    method = segmentation.Segmentation(0.36, min_area_um2=20, max_area_um2=300)
    cells = {(round(cell.row, -1), round(cell.column, -1)): cell for cell in method.find(method.label(_phase(discs)))}
    assert cells[(10, 60)].problem == "cut by the border of the frame"
    assert cells[(40, 50)].touching
    assert cells[(40, 50)].problem is None
    assert cells[(80, 30)].problem.endswith("is below the 20 µm² of a cell")
    assert cells[(80, 100)].problem.endswith("is above the 300 µm² of a cell")
    small = [cell for cell in method.find(method.label(_phase(discs)), min_area_um2=2) if cell.area_um2 < 20]
    assert [cell.problem for cell in small] == [None]


@pytest.mark.parametrize(("row", "column"), [(0, 80), (119, 80), (60, 0), (60, 159)])
def test_each_border_cuts(segmentation, row, column):
    method = segmentation.Segmentation(0.36)
    (cell,) = method.find(method.label(_phase([(row, column, 14)])))
    assert cell.problem == "cut by the border of the frame"


def test_holes_are_filled_and_noise_is_no_object(segmentation):
    ring = _phase([(60, 80, 20)])
    rows, columns = np.mgrid[:120, :160]
    ring[np.hypot(rows - 60, columns - 80) < 10] = 0
    method = segmentation.Segmentation(0.36, threshold_rad=1.0)
    (cell,) = method.find(method.label(ring))
    assert cell.area_um2 == pytest.approx(np.pi * 20**2 * 0.36**2, rel=0.03)
    assert not method.label(_phase([])).any()


def test_parts_of_an_aggregate_are_joined_by_their_gap(segmentation):
    method = segmentation.Segmentation(pixel_size_um=0.5)
    labels = method.label(_phase([(60, 40, 8), (60, 62, 8), (60, 110, 8)]))  # gaps of some 5 and 31 px
    assert labels.max() == 3
    assert method.merge(labels, distance_um=1.0).max() == 3
    merged = method.merge(labels, distance_um=4.0)
    assert merged.max() == 2
    np.testing.assert_array_equal(merged > 0, labels > 0)
    assert merged[60, 40] == merged[60, 62] != merged[60, 110]
    joined = method.find(merged)[0]
    assert joined.touching
    assert joined.column == pytest.approx(51, abs=0.3)


def test_crops(segmentation):
    image = np.arange(100).reshape(10, 10)
    crop = segmentation.crop_around(image, 5, 4, 4)
    np.testing.assert_array_equal(crop, image[3:7, 2:6])
    assert crop[2, 2] == image[5, 4]
    corners = [(2, 2), (2, 8), (8, 2), (8, 8)]
    assert all(segmentation.crop_fits(image.shape, row, column, 4) for row, column in corners)
    for row, column in [(1, 5), (9, 5), (5, 1), (5, 9)]:
        assert not segmentation.crop_fits(image.shape, row, column, 4)
        with pytest.raises(ValueError, match="reaches beyond"):
            segmentation.crop_around(image, row, column, 4)
