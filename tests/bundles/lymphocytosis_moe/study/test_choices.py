"""What is chosen on the validation patients is the best of all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, log_expit
from sklearn.metrics import balanced_accuracy_score


def test_the_threshold_is_the_best_of_all(study):
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth = rng.permutation(np.repeat([0, 1], [6, 13]))
        logits = rng.normal(size=19) + truth
        threshold = study("choices").youden_threshold(logits, truth)
        of_all = [balanced_accuracy_score(truth, logits > t) for t in np.r_[-9, logits, 9]]
        assert balanced_accuracy_score(truth, expit(logits) > threshold) == pytest.approx(max(of_all))


def test_the_setting_with_the_lowest_calibrated_loss_is_chosen(study):
    truth = np.array([0, 1, 1, 0, 1, 0, 1, 1])
    logits = {"good": 9.0 * (2 * truth - 1), "bad": np.arange(8.0) - 3.5, "none": np.zeros(8)}
    logits["good"][0] *= -1
    candidates = [{"name": name} for name in ("none", "bad", "good")]
    model, setting = study("choices").choose(candidates, lambda s: s["name"], lambda name: logits[name], truth)
    assert (model, setting) == ("good", {"name": "good"})
    # on another scale it is as good: a temperature takes it out
    loss = study("choices").calibrated_loss
    assert loss(100 * logits["good"], truth) == pytest.approx(loss(logits["good"], truth), abs=1e-6)
    assert loss(logits["none"], truth) == pytest.approx(-log_expit(0.0))
