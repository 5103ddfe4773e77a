from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def fractal_dimension(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.fractal_dimension").fractal_dimension


def _by_blocks(channel, mask, sizes):
    """Sarkar and Chaudhuri 1994, one block after the other."""
    side = max(channel.shape)
    numbers = []
    for size in sizes:
        height, number = 256 * size / side, 0
        for r in range(0, channel.shape[0], size):
            for c in range(0, channel.shape[1], size):
                values = channel[r : r + size, c : c + size][mask[r : r + size, c : c + size]].astype(int)
                if len(values):
                    number += int(values.max() // height) - int(values.min() // height) + 1
        numbers.append(number)
    slopes = [
        -(np.log(numbers[k + 1]) - np.log(numbers[k])) / (np.log(sizes[k + 1]) - np.log(sizes[k]))
        for k in range(len(sizes) - 1)
    ]
    return np.mean(slopes)


@pytest.mark.parametrize("shape", [(32, 32), (21, 38), (7, 5)])
def test_boxes_are_counted_as_one_by_one(fractal_dimension, shape):
    generator = np.random.default_rng(3)
    channels = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
    mask = generator.random(shape) < 0.6
    found = fractal_dimension(channels, mask, (2, 4, 8))
    np.testing.assert_allclose(found, [_by_blocks(channels[..., k], mask, (2, 4, 8)) for k in range(3)])


def test_a_plane_has_dimension_two_and_noise_more(fractal_dimension):
    mask = np.ones((32, 32), bool)
    assert fractal_dimension(np.full((32, 32, 1), 77, np.uint8), mask)[0] == pytest.approx(2)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8)
    assert 2.4 < fractal_dimension(noise, mask)[0] < 3
