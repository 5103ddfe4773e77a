"""The numbers of the study's table against hand-made predictions and other libraries."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

from shared.calibration.temperature import apply_temperature, fit_temperature
from shared.data.errors import DataError

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


@pytest.mark.parametrize(
    ("name", "oracle"),
    [("macro_f1", lambda y, p: f1_score(y, p, average="macro")), ("accuracy", accuracy_score)],
)
def test_metrics_are_means_over_seeds(meter, labels, probabilities, name, oracle):
    per_seed = [oracle(labels, p.argmax(axis=1)) for p in probabilities]
    estimate = meter.classification(name, probabilities)
    assert estimate.value == pytest.approx(np.mean(per_seed))
    assert estimate.seed_sd == pytest.approx(np.std(per_seed, ddof=1))
    assert (estimate.n, estimate.seeds) == (N, 3)
    assert estimate.low < estimate.value < estimate.high


def test_accuracy_interval_is_that_of_a_mean_over_cells(meter, labels, probabilities):
    right = (probabilities.argmax(axis=2) == labels).mean(axis=0)  # share of the seeds that are right, (N,)
    half = 1.96 * right.std() / np.sqrt(N)
    estimate = meter.classification("accuracy", probabilities)
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.12)


def test_a_change_is_paired(meter, labels, probabilities):
    same = meter.classification_change("accuracy", probabilities, probabilities)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    worse = probabilities.copy()
    worse[:, :30] = np.roll(worse[:, :30], 1, axis=2)
    change = meter.classification_change("accuracy", worse, probabilities)
    expected = (worse.argmax(2) == labels).mean() - (probabilities.argmax(2) == labels).mean()
    assert change.value == pytest.approx(expected)
    assert meter.changed(worse, probabilities).value == pytest.approx(30 / N)


def slow_calibration_error(probabilities, labels, n_bins=15):
    """Σ over bins of |accuracy − confidence| weighted by the bin's share, cell by cell."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(probabilities, labels, strict=True):
        top = max(row)
        bins.setdefault(min(int(top * n_bins), n_bins - 1), []).append((top, row.argmax() == label))
    gaps = [abs(np.mean([hit for _, hit in b]) - np.mean([top for top, _ in b])) * len(b) for b in bins.values()]
    return sum(gaps) / len(labels)


def test_calibration_error_is_the_mean_of_the_seeds_errors(meter, labels, probabilities):
    expected = [slow_calibration_error(p, labels) for p in probabilities]
    estimate = meter.calibration_error(probabilities)
    assert estimate.value == pytest.approx(np.mean(expected))
    assert estimate.seed_sd == pytest.approx(np.std(expected, ddof=1))
    assert estimate.low <= estimate.value <= estimate.high


def test_the_null_band_holds_a_perfect_predictor_and_not_an_overconfident_one(study):
    rng = np.random.default_rng(5)
    honest = softmax(rng.normal(size=(N, K)), axis=1)
    inside = overconfident = 0
    for _ in range(60):
        truth = np.array([rng.choice(K, p=row) for row in honest])
        meter = study("measures").Meter(truth, K, n_bins=15, resamples=200)
        # the same predictor under three seeds must not look better than under one
        estimate = meter.calibration_error(np.stack([honest] * 3))
        inside += estimate.null_low <= estimate.value <= estimate.null_high
        sharp = apply_temperature(np.log(honest), 0.3)[None]
        overconfident += meter.calibration_error(sharp).value > meter.calibration_error(sharp).null_high
    assert inside >= 52  # 95 % of 60 are 57; fewer than 52 has a probability below 1 %
    assert overconfident == 60


def test_confidence_is_zero_at_chance(study):
    labels = np.array([0, 1, 2, 3])
    meter = study("measures").Meter(labels, K, resamples=50)
    rows = np.array([[0.25] * 4, [1, 0, 0, 0], [0.25] * 4, [0, 1, 0, 0]])
    assert meter.confidence(rows[None]).value == pytest.approx(0.5)


def write_run(path, index, validation, labels, seed, samples=0):
    rng = np.random.default_rng(seed)
    arrays = {
        "test_index": index,
        "validation_index": validation,
        "test_logits": logits_of(labels[index], seed),
        "validation_logits": logits_of(labels[validation], seed + 100),
        "perturbed fgsm 0.01": logits_of(labels[index], seed + 200),
    }
    if samples:
        for section in ("test", "validation"):
            noise = rng.normal(size=(len(arrays[f"{section}_logits"]), samples, K))
            arrays[f"{section}_samples"] = arrays[f"{section}_logits"][:, None] + noise
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays, facts=np.array(json.dumps({"recipe": ""})))
    return arrays


def test_pooling_gives_each_cell_the_temperature_of_its_fold(study, labels, tmp_path):
    folds = [np.arange(0, N, 2), np.arange(1, N, 2)]
    runs, paths, written = [], [], {}
    for seed in (0, 1):
        for number, index in enumerate(folds):
            run = study("grid").Run("cross_validation", "LeNet5", 0.5, seed, f"fold{number + 1}")
            path = tmp_path / f"{run.key}.npz"
            validation = folds[1 - number][:80]
            written[seed, number] = write_run(path, index, validation, labels, seed=10 * seed + number, samples=7)
            runs.append(run)
            paths.append(path)
    pooled = study("pooling").pool_runs(runs, paths, labels)
    np.testing.assert_array_equal(pooled.labels, labels)
    assert pooled.seeds == (0, 1)
    assert pooled.after.shape == (2, N, K)
    for (seed, number), arrays in written.items():
        truth = labels[arrays["validation_index"]]
        plain = fit_temperature(arrays["validation_logits"], truth).temperature
        sampled = fit_temperature(arrays["validation_samples"], truth).temperature
        cells = folds[number]
        np.testing.assert_allclose(pooled.before[seed, cells], softmax(arrays["test_logits"], axis=1))
        np.testing.assert_allclose(pooled.after[seed, cells], softmax(arrays["test_logits"] / plain, axis=1))
        np.testing.assert_allclose(
            pooled.sampled_after[seed, cells], softmax(arrays["test_samples"] / sampled, axis=2).mean(axis=1)
        )
        np.testing.assert_allclose(
            pooled.perturbed["fgsm 0.01"][seed, cells], softmax(arrays["perturbed fgsm 0.01"] / plain, axis=1)
        )


def test_a_cell_held_out_twice_is_refused(study, labels, tmp_path):
    run = study("grid").Run("cross_validation", "LeNet5", 0.5, 0, "fold1")
    write_run(tmp_path / "run.npz", np.array([0, 1, 1]), np.arange(50), labels, seed=0)
    with pytest.raises(DataError, match="twice"):
        study("pooling").pool_runs([run], [tmp_path / "run.npz"], labels)


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
    Estimate = study("measures").Estimate
    first, second = (Estimate(value, 0, 1, N, 3, null_high=null_high) for value in (before, after))
    assert study("table").verdict(first, second) == verdict


def test_quality_is_averaged_over_seeds_and_phantoms_that_can_be_measured(study):
    values = [np.array([0.2, np.nan, 0.6]), np.array([0.4, np.nan, 0.8])]
    estimate = study("explanation_rows").mean_quality(values, [np.array([0.1, np.nan, 0.3])] * 2, resamples=100)
    assert estimate.value == pytest.approx(0.5)
    assert estimate.chance == pytest.approx(0.2)
    assert (estimate.n, estimate.seeds) == (2, 2)
    assert estimate.seed_sd == pytest.approx(np.std([0.4, 0.6], ddof=1))
