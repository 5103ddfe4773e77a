"""Stability under noise: against scipy, with noise of the size that is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.noise_stability import bag_noise_stability, noisy_bags
from shared.saliency.bags.random_values import RandomValues
from shared.saliency.sanity.explained import ExplainedBags


@pytest.fixture
def explained(build, features):
    model = build()
    methods = {"shapley": ExactShapley(model), "gradient": GradientXInput(model), "random": RandomValues(model)}
    return ExplainedBags(methods, [features[:5], 3 * features[5:]])


def test_noise_is_a_share_of_each_bags_range(explained):
    lengths = explained.lengths.tolist()
    for copy in noisy_bags(explained, noise_level=0.1, draws=3, seed=1):
        assert copy.lengths.tolist() == lengths
        noise = (copy.features - explained.features).split(lengths)
        for part, bag in zip(noise, explained.features.split(lengths), strict=True):
            expected = 0.1 * float(bag.max() - bag.min())
            assert float(part.std()) == pytest.approx(expected, rel=0.5)
    first, second = (next(iter(noisy_bags(explained, 0.1, 1, seed))).features for seed in (0, 1))
    assert not torch.equal(first, second)
    with pytest.raises(ValueError, match="noise_level"):
        next(noisy_bags(explained, -0.1))


def test_stability_is_the_mean_rank_correlation_of_the_copies(explained):
    original, copies = explained.explain(explained.network), list(noisy_bags(explained, 0.05, 3, 0))
    found = bag_noise_stability(explained, original, copies)
    for name in ("shapley", "gradient"):
        noisy = [copy.explain(copy.network)[name] for copy in copies]
        expected = [
            np.mean([spearmanr(original[name][bag], values[bag]).statistic for values in noisy]) for bag in range(2)
        ]
        np.testing.assert_allclose(found[name], expected, atol=1e-12)
    # a method that knows nothing but the features changes with every one of them
    assert (found["shapley"] > found["random"]).all()
    still = bag_noise_stability(explained, original, list(noisy_bags(explained, 0.0, 1)))
    np.testing.assert_allclose(still["random"], 1.0)
