from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError

CHANNELS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def load(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def features(load):
    return load("rivals.features")


@pytest.fixture(scope="module")
def lymphocyte(load):
    """An ellipse with a hole, off the centre of an image of noise."""
    rows, columns = np.mgrid[:60, :70]
    mask = ((rows - 25) / 15) ** 2 + ((columns - 40) / 22) ** 2 <= 1
    mask &= np.hypot(rows - 25, columns - 40) > 3
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    return image, load("rivals.segmentation").SegmentedLymphocyte(mask, 3)


def _named(features, lymphocyte):
    values = features.image_features(*lymphocyte)
    assert values.shape == (94,)
    return dict(zip(features.FEATURE_NAMES, values, strict=True))


def test_the_features_are_the_94_of_the_paper(features):
    names = features.FEATURE_NAMES
    assert len(names) == len(set(names)) == 94
    intensities = {f"{statistic}_{channel}" for statistic in ("minimum", "maximum", "mean") for channel in CHANNELS}
    assert set(names[12:21]) == intensities
    for channel in CHANNELS:
        assert sum(name.endswith(channel) for name in names) == 24 + 3
    assert names[-1] == "number_of_lymphocytes"


def test_shape_against_the_geometry_of_an_ellipse(features, lymphocyte):
    found = _named(features, lymphocyte)
    mask = lymphocyte[1].mask
    assert found["area"] == mask.sum()
    assert found["filled_area"] == pytest.approx(np.pi * 15 * 22, rel=0.01)
    assert found["euler_number"] == 0
    assert found["major_axis_length"] == pytest.approx(44, rel=0.03)
    assert found["minor_axis_length"] == pytest.approx(30, rel=0.03)
    assert found["eccentricity"] == pytest.approx(np.sqrt(1 - (15 / 22) ** 2), rel=0.03)
    assert found["equivalent_diameter"] == pytest.approx(np.sqrt(4 * mask.sum() / np.pi))
    assert found["solidity"] == pytest.approx(mask.sum() / found["convex_area"])
    assert found["extent"] == pytest.approx(mask.sum() / (31 * 45))
    # Ramanujan's circumference of the ellipse through the outermost pixels
    a, b = 21.5, 14.5
    circumference = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b)))
    assert found["perimeter_corner_weighted"] == pytest.approx(circumference, rel=0.02)
    assert found["perimeter_diagonal_weighted"] > found["perimeter_corner_weighted"]


def test_intensity_texture_and_density_belong_to_their_channel_and_mask(features, load, lymphocyte):
    image, segmented = lymphocyte
    found = _named(features, lymphocyte)
    texture = load("rivals.co_occurrence")
    for position, channel in enumerate(CHANNELS):
        values = image[..., position][segmented.mask]
        assert found[f"minimum_{channel}"] == values.min()
        assert found[f"maximum_{channel}"] == values.max()
        assert found[f"mean_{channel}"] == pytest.approx(values.mean())
        matrices = texture.co_occurrence_matrices(image[..., position], segmented.mask)
        for name, value in zip(
            texture.STATISTICS, texture.co_occurrence_statistics(matrices).mean(axis=0), strict=True
        ):
            assert found[f"{name}_{channel}"] == pytest.approx(value), name
    assert found["number_of_lymphocytes"] == 3


def test_what_is_outside_the_mask_does_not_matter(features, lymphocyte):
    image, segmented = lymphocyte
    other = np.where(segmented.mask[..., None], image, 255 - image)
    np.testing.assert_array_equal(features.image_features(other, segmented), features.image_features(image, segmented))


def test_a_direction_without_pairs_is_left_out_of_the_average(features, load, lymphocyte):
    line = np.zeros((60, 70), bool)
    line[10, 5:40] = True
    segmented = load("rivals.segmentation").SegmentedLymphocyte(line, 1)
    found = _named(features, (lymphocyte[0], segmented))
    texture = load("rivals.co_occurrence")
    row = texture.co_occurrence_statistics(texture.co_occurrence_matrices(lymphocyte[0][..., 0], line)[:1])[0]
    assert found["contrast_red"] == pytest.approx(row[texture.STATISTICS.index("contrast")])


def test_a_single_pixel_is_refused(features, load, lymphocyte):
    mask = np.zeros((60, 70), bool)
    mask[3, 4] = True
    with pytest.raises(DataError, match="has 1 pixel"):
        features.image_features(lymphocyte[0], load("rivals.segmentation").SegmentedLymphocyte(mask, 1))
