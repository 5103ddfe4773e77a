"""Stability under noise against a loop over images and draws, and on networks of which it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shared.saliency.base import Attribution
from shared.saliency.controls import EdgeMap, RandomMap
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.map_similarity import structural_similarity
from shared.saliency.noise import noisy_images
from shared.saliency.noise_stability import noise_stability


class Gradient(InputXGradient):
    """The plain gradient: of a linear network the same for every image."""

    def _attribute(self, images, target):
        return self.input_gradient(images, target)[0]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).double()


@pytest.fixture
def images():
    smooth = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return nn.functional.interpolate(smooth, size=16, mode="bicubic")


@pytest.mark.parametrize("targets", [None, 2, torch.tensor([0, 1, 2, 0, 1])])
def test_equals_one_image_and_one_draw_at_a_time(network, images, targets):
    method = InputXGradient(network)
    found = noise_stability(method, images, targets, noise_level=0.1, draws=3, seed=7, batch_size=4)
    classes = torch.as_tensor(network(images).argmax(dim=1) if targets is None else targets).expand(5)
    for i in range(len(images)):
        clean = method.attribute(images[i : i + 1], int(classes[i])).sum(dim=1).numpy()
        ((copies, _),) = noisy_images(images[i : i + 1], 3, 0.1, 7, 64)
        values = [
            structural_similarity(clean, method.attribute(copy[None], int(classes[i])).sum(dim=1).numpy())[0]
            for copy in copies
        ]
        assert found[i] == pytest.approx(np.mean(values), abs=1e-12)


def test_a_gradient_that_does_not_depend_on_the_image_is_stable_and_a_random_map_is_not(images):
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(256, 2)).double()
    np.testing.assert_allclose(noise_stability(Gradient(linear), images, 0, noise_level=0.3), 1.0)
    assert np.all(np.abs(noise_stability(RandomMap(linear), images, 0, noise_level=0.01)) < 0.2)


def test_less_noise_is_more_stable(network, images):
    levels = [noise_stability(InputXGradient(network), images, 0, level).mean() for level in (0.0, 0.05, 0.2, 0.8)]
    assert levels[0] == pytest.approx(1.0)
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] < 0.9


def test_maps_that_are_known_are_not_computed_again(network, images):
    calls = []

    class Counted(InputXGradient):
        def _attribute(self, images, target):
            calls.append(len(images))
            return super()._attribute(images, target)

    method = Counted(network)
    maps = method.attribute(images, 1).sum(dim=1).numpy()
    calls.clear()
    found = noise_stability(method, images, 1, maps=maps)
    assert sum(calls) == 2 * len(images)
    np.testing.assert_array_equal(found, noise_stability(method, images, 1))


def test_constant_maps_are_undefined(network, images):
    class Sometimes(Attribution):
        """Zero for the second image, and for every noisy copy that is brighter at one place than the image was."""

        def _attribute(self, images, target):
            maps = images.clone()
            maps[images[:, 0, 0, 0] > reference] = 0.0
            return maps

    reference = images[0, 0, 0, 0]
    found = noise_stability(Sometimes(network), images[:1], 0, noise_level=0.01, draws=16)
    assert 0.5 < found[0] < 1.0
    reference = images[0, 0, 0, 0] - 1
    assert np.isnan(noise_stability(Sometimes(network), images[:1], 0)[0])


def test_stability_does_not_depend_on_the_batch(network, images):
    together = noise_stability(EdgeMap(network), images, 0, noise_level=0.1)
    alone = [noise_stability(EdgeMap(network), image[None], 0, noise_level=0.1)[0] for image in images]
    np.testing.assert_allclose(together, alone)


def test_refuses_what_does_not_fit(network, images):
    with pytest.raises(ValueError, match="noise_level must not be negative"):
        noise_stability(InputXGradient(network), images, 0, -0.1)
    with pytest.raises(ValueError, match="maps must be"):
        noise_stability(InputXGradient(network), images, 0, maps=np.zeros((5, 8, 8)))
