import numpy as np
import pytest
import torch
from scipy.ndimage import sobel

from shared.saliency.controls import EdgeMap, RandomMap


def test_random_maps_are_standard_normal_and_independent_of_image_and_seed(network):
    images = torch.rand(2, 1, 100, 100, generator=torch.Generator().manual_seed(0))
    maps = RandomMap(network, seed=1).attribute(images)
    assert maps.mean().item() == pytest.approx(0, abs=0.03)
    assert maps.std().item() == pytest.approx(1, abs=0.03)
    other = RandomMap(network, seed=2).attribute(images)
    correlations = np.corrcoef(np.stack([maps[0].ravel(), maps[1].ravel(), images[0].ravel(), other[0].ravel()]))
    assert np.abs(correlations - np.eye(4)).max() < 0.05
    assert torch.equal(maps, RandomMap(network, seed=1).attribute(images, 0))


def test_edges_are_the_sobel_magnitude(network, images):
    maps = EdgeMap(network).attribute(torch.cat([images, 2 * images], dim=1))
    plane = images[1, 0].numpy()
    # scikit-image divides the smoothing by 4 and the sum of squares by 2
    expected = np.hypot(sobel(plane, 0), sobel(plane, 1)) / 4 / np.sqrt(2)
    np.testing.assert_allclose(maps[1, 0].numpy(), expected)
    np.testing.assert_allclose(maps[1, 1].numpy(), 2 * expected)
