import math

import numpy as np
import pytest
import torch

from shared.calibration.sample_summary import summarise


def test_summary_equals_definitions_written_slowly():
    rng = np.random.default_rng(0)
    logits, temperature = rng.normal(size=(5, 9, 4)) * 3, 1.7
    summary = summarise(torch.from_numpy(logits), temperature)
    for n in range(5):
        samples = []
        for s in range(9):
            weights = [math.exp(z / temperature) for z in logits[n, s]]
            samples.append([w / sum(weights) for w in weights])
        mean = [sum(p[k] for p in samples) / 9 for k in range(4)]
        entropy = -sum(p * math.log(p) for p in mean)
        expected_entropy = sum(-sum(p * math.log(p) for p in sample) for sample in samples) / 9
        for k in range(4):
            ordered = sorted(p[k] for p in samples)
            assert summary.mean[n, k] == pytest.approx(mean[k], rel=1e-12)
            assert summary.median[n, k] == pytest.approx(ordered[4], rel=1e-12)
            spread = math.sqrt(sum((p[k] - mean[k]) ** 2 for p in samples) / 9)
            assert summary.standard_deviation[n, k] == pytest.approx(spread, rel=1e-10)
        assert summary.predictive_entropy[n] == pytest.approx(entropy, rel=1e-12)
        assert summary.mutual_information[n] == pytest.approx(entropy - expected_entropy, rel=1e-9)


def test_mutual_information_is_expected_divergence_from_the_mean():
    """BALD is also the mean Kullback–Leibler divergence of the samples from their mean."""
    logits = np.random.default_rng(1).normal(size=(6, 50, 3)) * 2
    summary = summarise(logits)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    divergence = (probabilities * np.log(probabilities / probabilities.mean(1, keepdims=True))).sum(-1).mean(1)
    np.testing.assert_allclose(summary.mutual_information, divergence, rtol=1e-10)


def test_extremes():
    agreed = summarise(np.tile([1000.0, -1000.0, 0.0], (1, 4, 1)))
    assert agreed.predictive_entropy == 0
    assert agreed.mutual_information == 0
    assert agreed.standard_deviation.max() == 0
    uniform = summarise(np.zeros((1, 4, 3)))
    assert uniform.predictive_entropy[0] == pytest.approx(math.log(3))
    assert uniform.mutual_information[0] == 0
    torn = summarise(1000 * np.eye(3)[np.newaxis])
    assert torn.mutual_information[0] == pytest.approx(math.log(3))


def test_one_pass_is_one_sample():
    logits = np.random.default_rng(2).normal(size=(4, 3))
    single, sampled = summarise(logits, 2.0), summarise(logits[:, None], 2.0)
    np.testing.assert_array_equal(single.mean, sampled.mean)
    np.testing.assert_array_equal(single.median, single.mean)
    assert single.standard_deviation.max() == 0


def test_single_precision_input_is_summarised_in_double():
    logits = torch.tensor([[[40.0, 0.0], [41.0, 0.0]]], dtype=torch.float32)
    summary = summarise(logits)
    assert summary.mean.dtype == np.float64
    assert 0 < summary.mean[0, 1] < 1e-17
    assert 0 < summary.predictive_entropy[0] < 1e-15


@pytest.mark.parametrize(
    ("logits", "temperature", "message"),
    [
        (np.zeros(3), 1.0, "found shape"),
        (np.zeros((3, 0, 4)), 1.0, "found shape"),
        (np.array([[[0.0, 1.0]], [[0.0, np.nan]]]), 1.0, "image 1"),
        (np.zeros((1, 1, 2)), 0.0, "temperature"),
        (np.zeros((1, 1, 2)), float("nan"), "temperature"),
    ],
)
def test_refuses(logits, temperature, message):
    with pytest.raises(ValueError, match=message):
        summarise(logits, temperature)
