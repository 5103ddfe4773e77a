"""Deletion and insertion against one image, one pixel at a time, closed forms on a linear model, and random orders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from shared.saliency.perturbation_curves import deletion_insertion, perturbation_quality, random_areas


def linear(weights):
    """A model whose first 'probability' is the weighted sum of the pixels."""
    return lambda images: torch.stack([(images * weights).sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)


def curved(images):
    """A model that is neither linear nor symmetric in its pixels."""
    weights = torch.linspace(-1, 1, images[0].numel()).view_as(images[0])
    return torch.stack([(images * weights).sum(dim=(1, 2, 3)), images.square().mean(dim=(1, 2, 3))], dim=1).softmax(1)


def slow_curves(predict, image, attribution, target, steps, empty):
    """RISE, section 4.2: one pixel after another, the network called for each step."""
    pixels = attribution.size
    order = sorted(range(pixels), key=lambda pixel: -attribution.ravel()[pixel])
    deletion, insertion = [], []
    for step in range(steps + 1):
        count = round(step * pixels / steps)
        deleted, inserted = image.clone(), empty.clone()
        for pixel in order[:count]:
            place = (slice(None), *np.unravel_index(pixel, attribution.shape))
            deleted[place], inserted[place] = empty[place], image[place]
        deletion.append(predict(deleted[None])[0, target].item())
        insertion.append(predict(inserted[None])[0, target].item())
    return deletion, insertion


def sample(batch=3, channels=2, height=5, width=7):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((batch, channels, height, width), generator=generator, dtype=torch.float64)
    maps = np.random.default_rng(1).normal(size=(batch, height, width))
    return images, maps, torch.tensor([0, 1, 0])[:batch]


@pytest.mark.parametrize("steps", [1, 4, 9, 35])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_equals_one_pixel_at_a_time(steps, batch_size):
    images, maps, targets = sample()
    found = deletion_insertion(curved, images, maps, targets, steps, "mean", batch_size=batch_size)
    empty = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    for i in range(len(images)):
        deletion, insertion = slow_curves(curved, images[i], maps[i], targets[i], steps, empty[i])
        np.testing.assert_allclose(found.deletion[i], deletion, rtol=1e-12)
        np.testing.assert_allclose(found.insertion[i], insertion, rtol=1e-12)
        assert found.deletion_auc[i] == pytest.approx(np.trapezoid(deletion, dx=1 / steps))
        assert found.insertion_auc[i] == pytest.approx(np.trapezoid(insertion, dx=1 / steps))


def test_closed_form_of_a_linear_model():
    """Weights 1 … P on an image of ones, in pixel steps: what is left after k deletions is the sum of 1 … P − k."""
    side, pixels = 4, 16
    weights = torch.arange(1.0, pixels + 1, dtype=torch.float64).view(1, side, side)
    images = torch.ones(1, 1, side, side, dtype=torch.float64)
    found = deletion_insertion(linear(weights), images, weights.numpy(), torch.tensor([0]), pixels, 0.0)
    left = np.arange(pixels, -1, -1)
    np.testing.assert_allclose(found.deletion[0], left * (left + 1) / 2)
    np.testing.assert_allclose(found.insertion[0], (pixels * (pixels + 1) - left * (left + 1)) / 2)
    # deleting and inserting share the total at every step
    np.testing.assert_allclose(found.deletion + found.insertion, pixels * (pixels + 1) / 2)
    worst = deletion_insertion(linear(weights), images, -weights.numpy(), torch.tensor([0]), pixels, 0.0)
    np.testing.assert_allclose(worst.deletion[0], found.insertion[0][::-1])


def test_random_orders_are_the_chance_level_of_maps_that_know_nothing():
    """Of a linear model every order has the straight line as its mean."""
    images, _, targets = sample(batch=3)
    predict = linear(torch.ones(2, 5, 7, dtype=torch.float64))
    full = predict(images)[:, 0]
    chance = random_areas(predict, images, torch.zeros(3, dtype=torch.int64), 7, 0.0, orders=400)
    np.testing.assert_allclose(chance, full / 2, rtol=0.02)
    rng = np.random.default_rng(0)
    known = random_areas(curved, images, targets, 7, "mean", orders=300)
    found = [deletion_insertion(curved, images, rng.normal(size=(3, 5, 7)), targets, 7, "mean") for _ in range(300)]
    for name in ("deletion_auc", "insertion_auc"):
        areas = np.stack([getattr(curves, name) for curves in found])
        assert np.all(np.abs(areas.mean(axis=0) - known) < 5 * areas.std(axis=0) / np.sqrt(300 / 2))
    quality = perturbation_quality(found[0], known)
    assert quality["deletion_auc"]["value"] is found[0].deletion_auc
    assert quality["insertion_auc"]["chance"] is known


def test_sign_decides_the_order():
    images, maps, targets = sample()
    absolute = deletion_insertion(curved, images, maps, targets, 9, "mean", sign="absolute")
    np.testing.assert_array_equal(
        absolute.deletion, deletion_insertion(curved, images, np.abs(maps), targets, 9, "mean").deletion
    )
    assert np.any(absolute.deletion != deletion_insertion(curved, images, maps, targets, 9, "mean").deletion)


def test_equal_attributions_do_not_go_line_by_line():
    """A constant map is a random order; kept in reading order, the upper half would go first."""
    images = torch.zeros(1, 1, 20, 20)
    images[:, :, :10] = 1.0
    predict = linear(torch.ones(1, 20, 20))
    found = deletion_insertion(predict, images, np.zeros((1, 20, 20)), torch.tensor([0]), 2, 0.0)
    assert found.deletion[0, 1] == pytest.approx(100, abs=30)


def test_the_blurred_baseline_is_a_gaussian_that_does_not_darken_the_border():
    seen = []

    def predict(images):
        seen.append(images.clone())
        return torch.ones(len(images), 1)

    image = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    maps, targets = np.zeros((1, 40, 40)), torch.tensor([0])
    deletion_insertion(predict, image, maps, targets, 1, "blur", blur_sigma=2.0)
    inner = slice(9, -9)
    expected = gaussian_filter(image[0, 0].numpy(), 2.0)[inner, inner]
    np.testing.assert_allclose(seen[1][0, 0].numpy()[inner, inner], expected, atol=2e-3)
    seen.clear()
    deletion_insertion(predict, torch.full((1, 2, 40, 40), 3.0), maps, targets, 1, "blur", blur_sigma=5.0)
    torch.testing.assert_close(seen[1], torch.full((1, 2, 40, 40), 3.0))


def test_the_ends_are_shown_once_for_both_curves():
    count = 0

    def predict(images):
        nonlocal count
        count += len(images)
        return curved(images)

    images, maps, targets = sample()
    deletion_insertion(predict, images, maps, targets, 7, "mean")
    assert count == len(images) * (2 + 2 * 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be from 1 to the image's 35 pixels"),
        ({"steps": 36}, "steps must be"),
        ({"baseline": "grey"}, "baseline must be"),
        ({"baseline": "blur", "blur_sigma": 0.0}, "blur_sigma must be positive"),
        ({"targets": torch.tensor([0])}, "one class for each image"),
        ({"maps": np.zeros((3, 5, 5))}, "maps must be"),
        ({"sign": "both"}, "sign must be"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    images, maps, targets = sample()
    arguments = {"maps": maps, "targets": targets, "steps": 5, "baseline": "mean"} | change
    with pytest.raises(ValueError, match=message):
        deletion_insertion(curved, images, **arguments)


def test_refuses_no_orders():
    images, _, targets = sample()
    with pytest.raises(ValueError, match="orders must be at least 1"):
        random_areas(curved, images, targets, 5, "mean", orders=0)
