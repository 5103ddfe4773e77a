"""All measures on a linear network whose maps are known, so that each measure has a closed form.

The network adds up 2 for each of m pixels of the cause and −1 for each of d pixels of a distractor, of P pixels in all;
input × gradient is then 2, −1 and 0.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from shared.saliency.concentration import entropy, gini
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.map_measures import map_measures
from shared.saliency.map_similarity import rank_correlation, structural_similarity
from shared.saliency.noise_stability import noise_stability
from shared.saliency.overlap import TunedThreshold, iou, tune_threshold
from shared.saliency.perturbation_curves import deletion_insertion, random_areas

SIDE = 20
P, M, D = SIDE**2, 24, 30


@pytest.fixture
def phantom():
    cause, distractor, background = (np.zeros((1, SIDE, SIDE), dtype=bool) for _ in range(3))
    cause[:, 3:7, 8:14] = True
    distractor[:, 12:17, 2:8] = True
    background[:, :, 17:] = True
    weights = torch.from_numpy(2.0 * cause - 1.0 * distractor)
    network = nn.Sequential(nn.Flatten(), nn.Linear(P, 2, bias=False)).double()
    with torch.no_grad():
        network[1].weight[0] = weights.flatten()
        network[1].weight[1] = 0.0
    image = torch.from_numpy(np.where(background, 0.0, 1.0))[:, None]
    maps = InputXGradient(network).attribute(image, 0).sum(dim=1).numpy()
    np.testing.assert_array_equal(maps, weights.numpy())
    return SimpleNamespace(**locals())


def test_measures_of_maps_and_masks(phantom):
    found = map_measures(
        phantom.maps,
        masks=phantom.cause,
        background=phantom.background,
        distractor=phantom.distractor,
        tuned=TunedThreshold(1 - M / P, 1.0, 1),
    )
    expected = {
        "rank_accuracy": (1, M / P),
        "localisation_auc": (1, 0.5),
        "mass_accuracy": (1, M / P),
        "pointing_game": (1, M / P),
        "iou": (1, None),
        "sparseness": ((D * (P - 2 * M - D) + 2 * M * (P - M)) / ((P - 1) * (D + 2 * M)), None),
        "entropy": ((np.log(D + 2 * M) - 2 * M * np.log(2) / (D + 2 * M)) / np.log(P), None),
        "background_share": (0, 3 / SIDE),
        "cause_share": (2 * M / (2 * M + D), M / P),
        "distractor_share": (D / (2 * M + D), D / P),
    }
    assert set(found) == set(expected)
    for name, (value, chance) in expected.items():
        assert found[name]["value"][0] == pytest.approx(value), name
        if chance is not None:
            assert found[name]["chance"][0] == pytest.approx(chance), name
    assert gini(phantom.maps)[0] == found["sparseness"]["value"][0]
    assert entropy(phantom.maps)[0] == found["entropy"]["value"][0]


def test_signs(phantom):
    """By magnitude the distractor comes second; of what is positive there is only the cause."""
    magnitude = map_measures(phantom.maps, masks=phantom.distractor, sign="absolute")
    zeros = P - M - D
    assert magnitude["localisation_auc"]["value"][0] == pytest.approx(zeros / (P - D))
    positive = map_measures(phantom.maps, masks=phantom.cause, distractor=phantom.distractor, sign="positive")
    assert positive["cause_share"]["value"][0] == 1
    assert positive["distractor_share"]["value"][0] == 0


def test_overlap(phantom):
    """Half of the cause overlaps by a half; more than the cause shares the zeros that tie."""
    found = iou(phantom.maps, phantom.cause, [1 - M / (2 * P), 1 - M / P, 1 - 2 * M / P])[0]
    np.testing.assert_allclose(found, [0.5, 1.0, 0.5])
    tuned = tune_threshold(phantom.maps, phantom.cause)
    assert (tuned.quantile, tuned.iou) == (0.94, 1.0)


def test_deletion_and_insertion(phantom):
    def output(images):
        with torch.no_grad():
            return phantom.network(images)

    found = deletion_insertion(output, phantom.image, phantom.maps, torch.tensor([0]), P, 0.0)
    k = np.arange(P + 1)
    lost, spared = 2 * np.minimum(k, M), np.maximum(k - (P - D), 0)
    np.testing.assert_allclose(found.deletion[0], 2 * M - D - lost + spared, atol=1e-12)
    np.testing.assert_allclose(found.insertion[0], lost - spared, atol=1e-12)
    assert found.deletion_auc[0] == pytest.approx((M * (M - D) - D * (P - M - D) - D**2 / 2) / P)
    assert found.insertion_auc[0] == pytest.approx((M**2 + 2 * M * (P - M - D) + D * (2 * M - D / 2)) / P)
    chance = random_areas(output, phantom.image, torch.tensor([0]), 10, 0.0, orders=500)
    # the deviation of the mean of so many orders is about 0.2
    assert chance[0] == pytest.approx((2 * M - D) / 2, abs=0.8)


def test_similarity_and_stability(phantom):
    """The gradient does not depend on the image: with noise, input × gradient is the weights times a noisy one."""
    assert structural_similarity(phantom.maps, 3 * phantom.maps)[0] == pytest.approx(1)
    order = np.concatenate([np.full(M, 2.0), np.full(D, -1.0), np.zeros(P - M - D)])
    assert rank_correlation(phantom.maps, phantom.maps**3)[0] == pytest.approx(1)
    expected = np.corrcoef(
        *(np.searchsorted(np.sort(x), x, "left") + np.searchsorted(np.sort(x), x, "right") for x in (order, abs(order)))
    )[0, 1]
    assert rank_correlation(phantom.maps, np.abs(phantom.maps))[0] == pytest.approx(expected)
    noise = torch.randn((1, SIDE, SIDE), generator=torch.Generator().manual_seed(4)).double().numpy()
    noisy = phantom.maps * (1 + 0.3 * noise)
    found = noise_stability(InputXGradient(phantom.network), phantom.image, 0, 0.3, draws=1, seed=4)
    assert found[0] == pytest.approx(structural_similarity(phantom.maps, noisy)[0])
    assert found[0] < 0.99
