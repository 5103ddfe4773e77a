from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import gaussian
from skimage.segmentation import slic

from shared.data.errors import DataError

BACKGROUND, RED_CELL, LYMPHOCYTE = (246, 228, 205), (200, 165, 175), (90, 50, 135)


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.segmentation")


def _disc(row, column, radius, size=112):
    rows, columns = np.mgrid[:size, :size]
    return np.hypot(rows - row, columns - column) <= radius


def _smear(lymphocytes, seed=0):
    image = np.full((112, 112, 3), BACKGROUND, float)
    for row, column in [(15, 20), (15, 60), (20, 95), (55, 12), (92, 15), (98, 55), (95, 95), (60, 100)]:
        image[_disc(row, column, 11)] = RED_CELL
    for disc in lymphocytes:
        image[_disc(*disc)] = LYMPHOCYTE
    image += np.random.default_rng(seed).normal(0, 5, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def _assert_outline_within(mask, row, column, radius, tolerance):
    """The mask covers the disc and nothing else, but for a ring of so many pixels on both sides of its outline."""
    assert not (_disc(row, column, radius - tolerance) & ~mask).any()
    assert not (mask & ~_disc(row, column, radius + tolerance)).any()


def test_the_lymphocyte_is_found_among_red_cells(module):
    found = module.LymphocyteSegmentation()(_smear([(56, 56, 17)]))
    _assert_outline_within(found.mask, 56, 56, 17, 2.5)
    assert found.count == 1


def test_of_several_the_largest_is_kept_all_are_counted_and_a_platelet_is_not(module):
    image = _smear([(46, 40, 16), (56, 80, 11), (82, 56, 6)])
    found = module.LymphocyteSegmentation()(image)
    _assert_outline_within(found.mask, 46, 40, 16, 2.5)
    assert found.count == 2
    assert module.LymphocyteSegmentation(min_relative_area=0.05)(image).count == 3


def test_the_average_is_the_mean_over_scales_of_the_superpixels_mean_colours(module):
    image = _smear([(56, 56, 17)])
    segmentation = module.LymphocyteSegmentation(superpixels=(30, 90))
    smooth = gaussian(image, 1.0, channel_axis=-1)
    expected = np.zeros_like(smooth)
    for number in (30, 90):
        labels = slic(smooth, n_segments=number, compactness=10, max_num_iter=10, start_label=0, channel_axis=-1)
        for label in np.unique(labels):
            expected[labels == label] += smooth[labels == label].mean(axis=0) / 2
    np.testing.assert_allclose(segmentation.average(image), expected)


def test_twice_the_same_and_turned_with_the_image(module):
    image = _smear([(56, 56, 17)])
    segmentation = module.LymphocyteSegmentation()
    first = segmentation(image).mask
    np.testing.assert_array_equal(segmentation(image).mask, first)
    turned = np.rot90(segmentation(np.rot90(image)).mask, -1)
    _assert_outline_within(turned, 56, 56, 17, 2.5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((30, 30), np.uint8), r"expected \(H, W, 3\)"),
        (np.zeros((30, 30, 3)), "uint8"),
        (np.full((30, 30, 3), 200, np.uint8), "no three colours"),
    ],
)
def test_what_cannot_be_segmented_is_refused(module, image, message):
    with pytest.raises(DataError, match=message):
        module.LymphocyteSegmentation()(image)
