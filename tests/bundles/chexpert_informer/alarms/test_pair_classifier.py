"""The error classifier: scikit-learn's fit in the original units, folds that keep patients together, no leak."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("alarms.pair_classifier")


def usable_rows(table, features, k):
    return ~np.isnan(table.label[:, k]) & ~np.isnan(features).any(axis=1)


@pytest.mark.parametrize(
    ("maps", "probability"), [("pairs", "none"), ("pairs", "entropy"), ("distinctiveness", "logit")]
)
def test_kept_classifier_is_scikit_learns_on_all_of_the_split(module, make_table, calibrate, maps, probability):
    table = make_table()
    calibration = calibrate(table)
    fitted, _, reasons = module.fit_error_classifier(table, calibration, "lrp", maps=maps, probability=probability)
    assert reasons == {}
    doubts = fitted.doubt(table, calibration)
    predictions = calibration.predictions(table.logits)
    for k in range(3):
        x = module.error_features(table, calibration, k, "lrp", maps, probability)
        rows = usable_rows(table, x, k)
        wrong = predictions[rows, k] != table.label[rows, k]
        slow = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000)).fit(x[rows], wrong)
        np.testing.assert_allclose(doubts[rows, k], slow.predict_proba(x[rows])[:, 1], rtol=1e-6)
    # the second finding's map is empty in the first three images
    assert np.isnan(doubts[:3, 1]).all()
    assert np.isfinite(doubts[3:]).all()
    if maps == "pairs":
        assert np.isnan(doubts[:3]).all()
    else:
        assert np.isfinite(doubts[:3, [0, 2]]).all()


def test_features_are_the_findings_own_distances_by_side(module, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    x = module.error_features(table, calibration, 2, "lrp", "pairs", "entropy")
    distances, called = table.distances["lrp"], calibration.predictions(table.logits)[:, 2]
    np.testing.assert_array_equal(x[:, :2], distances[:, 2, :2])
    p = calibration.probabilities(table.logits)[3:, 2]
    np.testing.assert_allclose(x[3:, 2], -p * np.log2(p) - (1 - p) * np.log2(1 - p), rtol=1e-9)
    np.testing.assert_array_equal(x[:, 3], called)
    np.testing.assert_array_equal(x[3:, 4:], (x[:, :3] * called[:, None])[3:])


def test_doubts_come_from_folds_that_do_not_hold_the_patient(module, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    _, doubts, _ = module.fit_error_classifier(table, calibration, "lrp", folds=4, strength=2.0, seed=3)
    predictions = calibration.predictions(table.logits)
    for k in range(3):
        x = module.error_features(table, calibration, k, "lrp", "pairs", "none")
        rows = usable_rows(table, x, k)
        wrong = predictions[rows, k] != table.label[rows, k]
        folds = StratifiedGroupKFold(4, shuffle=True, random_state=3)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000))
        held = cross_val_predict(model, x[rows], wrong, cv=folds, groups=table.patient[rows], method="predict_proba")
        np.testing.assert_allclose(doubts[rows, k], held[:, 1], rtol=1e-6)
        assert np.isnan(doubts[~rows, k]).all()


def test_maps_that_tell_errors_are_learnt_and_maps_that_do_not_are_not(module, make_table, calibrate):
    areas = []
    for informative in (True, False):
        table = make_table(1500, informative=informative)
        calibration = calibrate(table)
        _, doubts, _ = module.fit_error_classifier(table, calibration, "lrp")
        known = ~np.isnan(doubts[:, 0])
        wrong = calibration.predictions(table.logits)[:, 0] != table.label[:, 0]
        # among calls of one side, since the side alone tells something
        called = calibration.predictions(table.logits)[:, 0] == 0
        areas.append(roc_auc_score(wrong[known & called], doubts[known & called, 0]))
    assert areas[0] > 0.65
    assert areas[1] < 0.6


def test_too_few_errors_are_recorded_by_name(module, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    label = table.label.copy()
    label[:, 1] = calibration.predictions(table.logits)[:, 1]
    perfect = type(table)(**{**vars(table), "label": label})
    fitted, doubts, reasons = module.fit_error_classifier(perfect, calibration, "lrp")
    assert list(reasons) == ["edema"]
    assert reasons["edema"].startswith("0 wrong and 297 right")
    assert np.isnan(doubts[:, 1]).all()
    assert np.isnan(fitted.doubt(table, calibration)[:, 1]).all()
    assert fitted.weights[1] == ()
