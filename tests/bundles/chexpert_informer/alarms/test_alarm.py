"""Fitted alarms: thresholds of the search, JSON, findings that cannot be fitted, and the rates they promise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shared.data.errors import DataError
from tests.oracles import informer as oracle


@pytest.fixture(scope="module")
def alarm(scripts):
    return scripts("alarms.alarm")


@pytest.fixture(scope="module")
def fitted(alarm, make_table, calibrate):
    table = make_table(methods=("lrp", "grad_cam"))
    calibration = calibrate(table)
    return table, calibration, alarm.fit_alarms(table, calibration, alarm.AlarmSettings(extended=["lrp"]))


def test_all_alarms_and_controls_are_fitted(fitted):
    table, calibration, alarms = fitted
    assert [*alarms] == [
        "no_alarm",
        "random",
        "moved_threshold",
        "entropy",
        "calibrated_entropy",
        "maximum_probability",
        "error_probability",
        "test_time_augmentation",
        "monte_carlo_dropout",
        "informer_lrp",
        "informer_grad_cam",
        "informer_steps_lrp",
        "pair_classifier_lrp",
        "pair_classifier_entropy_lrp",
        "informer_entropy_lrp",
        "informer_logit_lrp",
    ]
    flags = {name: fitted.flags(fitted.doubt(table, calibration)) for name, fitted in alarms.items()}
    assert not flags["no_alarm"].any()
    np.testing.assert_array_equal(flags["entropy"], flags["maximum_probability"])
    assert flags["informer_lrp"].any()


@pytest.mark.parametrize("name", ["entropy", "informer_lrp", "moved_threshold", "informer_steps_lrp", "random"])
def test_flags_reach_the_f1_that_was_found(fitted, name):
    table, calibration, alarms = fitted
    predictions = calibration.predictions(table.logits)
    flags = alarms[name].flags(alarms[name].doubt(table, calibration))
    for k, finding in enumerate(table.classes):
        found = alarms[name].found[finding]
        swapped = oracle.swap(predictions[:, k], flags[:, k])
        assert float(oracle.exact_f1(swapped, table.label[:, k])) == found["f1_after"]
        assert float(oracle.exact_f1(predictions[:, k], table.label[:, k])) == found["f1_before"]
        assert found["flagged"] == (flags[:, k] & ~np.isnan(table.label[:, k])).sum()


def test_informer_flags_small_distinctiveness_and_no_empty_map(fitted, scripts):
    table, calibration, alarms = fitted
    informer = alarms["informer_lrp"]
    d = scripts("alarms.distinctiveness").distinctiveness(table.distances["lrp"])
    flags = informer.flags(informer.doubt(table, calibration))
    np.testing.assert_array_equal(flags, d < -informer.thresholds)
    assert not flags[:3, 1].any()
    known = ~np.isnan(table.label[:3, 1])
    assert informer.found["edema"]["undirected"] == known.sum()


def test_grid_is_the_published_search(alarm, scripts, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    settings = alarm.AlarmSettings(search="grid", step=0.01, extended=[])
    informer = alarm.fit_alarms(table, calibration, settings)["informer_lrp"]
    # multiples of the step
    finite = informer.thresholds[np.isfinite(informer.thresholds)]
    assert finite.size
    np.testing.assert_allclose(finite / 0.01, np.round(finite / 0.01), atol=1e-9)
    with pytest.raises(ValueError, match="exact or grid"):
        alarm.AlarmSettings(search="guess")


def test_classifiers_are_searched_on_doubts_that_do_not_know_the_patient(fitted, scripts):
    table, calibration, alarms = fitted
    pairs = scripts("alarms.pair_classifier")
    source, held, _ = pairs.fit_error_classifier(table, calibration, "lrp")
    search = scripts("alarms.threshold_search").exact_threshold
    predictions = calibration.predictions(table.logits)
    for k in range(3):
        found = search(held[:, k], predictions[:, k], table.label[:, k])
        assert alarms["pair_classifier_lrp"].thresholds[k] == found.threshold
    assert alarms["pair_classifier_lrp"].source == source


def test_reading_back_gives_the_same_flags(fitted, scripts, make_table):
    _, calibration, alarms = fitted
    table = make_table(seed=1, methods=("lrp", "grad_cam"))
    read_alarm = scripts("alarms.fitted_alarm").FittedAlarm.from_json
    for name, alarm in alarms.items():
        content = json.loads(json.dumps(alarm.to_json(), allow_nan=False))
        read = read_alarm(name, content)
        assert read.source == alarm.source
        assert (read.name, read.classes, read.found) == (name, alarm.classes, alarm.found)
        np.testing.assert_array_equal(read.thresholds, alarm.thresholds)
        np.testing.assert_array_equal(
            read.flags(read.doubt(table, calibration)), alarm.flags(alarm.doubt(table, calibration))
        )


def test_wrong_files_are_refused(fitted, scripts):
    _, _, alarms = fitted
    read = scripts("alarms.fitted_alarm").FittedAlarm.from_json
    content = alarms["entropy"].to_json()
    with pytest.raises(DataError, match="kind 'oracle' is not one of"):
        read("entropy", content | {"source": {"kind": "oracle"}})
    with pytest.raises(DataError, match="run calibrating again"):
        read("entropy", {"source": {"kind": "entropy"}})
    with pytest.raises(DataError, match="'never'"):
        read("entropy", content | {"thresholds": dict.fromkeys(alarms["entropy"].classes, "maybe")})


def test_a_finding_without_positives_is_named_and_never_flagged(alarm, scripts, make_table, calibrate):
    table = make_table()
    label = table.label.copy()
    label[:, 1] = 0
    negative = type(table)(**{**vars(table), "label": label})
    with pytest.raises(DataError, match="edema"):
        calibrate(negative)
    calibration = calibrate(negative, undetermined="record")
    assert list(calibration.undetermined) == ["edema"]
    for name, fitted in alarm.fit_alarms(negative, calibration).items():
        flags = fitted.flags(fitted.doubt(negative, calibration))
        assert not flags[:, 1].any(), name
        assert "edema" not in fitted.found
        if name != "no_alarm":
            assert "edema" in fitted.not_fitted
        text = scripts("alarms.reasons").alarm_reasons(fitted, fitted.doubt(negative, calibration))[0, 1]
        assert text.startswith("no alarm")


def test_alarms_of_other_findings_are_refused(fitted):
    table, calibration, alarms = fitted
    other = type(table)(**{**vars(table), "classes": ("a", "b", "c")})
    with pytest.raises(DataError, match="was fitted for"):
        alarms["entropy"].doubt(other, calibration)


def test_reasons_say_what_was_compared(fitted, scripts):
    table, calibration, alarms = fitted
    reasons = scripts("alarms.reasons").alarm_reasons
    informer = alarms["informer_lrp"]
    doubt = informer.doubt(table, calibration)
    texts, flags = reasons(informer, doubt), informer.flags(doubt)
    for index in np.ndindex(*flags.shape):
        assert texts[index].startswith("alarm: ") == flags[index]
    row, k = np.argwhere(flags)[0]
    assert texts[row, k] == (
        f"alarm: distinctiveness of the LRP map {-doubt[row, k]:.4g} is below {-informer.thresholds[k]:.4g}"
    )
    assert texts[0, 1] == "no alarm: the map is 0 everywhere, so that it cannot be compared"
    for alarm in alarms.values():
        doubt = alarm.doubt(table, calibration)
        flags, texts = alarm.flags(doubt), reasons(alarm, doubt)
        assert all(texts[index].startswith("alarm") == flags[index] for index in np.ndindex(*flags.shape))
