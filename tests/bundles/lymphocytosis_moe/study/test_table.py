"""What stands beside the numbers: published figures, what was left out and what a calibration was fitted on."""

from __future__ import annotations

import numpy as np
import pytest


def test_the_calibration_says_what_it_was_fitted_on(study):
    fitted_on = study("keep_ensemble").fitted_on
    assert "confidences of the single member that had not seen the patient" in fitted_on(1)
    assert "the mean of 3 members that had not seen the patient" in fitted_on(3)
    # why it matters: a mean of probabilities is never more confident than they are on average
    probabilities = np.random.default_rng(0).random((5, 200))
    assert (np.abs(2 * probabilities.mean(axis=0) - 1) <= np.abs(2 * probabilities - 1).mean(axis=0) + 1e-12).all()


def test_published_figures_agree_with_each_other(study):
    published = study("published")
    settings = study("settings").read_settings()
    for name, figures in {**published.PUBLISHED, "biologists": published.BIOLOGISTS}.items():
        assert name == "biologists" or name in settings.models
        if "sensitivity" in figures:
            middle = (figures["sensitivity"] + figures["specificity"]) / 2
            assert figures["balanced_accuracy"] == pytest.approx(middle, abs=2e-4)
            if name != "biologists":  # 29 tumoral and 13 reactive patients
                right = (29 * figures["sensitivity"] + 13 * figures["specificity"]) / 42
                assert figures["accuracy"] == pytest.approx(right, abs=2e-4)


def test_the_table_says_what_it_left_out(study):
    read = study("settings").read_settings
    texts = study("table").left_out(read(), read("full"))
    assert any(text.startswith("Not in this study") and "K = 8" in text and "224 px" in text for text in texts)
    assert any(text.startswith("1 instead of 5 repeats") and "MOE-P2" in text for text in texts)
    assert any("MOE-P1, mean, K = 64" in text and "CNN, max, K = 32" in text for text in texts)
    assert any(text.startswith("3 instead of 5 repeats") and "MOE-P1" in text for text in texts)
    assert "Networks trained with max_epochs 60 instead of 30" in texts
    assert study("table").left_out(read("full"), read("full")) == []
    assert "numbers mean nothing" in study("table").left_out(read("quick"), read("full"))[-1]
