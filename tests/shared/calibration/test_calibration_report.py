import json
import time

import numpy as np
import pytest
from scipy.special import softmax

from shared.calibration.calibration_error import classwise_calibration_error, top_label_calibration_error
from shared.calibration.calibration_report import calibration_report, multi_label_calibration_report
from shared.calibration.proper_scores import brier_score, negative_log_likelihood
from shared.calibration.resampling import simulated_labels

BAND = "null_band"


def predictions(n, sharpening=1.0, num_classes=4, seed=0):
    """Probabilities that are right in truth if ``sharpening`` is 1, and too sure if it is larger."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, num_classes))
    labels = next(simulated_labels(softmax(logits, axis=1), 1, rng))[0]
    return softmax(sharpening * logits, axis=1), labels


def entries(report):
    return {name: entry for name, entry in report.items() if isinstance(entry, dict) and "value" in entry}


def test_values_are_those_of_the_pure_functions():
    probabilities, labels = predictions(300, sharpening=2)
    report = calibration_report(probabilities, labels, n_bins=12, resamples=10, simulations=10)
    for norm in ("l1", "l2", "max"):
        for binning in ("equal_width", "equal_mass"):
            options = {"n_bins": 12, "norm": norm, "binning": binning}
            top, classwise = (report[f"{scope}_{norm}_{binning}"]["value"] for scope in ("top_label", "classwise"))
            assert top == pytest.approx(top_label_calibration_error(probabilities, labels, **options))
            assert classwise == pytest.approx(classwise_calibration_error(probabilities, labels, **options))
    assert report["brier"]["value"] == pytest.approx(brier_score(probabilities, labels))
    assert report["negative_log_likelihood"]["value"] == pytest.approx(negative_log_likelihood(probabilities, labels))
    part = {name: entry["value"] for name, entry in entries(report).items()}
    assert part["brier"] == pytest.approx(
        part["brier_reliability"]
        - part["brier_resolution"]
        + part["brier_uncertainty"]
        + part["brier_within_bin_variance"]
        - part["brier_within_bin_covariance"]
    )
    assert (report["n"], report["n_bins"]) == (300, 12)
    assert sum(one["count"] for one in report["reliability"]["bins"]) == 300


def test_report_is_json_and_intervals_hold_their_values():
    for n, sharpening in ((40, 1), (500, 3)):
        report = calibration_report(*predictions(n, sharpening), resamples=200, simulations=200)
        json.dumps(report, allow_nan=False)
        for name, entry in entries(report).items():
            low, high = entry["ci95"]
            assert low <= entry["value"] <= high, name
            assert entry[BAND][0] <= entry[BAND][1], name


def test_the_interval_of_a_negative_covariance_is_not_cut_at_zero():
    # within the bin the event is the rarer the higher the forecast
    forecast = np.tile([0.91, 0.99], 200)
    outcome = np.random.default_rng(0).random(400) < np.tile([0.95, 0.5], 200)
    report = multi_label_calibration_report(
        forecast[:, None], outcome[:, None], ["event"], n_bins=10, resamples=200, simulations=2
    )["labels"]["event"]
    low, high = report["brier_within_bin_covariance"]["ci95"]
    assert low < report["brier_within_bin_covariance"]["value"] < high < 0


def test_no_calibration_error_of_a_few_samples_reaches_beyond_one():
    confidence = np.array([0.97] * 11 + [0.77])
    labels = np.array([1] * 11 + [0])
    report = calibration_report(np.stack([1 - confidence, confidence], axis=1), labels, resamples=500, simulations=200)
    ends = {name: entry["ci95"] for name, entry in entries(report).items() if "_equal_" in name}
    # the one wrong answer makes the largest gap and is in two of three resamples: 2 · 0.77 − 0.03 would be the end
    assert ends["top_label_max_equal_width"] == [pytest.approx(0.77), 1.0]
    assert max(high for _, high in ends.values()) <= 1.0


def test_is_reproducible_from_its_seed():
    data = predictions(100)
    first = calibration_report(*data, resamples=50, simulations=50, seed=3)
    assert calibration_report(*data, resamples=50, simulations=50, seed=3) == first
    assert calibration_report(*data, resamples=50, simulations=50, seed=4) != first


@pytest.mark.parametrize("n", [50, 500, 2000])
def test_a_perfect_predictor_lies_within_its_null_band(n):
    inside = []
    for seed in range(40):
        report = calibration_report(*predictions(n, seed=seed), n_bins=10, resamples=2, simulations=200, seed=seed)
        for name in ("top_label_l1_equal_width", "classwise_l1_equal_mass", "negative_log_likelihood", "brier"):
            low, high = report[name][BAND]
            inside.append(low <= report[name]["value"] <= high)
    # 160 draws at 95 %: fewer than 141 have a probability below 1e-4
    assert sum(inside) >= 141


def test_an_overconfident_predictor_lies_outside_its_null_band():
    report = calibration_report(*predictions(2000, sharpening=2), simulations=200, resamples=2)
    for name in ("top_label_l1_equal_width", "top_label_l2_equal_mass", "classwise_l1_equal_width"):
        assert report[name]["value"] > report[name][BAND][1]
    assert report["negative_log_likelihood"]["value"] > report["negative_log_likelihood"][BAND][1]


def test_bootstrap_of_a_mean_agrees_with_its_standard_error():
    probabilities, labels = predictions(400)
    report = calibration_report(probabilities, labels, resamples=4000, simulations=2)
    scores = -np.log(probabilities[np.arange(400), labels])
    low, high = report["negative_log_likelihood"]["ci95"]
    assert high - low == pytest.approx(2 * 1.96 * scores.std() / 20, rel=0.06)


def test_null_band_of_a_mean_agrees_with_its_variance():
    probabilities, labels = predictions(400)
    report = calibration_report(probabilities, labels, resamples=2, simulations=4000)
    entropy = -(probabilities * np.log(probabilities)).sum(axis=1)
    variance = (probabilities * np.log(probabilities) ** 2).sum(axis=1) - entropy**2
    half = 1.96 * np.sqrt(variance.sum()) / 400
    band = report["negative_log_likelihood"][BAND]
    assert band == pytest.approx([entropy.mean() - half, entropy.mean() + half], abs=0.05 * half * 2)


def test_bootstrap_intervals_cover_the_true_calibration_error():
    # an overconfident predictor; its binned error on very many samples stands for the truth
    truth = top_label_calibration_error(*predictions(400_000, sharpening=2, seed=99), n_bins=10)
    covered = {"l1": 0, "nll": 0}
    true_nll = negative_log_likelihood(*predictions(400_000, sharpening=2, seed=99))
    for seed in range(100):
        report = calibration_report(*predictions(600, sharpening=2, seed=seed), n_bins=10, resamples=200, simulations=2)
        low, high = report["top_label_l1_equal_width"]["ci95"]
        covered["l1"] += low <= truth <= high
        low, high = report["negative_log_likelihood"]["ci95"]
        covered["nll"] += low <= true_nll <= high
    assert covered["l1"] >= 86
    assert covered["nll"] >= 86


def test_whole_donors_are_resampled():
    probabilities, labels = predictions(60)
    copies = calibration_report(
        np.tile(probabilities, (5, 1)),
        np.tile(labels, 5),
        groups=np.tile(np.arange(60), 5),
        resamples=500,
        simulations=2,
    )
    # five copies of every sample hold no more information than one
    single = calibration_report(probabilities, labels, resamples=500, simulations=2)
    for name in ("brier", "negative_log_likelihood"):
        assert copies[name]["ci95"] == pytest.approx(single[name]["ci95"])


def test_labels_are_measured_without_their_unknown_samples():
    rng = np.random.default_rng(0)
    probabilities = rng.random((400, 2))
    labels = (rng.random((400, 2)) < probabilities).astype(float)
    labels[:150, 1] = np.nan
    options = {"resamples": 50, "simulations": 50}
    report = multi_label_calibration_report(probabilities, labels, ["oedema", "effusion"], **options)
    json.dumps(report, allow_nan=False)
    effusion = report["labels"]["effusion"]
    assert effusion["n"] == 250
    p, y = probabilities[150:, 1], labels[150:, 1]
    assert effusion["brier"]["value"] == pytest.approx(np.mean((p - y) ** 2))
    nll = -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))
    assert effusion["negative_log_likelihood"]["value"] == pytest.approx(nll)
    # the classwise error of the two-class form is the mean over the label and its complement
    two = classwise_calibration_error(np.stack([1 - p, p], axis=1), y, n_bins=15)
    assert effusion["l1_equal_width"]["value"] == pytest.approx(two, abs=1e-9)
    assert effusion["l1_equal_width"]["value"] <= effusion["l1_equal_width"][BAND][1] * 1.2
    with pytest.raises(ValueError, match="expected 2 names"):
        multi_label_calibration_report(probabilities, labels, ["oedema"])


def test_a_thousand_resamples_are_quick():
    data = predictions(2000)
    start = time.perf_counter()
    calibration_report(*data, resamples=1000, simulations=1000)
    # about half a second on one core; one Python loop over the resamples would take minutes
    assert time.perf_counter() - start < 10
