"""The study's perturbations against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

BOUNDS = (0.0, 1.0)


@pytest.fixture(scope="module")
def perturbations(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("study.perturbations")


@pytest.fixture
def phase():
    return np.random.default_rng(0).random((3, 50, 50)).astype(np.float32)


@pytest.fixture
def linear():
    """A linear classifier, whose loss has its gradient in closed form, and images away from 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(36, 3))
    with torch.no_grad():
        network[2].weight.copy_(torch.randn(3, 36, generator=generator))
    images = 0.3 + 0.4 * torch.rand(5, 1, 6, 6, generator=generator)
    return network, images, torch.tensor([0, 1, 2, 0, 1])


def closed_form_gradient(network, images, labels):
    """Return ∇ₓ of the cross-entropy of a linear classifier: Wᵀ (softmax(W x + b) − onehot(y))."""
    weight, bias = network[2].weight, network[2].bias
    residual = (images.flatten(1) @ weight.T + bias).softmax(1) - torch.eye(3)[labels]
    return (residual @ weight).view_as(images).detach()


def test_fgsm_is_one_step_along_the_sign_of_the_gradient(perturbations, linear):
    network, images, labels = linear
    attacked = perturbations.fast_gradient_sign(network, images, labels, 0.05, BOUNDS)
    torch.testing.assert_close(attacked, images + 0.05 * closed_form_gradient(network, images, labels).sign())


def test_attacks_leave_the_network_as_it_was(perturbations, linear):
    network, images, labels = linear
    network.train()
    perturbations.projected_gradient_descent(network, images, labels, 0.05, BOUNDS, steps=2)
    assert network.training
    assert network[1].training
    assert network[2].weight.grad is None
    assert not images.requires_grad


def test_pgd_follows_its_update_rule(perturbations, linear):
    network, images, labels = linear
    epsilon, steps = 0.05, 4
    start = torch.rand(images.shape, generator=torch.Generator().manual_seed(7)) * 2 - 1
    expected = images + epsilon * start
    for _ in range(steps):
        expected = expected + 2.5 * epsilon / steps * closed_form_gradient(network, expected, labels).sign()
        expected = images + (expected - images).clamp(-epsilon, epsilon)
    attacked = perturbations.projected_gradient_descent(network, images, labels, epsilon, BOUNDS, steps, seed=7)
    torch.testing.assert_close(attacked, expected)


def test_attacks_raise_the_loss_within_their_bounds(perturbations, linear):
    network, images, labels = linear
    network.eval()
    images = 3 * images.round(decimals=0)  # all pixels at 0 or 3, where the bounds bind
    before = cross_entropy(network(images), labels)
    for attacked in (
        perturbations.fast_gradient_sign(network, images, labels, 0.1, (0.0, 3.0)),
        perturbations.projected_gradient_descent(network, images, labels, 0.1, (0.0, 3.0)),
    ):
        assert cross_entropy(network(attacked), labels) > before
        assert (attacked - images).abs().max() <= 0.1 + 1e-6
        assert attacked.min() >= 0
        assert attacked.max() <= 3


def test_random_signs_have_the_size_of_an_attack(perturbations):
    images = torch.full((4, 1, 50, 50), 0.5)
    change = perturbations.random_sign(images, 0.02, BOUNDS, seed=1) - images
    torch.testing.assert_close(change.abs(), torch.full_like(images, 0.02))
    assert change.mean().abs() < 0.001


@pytest.mark.parametrize("pixels", [1, 4])
def test_a_crop_moves_in_one_of_four_directions(perturbations, phase, pixels):
    many = np.concatenate([phase] * 8)
    moved = perturbations.move_crop(many, pixels, seed=0)
    seen = set()
    for old, new in zip(many, moved, strict=True):
        padded = np.pad(old, pixels, mode="edge")
        candidates = {
            (dy, dx): padded[pixels - dy : pixels - dy + 50, pixels - dx : pixels - dx + 50]
            for dy, dx in [(-pixels, 0), (pixels, 0), (0, -pixels), (0, pixels)]
        }
        match = [step for step, image in candidates.items() if np.array_equal(image, new)]
        assert len(match) == 1
        seen.add(match[0])
    assert len(seen) == 4


def test_blur_spreads_a_point_as_a_gaussian(perturbations):
    point = np.zeros((1, 51, 51), np.float32)
    point[0, 25, 25] = 1
    x = np.arange(-25, 26)
    gaussian = np.exp(-(x**2) / (2 * 2.0**2))
    gaussian /= gaussian.sum()
    np.testing.assert_allclose(perturbations.blur(point, 2.0)[0], np.outer(gaussian, gaussian), atol=1e-4)


def test_blur_does_not_mix_images(perturbations):
    images = np.stack([np.zeros((50, 50)), np.ones((50, 50))]).astype(np.float32)
    np.testing.assert_allclose(perturbations.blur(images, 2.0), images, atol=1e-6)


def test_intensity_is_a_factor(perturbations, phase):
    np.testing.assert_allclose(perturbations.change_intensity(phase, 1.25), 1.25 * phase)


def test_background_methods(perturbations, phase):
    change = perturbations.change_background
    np.testing.assert_array_equal(change(phase, "none"), phase)
    np.testing.assert_allclose(
        change(phase, "level"), phase - np.quantile(phase, 0.05, axis=(1, 2))[:, None, None], atol=1e-6
    )
    np.testing.assert_allclose(change(phase, "mean image"), phase - phase.mean(axis=0), atol=1e-6)
    framed = np.full((1, 50, 50), 9.0, np.float32)
    framed[0, :2], framed[0, -2:], framed[0, :, :2], framed[0, :, -2:] = 2, 2, 2, 2
    assert change(framed, "border")[0, 25, 25] == pytest.approx(7.0)
    y, x = np.mgrid[:50, :50].astype(np.float32) / 50
    cell = 3.0 * ((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.05)
    plane, curved = 1 + 0.5 * x - y, 1 + 0.5 * x - y + x * y
    np.testing.assert_allclose(change((plane + cell)[None], "plane")[0], cell, atol=1e-3)
    np.testing.assert_allclose(change((curved + cell)[None], "quadratic")[0], cell, atol=1e-3)
    with pytest.raises(ValueError, match="no background method"):
        change(phase, "magic")
