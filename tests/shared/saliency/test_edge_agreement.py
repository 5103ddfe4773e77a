"""Agreement with edges against skimage's Sobel filter and SciPy's rank correlation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.filters import sobel
from torch import nn

from shared.saliency.controls import EdgeMap
from shared.saliency.edge_agreement import edge_agreement, edge_magnitude


@pytest.fixture
def images():
    return np.random.default_rng(0).random((6, 2, 9, 12)).astype(np.float32)


def test_edges_equal_skimage(images):
    expected = np.stack([[sobel(plane) for plane in image] for image in images])
    np.testing.assert_allclose(edge_magnitude(images), expected, atol=1e-6)


def test_equals_scipy(images, monkeypatch):
    maps = np.random.default_rng(1).normal(size=(6, 9, 12))
    expected = [
        spearmanr(np.abs(maps[i]).ravel(), sum(sobel(plane) for plane in images[i].astype(np.float64)).ravel())[0]
        for i in range(6)
    ]
    np.testing.assert_allclose(edge_agreement(maps, images), expected, atol=1e-6)
    monkeypatch.setattr("shared.saliency.map_arrays.CHUNK_PIXELS", 250)
    np.testing.assert_allclose(edge_agreement(maps, images), expected, atol=1e-6)


def test_the_edge_control_agrees_fully_whatever_its_sign_and_noise_does_not(images):
    edges = EdgeMap(nn.Identity()).attribute(torch.from_numpy(images).double()).sum(dim=1).numpy()
    np.testing.assert_allclose(edge_agreement(edges, images), 1.0, atol=1e-6)
    np.testing.assert_allclose(edge_agreement(-edges, images[:, :1]), edge_agreement(edges, images[:, 0]))
    noise = np.random.default_rng(2).normal(size=(200, 32, 32))
    agreement = edge_agreement(noise, np.random.default_rng(3).random((200, 32, 32)))
    assert abs(agreement.mean()) < 4 / np.sqrt(200 * 1024)


def test_constant_maps_and_constant_images_are_undefined(images):
    maps = np.random.default_rng(1).normal(size=(2, 9, 12))
    maps[0] = -4.0
    assert np.isnan(edge_agreement(maps, images[:2])).tolist() == [True, False]
    assert np.isnan(edge_agreement(maps[1:], np.ones((1, 9, 12)))).all()


def test_refuses_images_of_another_shape(images):
    with pytest.raises(ValueError, match="images must be"):
        edge_agreement(np.zeros((6, 9, 11)), images)
