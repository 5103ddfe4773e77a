"""Augmentation and dropout draws: what is done to the image, and that an image's draws are its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate, uniform_filter
from torch import nn


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def draws(scripts):
    return scripts("draws")


@pytest.fixture(scope="module")
def network(scripts):
    torch.manual_seed(0)
    network = scripts("networks").ChestNetwork(3, init_features=4, growth_rate=2, block_config=(1, 1), dropout_prob=0.3)
    return network.double()


@pytest.fixture
def images():
    return torch.rand(4, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["AugmentationDraws", "DropoutDraws"])
def test_an_image_has_the_same_draws_alone_in_a_batch_and_again(draws, network, images, kind):
    repeated = getattr(draws, kind)(draws=5, seed=3)
    together = repeated.logits(network, images)
    assert together.shape == (5, 4, 3)
    torch.random.manual_seed(99)
    alone = torch.cat([repeated.logits(network, image[None]) for image in images.flip(0)], dim=1).flip(1)
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(repeated(network, images), together.std(dim=0))
    other = getattr(draws, kind)(draws=5, seed=4).logits(network, images)
    assert not torch.allclose(together, other)
    more = getattr(draws, kind)(draws=7, seed=3).logits(network, images)
    torch.testing.assert_close(more[:5], together)


def test_every_draw_is_the_network_on_the_augmented_image_and_modes_stay(draws, network, images):
    repeated = draws.AugmentationDraws(draws=3, seed=1)
    network.train()
    logits = repeated.logits(network, images)
    assert network.training
    assert network.head.dropout.training
    network.eval()
    for index in range(3):
        expected = network(draws.augment(images, repeated.draw(index), 10))
        torch.testing.assert_close(logits[index], expected.detach())


def test_drawn_numbers_cover_their_range(draws):
    repeated = draws.AugmentationDraws(draws=2000, blur_probability=0.25)
    drawn = [repeated.draw(index) for index in range(2000)]
    angles = np.array([draw.rotation for draw in drawn])
    assert -45 <= angles.min() < -43
    assert 43 < angles.max() <= 45
    assert abs(angles.mean()) < 2
    shifts = np.array([draw.shift for draw in drawn])
    assert set(shifts.ravel().tolist()) == set(range(-8, 9))
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1
    assert np.mean([draw.blur for draw in drawn]) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("size", [1, 3, 10])
def test_box_blur_is_scipys(draws, images, size):
    found = draws.box_blur(images, size)
    for image, blurred in zip(images[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(blurred, uniform_filter(image, size, mode="nearest"), atol=1e-12)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-8, 8)])
def test_crop_with_padding_shows_zeros_beyond_the_border(draws, images, shift):
    found = draws.augment(images, draws.AugmentationDraw(0.0, False, shift), 10)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (8, 8), (8, 8)))
    top, left = 8 - shift[0], 8 - shift[1]
    np.testing.assert_array_equal(found.numpy(), padded[:, :, top : top + 32, left : left + 32])


@pytest.mark.parametrize("angle", [-45.0, 17.0])
def test_rotation_is_scipys(draws, images, angle):
    smooth = draws.box_blur(images, 5)
    found = draws.augment(smooth, draws.AugmentationDraw(angle, False, (0, 0)), 10)
    inner = slice(8, 24)
    for image, turned in zip(smooth[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        expected = rotate(image, angle, reshape=False, order=1)
        np.testing.assert_allclose(turned[inner, inner], expected[inner, inner], atol=1e-6)


def test_rotation_comes_before_blur_and_crop(draws, images):
    draw = draws.AugmentationDraw(20.0, True, (5, 1))
    rotated = draws.augment(images, draws.AugmentationDraw(20.0, False, (0, 0)), 10)
    expected = draws.augment(draws.box_blur(rotated, 10), draws.AugmentationDraw(0.0, False, (5, 1)), 10)
    torch.testing.assert_close(draws.augment(images, draw, 10), expected)


def test_what_cannot_be_drawn_is_refused(draws, network, images):
    with pytest.raises(ValueError, match="at least 2 draws"):
        draws.AugmentationDraws(draws=1)
    with pytest.raises(ValueError, match="at least 2 draws"):
        draws.DropoutDraws(draws=1)
    with pytest.raises(ValueError, match="padding"):
        draws.AugmentationDraws(padding=-1)
    with pytest.raises(ValueError, match="does not fit"):
        draws.box_blur(images, 33)
    with pytest.raises(TypeError, match="features"):
        draws.DropoutDraws().logits(nn.Linear(2, 2), images)
