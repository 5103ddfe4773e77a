"""The numbers of the study's table against hand-made predictions and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

from shared.calibration.temperature import fit_temperature
from shared.data.errors import DataError
from shared.study.measures import Estimate

N, K = 300, 4


@pytest.fixture(scope="module")
def study(bundle_scripts):
    load = bundle_scripts("leukocyte_qpi")
    return lambda name: load(f"study.{name}")


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).choice(K, N, p=[0.1, 0.2, 0.5, 0.2])


def logits_of(labels, seed, scale=2.0):
    rng = np.random.default_rng(seed)
    return scale * (rng.normal(size=(len(labels), K)) + 1.5 * np.eye(K)[labels])


@pytest.fixture
def probabilities(labels):
    return np.stack([softmax(logits_of(labels, seed), axis=1) for seed in (1, 2, 3)])


@pytest.fixture
def meter(study, labels):
    return study("measures").Meter(labels, K, n_bins=15, resamples=400)


def test_metrics_are_means_over_seeds(meter, labels, probabilities):
    measured = meter.classification(probabilities)
    chosen = probabilities.argmax(axis=2)
    expected = {
        "macro_f1": [f1_score(labels, p, average="macro") for p in chosen],
        "accuracy": [accuracy_score(labels, p) for p in chosen],
    }
    for name, per_seed in expected.items():
        estimate = measured[name]
        assert estimate.value == pytest.approx(np.mean(per_seed))
        assert estimate.repeat_sd == pytest.approx(np.std(per_seed, ddof=1))
        assert (estimate.n, estimate.repeats) == (N, 3)
        assert estimate.low < estimate.value < estimate.high


def test_a_change_is_paired(meter, labels, probabilities):
    same = meter.classification_change(probabilities, probabilities)["accuracy"]
    assert (same.value, same.low, same.high) == (0, 0, 0)
    worse = probabilities.copy()
    worse[:, :30] = np.roll(worse[:, :30], 1, axis=2)
    change = meter.classification_change(worse, probabilities)
    expected = (worse.argmax(2) == labels).mean() - (probabilities.argmax(2) == labels).mean()
    assert change["accuracy"].value == pytest.approx(expected)
    scores = [[f1_score(labels, p.argmax(1), average="macro") for p in group] for group in (worse, probabilities)]
    assert change["macro_f1"].value == pytest.approx(np.mean(scores[0]) - np.mean(scores[1]))
    assert meter.changed(worse, probabilities).value == pytest.approx(30 / N)


def test_the_calibration_error_is_that_of_the_most_probable_class(meter, labels, probabilities):
    bins = np.minimum((15 * probabilities.max(axis=2)).astype(int), 14)
    gaps = (probabilities.argmax(axis=2) == labels) - probabilities.max(axis=2)
    expected = [sum(abs(gap[b == k].sum()) for k in range(15)) / N for gap, b in zip(gaps, bins, strict=True)]
    estimate = meter.calibration(probabilities)
    assert estimate.value == pytest.approx(np.mean(expected))
    assert estimate.null_low < estimate.null_high


def test_confidence_is_zero_at_chance(study):
    labels = np.array([0, 1, 2, 3])
    meter = study("measures").Meter(labels, K, resamples=50)
    rows = np.array([[0.25] * 4, [1, 0, 0, 0], [0.25] * 4, [0, 1, 0, 0]])
    assert meter.confidence(rows[None]).value == pytest.approx(0.5)


@pytest.fixture
def workshop(study, labels, tmp_path):
    phase = np.zeros((N, 1, 1), np.float32)
    cells = study("stand_in").Cells(np.arange(N).astype(str), phase, labels, np.array(["a"] * N), tuple("abcd"))
    return study("workshop").Workshop(tmp_path, cells, "0" * 64, study("settings").read_settings(), (0.0, 1.0))


def write_run(workshop, run, index, validation, seed):
    rng = np.random.default_rng(seed)
    labels = workshop.cells.labels
    arrays = {
        "test_index": index,
        "validation_index": validation,
        "test_logits": logits_of(labels[index], seed),
        "validation_logits": logits_of(labels[validation], seed + 100),
        "perturbed fgsm 0.01": logits_of(labels[index], seed + 200),
    }
    for section in ("test", "validation"):
        noise = rng.normal(size=(len(arrays[f"{section}_logits"]), 7, K))
        arrays[f"{section}_samples"] = arrays[f"{section}_logits"][:, None] + noise
    workshop.write_result(run, arrays, {}, seconds=1.0)
    return arrays


def test_each_cell_gets_the_temperature_of_its_fold(study, workshop, labels):
    folds = [np.arange(0, N, 2), np.arange(1, N, 2)]
    runs, written = {}, {}
    for seed in (0, 2):
        runs[seed] = [study("grid").Run("cross_validation", "LeNet5", 0.5, seed, f"fold{k + 1}") for k in range(2)]
        for number, (run, index) in enumerate(zip(runs[seed], folds, strict=True)):
            written[seed, number] = write_run(workshop, run, index, folds[1 - number][:80], 10 * seed + number)
    found = study("held_out").held_out(workshop, runs)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.seeds == (0, 2)
    assert found.after.shape == (2, N, K)
    for (seed, number), arrays in written.items():
        truth = labels[arrays["validation_index"]]
        plain = fit_temperature(arrays["validation_logits"], truth).temperature
        sampled = fit_temperature(arrays["validation_samples"], truth).temperature
        row, cells = found.seeds.index(seed), folds[number]
        np.testing.assert_allclose(found.before[row, cells], softmax(arrays["test_logits"], axis=1))
        np.testing.assert_allclose(found.after[row, cells], softmax(arrays["test_logits"] / plain, axis=1))
        np.testing.assert_allclose(
            found.sampled_after[row, cells], softmax(arrays["test_samples"] / sampled, axis=2).mean(axis=1)
        )
        np.testing.assert_allclose(
            found.perturbed["fgsm 0.01"][row, cells], softmax(arrays["perturbed fgsm 0.01"] / plain, axis=1)
        )


def test_parts_that_do_not_fit_together_are_refused(study, workshop):
    runs = {seed: [study("grid").Run("cross_validation", "LeNet5", 0.5, seed, "fold1")] for seed in (0, 1)}
    write_run(workshop, runs[0][0], np.array([0, 1, 1]), np.arange(50), seed=0)
    with pytest.raises(DataError, match="seed 0 holds out a cell twice"):
        study("held_out").held_out(workshop, {0: runs[0]})
    write_run(workshop, runs[0][0], np.array([0, 1, 2]), np.arange(50), seed=0)
    write_run(workshop, runs[1][0], np.array([0, 1, 3]), np.arange(50), seed=1)
    with pytest.raises(DataError, match="different cells"):
        study("held_out").held_out(workshop, runs)


@pytest.mark.parametrize(
    ("before", "after", "null_high", "verdict"),
    [
        (0.30, 0.09, 0.05, "met: ÷ 3.3"),
        (0.30, 0.04, 0.05, "met: ÷ 7.5, to within null band"),
        (0.08, 0.04, 0.05, "met: within null band only after (÷ 2.0)"),
        (0.045, 0.05, 0.05, "met: within null band before and after (÷ 0.9)"),
        (0.08, 0.06, 0.05, "missed (÷ 1.3)"),
    ],
)
def test_the_goal_is_a_third_or_the_null_band(study, before, after, null_high, verdict):
    first, second = (Estimate(value, 0, 1, N, 3, null_high=null_high) for value in (before, after))
    assert study("comparisons").verdict(first, second) == verdict


def test_quality_is_averaged_over_seeds_and_phantoms_that_can_be_measured(study):
    values = [np.array([0.2, np.nan, 0.6]), np.array([0.4, np.nan, 0.8])]
    estimate = study("explanation_section").mean_quality(values, [np.array([0.1, np.nan, 0.3])] * 2, resamples=100)
    assert estimate.value == pytest.approx(0.5)
    assert estimate.chance == pytest.approx(0.2)
    assert (estimate.n, estimate.repeats) == (2, 2)
    assert estimate.repeat_sd == pytest.approx(np.std([0.4, 0.6], ddof=1))
