"""The evaluation against scikit-learn on the images that each resample drew, and against what must hold."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ttest_rel
from sklearn import metrics as sk

from shared.data.errors import DataError
from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.resampling_groups import ResamplingGroups


@pytest.fixture(scope="module")
def applied(scripts, make_table, calibrate):
    """Alarms fitted on one table and applied to another."""
    table = make_table(methods=("lrp",))
    calibration = calibrate(table)
    alarms = scripts("alarms.alarm").fit_alarms(table, calibration)
    return scripts("alarms.applied").apply_alarms(alarms, calibration, make_table(150, seed=1))


@pytest.fixture(scope="module")
def evaluation(scripts, applied):
    options = {"resamples": 200, "prevalences": (0.02, 0.2), "incidence": {"edema": 1_000_000}}
    return scripts("alarms.evaluation").evaluate_applied(applied, **options)


def slow_measures(applied, rows, alarm, k):
    """All measures of one alarm and finding on the drawn images, by scikit-learn."""
    rows = rows[~np.isnan(applied.label[rows, k])]
    y, called, margin = applied.label[rows, k], applied.prediction[rows, k], applied.margin[rows, k]
    flags = applied.flags[alarm][rows, k]
    swapped = np.where(flags, 1 - called, called)
    rates = {
        "f1": sk.f1_score,
        "sensitivity": sk.recall_score,
        "specificity": lambda truth, call: sk.recall_score(truth, call, pos_label=0),
        "error_rate": lambda truth, call: np.mean(truth != call),
    }
    found = {("before", name): rate(y, called) for name, rate in rates.items()}
    found["before", "roc_auc"] = sk.roc_auc_score(y, margin)
    found |= {("swapping", name): rates[name](y, swapped) for name in ("f1", "sensitivity", "specificity")}
    found["swapping", "roc_auc"] = sk.roc_auc_score(y, np.where(flags, -margin, margin))
    found |= {("deferring", name): rate(y[~flags], called[~flags]) for name, rate in rates.items()}
    found["deferring", "coverage"] = np.mean(~flags)
    if alarm in applied.doubts:
        doubt = np.nan_to_num(applied.doubts[alarm][rows, k], nan=-1e9, neginf=-1e9, posinf=1e9)
        found["ranking", "error_auc"] = sk.roc_auc_score(y != called, doubt)
    return found


def test_every_resample_equals_sklearn_on_the_drawn_images(scripts, applied):
    weights = np.concatenate(list(bootstrap_weights(150, 3, groups=applied.patient)))
    measures = scripts("alarms.resampled").resampled_measures(applied, weights)
    for r, row in enumerate(weights):
        drawn = np.repeat(np.arange(150), row.astype(int))
        for a, alarm in enumerate(applied.flags):
            for k in range(3):
                for key, value in slow_measures(applied, drawn, alarm, k).items():
                    place = 0 if key[0] == "before" else a
                    assert measures[key][r, place, k] == pytest.approx(value, rel=1e-9), (key, alarm)


def test_random_flags_are_what_flags_dealt_at_random_give_on_average(scripts, applied):
    names = [*applied.flags]
    measures = scripts("alarms.resampled").resampled_measures(applied, np.ones((1, 150)))
    rng = np.random.default_rng(0)
    k, name = 0, "informer_lrp"
    known = ~np.isnan(applied.label[:, k])
    y, called, flags = applied.label[known, k], applied.prediction[known, k], applied.flags[name][known, k]
    assert flags.any()
    drawn = [np.where(rng.permutation(flags), 1 - called, called) for _ in range(800)]
    found = {metric: measures["random_flags", metric][0, names.index(name), k] for metric in ("f1", "sensitivity")}
    assert found["sensitivity"] == pytest.approx(np.mean([sk.recall_score(y, d) for d in drawn]), abs=0.005)
    assert found["f1"] == pytest.approx(np.mean([sk.f1_score(y, d) for d in drawn]), abs=0.005)


def test_report_holds_values_intervals_and_paired_differences(scripts, applied, evaluation):
    report = evaluation.report
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    rows = np.arange(150)
    informer = report["alarms"]["informer_lrp"]
    slow = [slow_measures(applied, rows, "informer_lrp", k)["swapping", "f1"] for k in range(3)]
    f1 = informer["swapping"]["f1"]
    assert [f1[name]["value"] for name in applied.classes] == pytest.approx(slow)
    assert f1["mean"]["value"] == pytest.approx(np.mean(slow))
    assert f1["mean"]["ci95"][0] < f1["mean"]["value"] < f1["mean"]["ci95"][1]
    table_1 = {row["alarm"]: row for row in report["table_1"]}
    assert table_1["informer_lrp"]["mean"] == f1["mean"]["value"]

    # the paired interval, drawn again by hand
    weights = np.concatenate(list(bootstrap_weights(150, 200, seed=0, groups=applied.patient)))
    resampled = []
    for row in weights:
        drawn = np.repeat(rows, row.astype(int))
        both = [np.mean([slow_f1(applied, drawn, name, k) for k in range(3)]) for name in ("informer_lrp", "entropy")]
        resampled.append(both[0] - both[1])
    entry = informer["differences"]["entropy"]["swapping"]["f1"]["mean"]
    np.testing.assert_allclose(entry["ci95"], np.quantile(resampled, [0.025, 0.975]), atol=1e-12)
    below, above = np.sum(np.array(resampled) <= 0), np.sum(np.array(resampled) >= 0)
    assert entry["p"] == min(1, 2 * (1 + min(below, above)) / 201)
    assert entry["standard_error"] == pytest.approx(np.std(resampled))
    assert entry["detectable"] == pytest.approx(2.8016 * np.std(resampled), rel=1e-4)


def slow_f1(applied, rows, alarm, k):
    rows = rows[~np.isnan(applied.label[rows, k])]
    flags = applied.flags[alarm][rows, k]
    return sk.f1_score(
        applied.label[rows, k], np.where(flags, 1 - applied.prediction[rows, k], applied.prediction[rows, k])
    )


def test_an_alarm_against_itself_or_no_flags_differs_nowhere(evaluation):
    alarms = evaluation.report["alarms"]
    same = alarms["entropy"]["differences"]["entropy"]["swapping"]["f1"]["mean"]
    assert (same["value"], same["p"], same["ci95"]) == (0, 1, None)
    assert same["reason"] == "all resamples agree"
    none = alarms["no_alarm"]["differences"]["random_flags"]["swapping"]["f1"]["edema"]
    assert (none["value"], none["p"]) == (0, 1)
    before = evaluation.report["before"]
    assert alarms["no_alarm"]["swapping"]["roc_auc"] == before["roc_auc"]
    assert alarms["no_alarm"]["deferring"]["error_rate"] == before["error_rate"]
    assert "ranking" not in alarms["no_alarm"]
    assert "ranking" not in alarms["moved_threshold"]
    assert [*evaluation.report["baselines"]] == ["entropy", "moved_threshold", "no_alarm", "random_flags"]


def test_maximum_probability_is_entropy_by_another_name(evaluation):
    alarms = evaluation.report["alarms"]
    for use in ("swapping", "deferring"):
        assert alarms["maximum_probability"][use] == alarms["entropy"][use]


def test_clinical_reading_follows_from_the_rates(scripts, evaluation):
    informer = evaluation.report["alarms"]["informer_lrp"]
    rates = [informer["swapping"][name]["edema"]["value"] for name in ("sensitivity", "specificity")]
    at = informer["predictive_values"]["edema"][1]
    assert at["prevalence"] == 0.2
    assert at["ppv"]["value"] == pytest.approx(rates[0] * 0.2 / (rates[0] * 0.2 + (1 - rates[1]) * 0.8))
    gain = informer["differences"]["entropy"]["swapping"]["sensitivity"]["edema"]
    cases = informer["additional_cases"]["entropy"]["edema"]["cases"]
    assert cases["value"] == pytest.approx(1_000_000 * gain["value"])
    if gain["ci95"] is not None:
        assert cases["ci95"] == pytest.approx([1_000_000 * end for end in gain["ci95"]])


def test_tables_are_long_and_hold_the_report(evaluation):
    metrics, differences = evaluation.tables["metrics"], evaluation.tables["differences"]
    row = metrics.query(
        "alarm == 'informer_lrp' and use == 'deferring' and metric == 'coverage' and finding == 'edema'"
    )
    entry = evaluation.report["alarms"]["informer_lrp"]["deferring"]["coverage"]["edema"]
    assert row["value"].item() == entry["value"]
    assert [row["low"].item(), row["high"].item()] == entry["ci95"]
    assert {"alarm", "against", "use", "metric", "finding", "value", "low", "high", "p"} == set(differences)
    assert set(differences["against"]) == {"entropy", "moved_threshold", "no_alarm", "random_flags"}
    curves = evaluation.tables["risk_coverage"].groupby(["alarm", "finding"])
    for (alarm, finding), curve in curves:
        assert curve["coverage"].iloc[-1] == 1
        error = evaluation.report["before"]["error_rate"][finding]["value"]
        assert curve["risk"].iloc[-1] == pytest.approx(error), alarm


def test_bootstrapped_sets_are_the_papers_figure(scripts, applied, evaluation):
    figure = evaluation.tables["bootstrapped_sets"]
    assert len(figure) == 30 * len(applied.flags)
    weights = np.concatenate(list(bootstrap_weights(150, 30, seed=0)))
    means = {
        name: [
            np.mean([slow_f1(applied, np.repeat(np.arange(150), row.astype(int)), name, k) for k in range(3)])
            for row in weights
        ]
        for name in ("informer_lrp", "entropy")
    }
    for name, values in means.items():
        np.testing.assert_allclose(figure.loc[figure["alarm"] == name, "mean_f1"], values, rtol=1e-12)
    summary = evaluation.report["bootstrapped_sets"]
    assert summary["alarms"]["informer_lrp"]["median"] == pytest.approx(np.median(means["informer_lrp"]))
    p = ttest_rel(means["informer_lrp"], means["entropy"]).pvalue
    assert summary["alarms"]["informer_lrp"]["paired_t_test_p"] == pytest.approx(p)
    assert summary["alarms"]["maximum_probability"]["paired_t_test_p"] is None


def test_p_values_of_paired_differences(scripts):
    p_values = scripts("alarms.interval_entries").paired_p_values
    draws = np.column_stack([np.arange(1, 100), np.zeros(99), np.r_[-1, np.arange(1, 99)], np.full(99, np.nan)])
    np.testing.assert_allclose(p_values(draws.astype(float)), [0.02, 1, 0.04, np.nan])


def test_results_of_folds_are_put_together_by_flags_and_ranks(scripts, applied, make_table, calibrate):
    module = scripts("alarms.applied")
    parts = []
    for seed in (2, 3):
        table = make_table(120, seed=seed)
        calibration = calibrate(table)
        alarms = scripts("alarms.alarm").fit_alarms(table, calibration)
        parts.append(module.apply_alarms(alarms, calibration, make_table(40, seed=seed + 10)))
    pooled = module.pool_alarms(parts)
    np.testing.assert_array_equal(pooled.flags["informer_lrp"][40:], parts[1].flags["informer_lrp"])
    np.testing.assert_array_equal(pooled.prediction[:40], parts[0].prediction)
    ranks, own = pooled.doubts["entropy"][:40, 0], parts[0].doubts["entropy"][:, 0]
    np.testing.assert_array_equal(np.argsort(ranks, kind="stable"), np.argsort(own, kind="stable"))
    assert (ranks.min(), ranks.max()) == (0.5 / 40, 39.5 / 40)
    assert np.isnan(pooled.doubts["informer_lrp"][:3, 1]).all()
    report = scripts("alarms.evaluation").evaluate_applied(pooled, resamples=20).report
    assert report["n"] == 80
    with pytest.raises(DataError, match="in two parts"):
        module.pool_alarms([parts[0], parts[0]])


def test_a_finding_without_positives_in_the_test_set_is_left_out_of_the_mean(scripts, applied):
    label = applied.label.copy()
    label[:, 1] = np.where(np.isnan(label[:, 1]), np.nan, 0)
    changed = type(applied)(**{**vars(applied), "label": label})
    report = scripts("alarms.evaluation").evaluate_applied(changed, resamples=50).report
    f1 = report["alarms"]["informer_lrp"]["swapping"]["f1"]
    assert f1["edema"]["value"] is None
    assert "not defined" in f1["edema"]["reason"]
    assert f1["mean"]["value"] == pytest.approx((f1["atelectasis"]["value"] + f1["effusion"]["value"]) / 2)
    assert report["findings"]["edema"] == {"known": int((~np.isnan(label[:, 1])).sum()), "positive": 0}


def test_wrong_arguments_are_refused(scripts, applied):
    evaluate = scripts("alarms.evaluation").evaluate_applied
    with pytest.raises(ValueError, match="baselines ensemble are not among"):
        evaluate(applied, baselines=["ensemble"])
    with pytest.raises(ValueError, match="incidence of fracture"):
        evaluate(applied, incidence={"fracture": 3.0})


def test_an_informative_alarm_beats_random_flags_and_a_random_one_does_not(scripts, make_table, calibrate):
    table = make_table(1500)
    calibration = calibrate(table)
    alarms = scripts("alarms.alarm").fit_alarms(table, calibration)
    test = make_table(1500, seed=1)
    report = scripts("alarms.evaluation").evaluate_alarms(alarms, calibration, test, resamples=100).report
    against = {name: entry["differences"]["random_flags"] for name, entry in report["alarms"].items()}
    assert against["informer_logit_lrp"]["swapping"]["f1"]["mean"]["ci95"][0] > 0
    assert against["informer_lrp"]["ranking"]["error_auc"]["mean"]["ci95"][0] > 0
    low, high = against["random"]["ranking"]["error_auc"]["mean"]["ci95"]
    assert low < 0 < high


def test_rates_on_which_all_resamples_agree_have_wilson_intervals_of_their_patients(scripts):
    module = scripts("alarms.evaluation")
    agreed = {"value": 1.0, "ci95": None, "reason": "all resamples agree"}
    label = np.array([[1, 0], [1, 1], [0, np.nan], [0, 0], [1, 1]])
    flags = {"alarm": np.array([[1, 0], [0, 0], [0, 0], [0, 0], [0, 0]], bool), "none": np.zeros((5, 2), bool)}
    applied = SimpleNamespace(label=label, flags=flags, classes=("a", "b"))
    groups = ResamplingGroups(np.array(list("pqrss")), "patient", 4)

    def found(alarm):
        entries = {
            use: {name: {"a": agreed, "b": agreed, "mean": agreed} for name in ("sensitivity", "coverage", "f1")}
            for use in ("swapping", "deferring")
        }
        return module._with_proportions(entries, applied, alarm, groups, 0.95)

    rates = found("alarm")
    assert rates["swapping"]["sensitivity"]["a"]["interval"] == "Wilson over 3 patients"
    assert rates["deferring"]["sensitivity"]["a"]["interval"] == "Wilson over 2 patients"
    assert rates["deferring"]["coverage"]["b"]["interval"] == "Wilson over 3 patients"
    assert rates["swapping"]["f1"]["a"] == rates["swapping"]["sensitivity"]["mean"] == agreed
    # without a flag everything is kept, and not by chance
    assert found("none")["deferring"]["coverage"]["a"] == agreed
