"""What evaluating writes, by itself: numbers against scikit-learn and the formulas, files against each other."""

from __future__ import annotations

import json
import logging

import ignite.distributed as idist
import numpy as np
import pandas as pd
import pytest
from ignite.engine import Engine, Events
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from shared.data.errors import DataError
from tests.bundles.chexpert_informer.collected_findings import CLASSES, Collector, collected


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def measured(scripts, calibrated):
    """Measure 60 images of 30 patients; returns records, doubts, what is said, and the measures."""

    def measure(content=None, seed=0, **options):
        classifier = calibrated()
        content = content or collected(60, seed=1)
        doubts = scripts("doubt_collector").collected_doubts(content, CLASSES)
        found = classifier(doubts)
        options = {"resamples": 20, "n_bins": 5, **options}
        measures = scripts("informer_evaluation").measure_findings(
            doubts, found, classifier, content.records, seed=seed, **options
        )
        return doubts, found, measures

    return measure


def test_every_finding_is_measured_on_its_known_labels(measured):
    doubts, found, measures = measured()
    assert (measures["n"], measures["classes"]) == (60, list(CLASSES))
    assert np.isnan(doubts.label).any(axis=0).all(), "each finding has unknown labels"
    areas = []
    for k, name in enumerate(CLASSES):
        known = ~np.isnan(doubts.label[:, k])
        label, called = doubts.label[known, k], found.predictions[known, k]
        areas.append(roc_auc_score(label, found.probabilities[known, k]))
        expected = {
            f"f1_{name}": f1_score(label, called),
            f"sensitivity_{name}": recall_score(label, called),
            f"specificity_{name}": recall_score(label, called, pos_label=0),
            f"roc_auc_{name}": areas[-1],
        }
        for key, value in expected.items():
            assert measures["metrics"][key]["value"] == pytest.approx(value), key
        wrong = np.mean(called != label)
        assert measures["selective"][name]["risk_at_full_coverage"]["value"] == pytest.approx(wrong)
    assert measures["metrics"]["macro_roc_auc"]["value"] == pytest.approx(np.mean(areas))


def test_decision_curves_are_the_net_benefit_of_the_calibrated_probability(measured):
    doubts, found, measures = measured()
    for k, name in enumerate(CLASSES):
        curve = measures["decision_curves"][name]
        known = ~np.isnan(doubts.label[:, k])
        label, probability = doubts.label[known, k], found.probabilities[known, k]
        assert (curve["n"], curve["threshold"][0], curve["threshold"][-1]) == (known.sum(), 0.01, 0.99)
        for threshold, benefit in zip(curve["threshold"][::14], curve["net_benefit"][::14], strict=True):
            act = probability > threshold
            hits, false_alarms = np.mean(act & (label == 1)), np.mean(act & (label == 0))
            assert benefit == pytest.approx(hits - false_alarms * threshold / (1 - threshold), abs=1e-12)


def test_subgroups_have_the_macro_metrics_of_their_images(measured):
    content = collected(60, seed=1)
    for index, record in enumerate(content.records):
        record["sex"] = "FM"[index % 2]
    doubts, found, measures = measured(content, subgroup_keys=["sex", "view"])
    assert list(measures["subgroups"]) == ["sex", "view"]
    for start, entry in enumerate(measures["subgroups"]["sex"]["groups"]):
        scores = []
        for k in range(len(CLASSES)):
            label = doubts.label[start::2, k]
            known = ~np.isnan(label)
            scores.append(f1_score(label[known], found.predictions[start::2, k][known]))
        assert (entry["name"], entry["n"]) == ("FM"[start], 30)
        assert entry["metrics"]["macro_f1"]["value"] == pytest.approx(np.mean(scores))


def test_calibration_is_told_before_and_after(measured):
    doubts, found, measures = measured()
    brier = []
    for stage, probability in (("before", 1 / (1 + np.exp(-doubts.logits))), ("after", found.probabilities)):
        known = ~np.isnan(doubts.label[:, 1])
        expected = np.mean((probability[known, 1] - doubts.label[known, 1]) ** 2)
        brier.append(measures["calibration"][stage]["labels"]["edema"]["brier"]["value"])
        assert brier[-1] == pytest.approx(expected)
    assert brier[0] != brier[1]


def test_a_finding_without_a_label_is_left_out_and_none_at_all_is_an_error(measured):
    content = collected(60, seed=1)
    for record in content.records:
        record["label"][1] = None
    _, _, measures = measured(content)
    assert measures["classes"] == ["atelectasis", "effusion"]
    assert set(measures["selective"]) == set(measures["decision_curves"]) == {"atelectasis", "effusion"}
    assert not [key for key in measures["metrics"] if "edema" in key]
    assert set(measures["thresholds"]) == set(CLASSES), "what was fitted is still known"
    for record in content.records:
        record["label"] = [None] * 3
    with pytest.raises(DataError, match="there is no labelled image to evaluate; check the datalist's section"):
        measured(content)


def test_patients_are_drawn_as_wholes_unless_they_are_too_few(measured):
    assert measured()[2]["resampled"] == {"by": "patient", "n": 30}
    content = collected(60, seed=1)
    for index, record in enumerate(content.records):
        record["patient"] = f"p{index % 5}"
    resampled = measured(content)[2]["resampled"]
    assert (resampled["by"], resampled["n"]) == ("sample", 60)
    assert "of 5 patients, too few to resample" in resampled["warning"]


def test_the_seed_decides_the_intervals_and_nothing_else(measured):
    first, again, other = (measured(seed=seed)[2]["metrics"] for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert {key: entry["value"] for key, entry in first.items()} == {k: entry["value"] for k, entry in other.items()}


def test_figures_hold_the_alarms_asked_for_in_that_order(scripts):
    evaluation = scripts("alarms.evaluation").AlarmEvaluation
    sets = pd.DataFrame({"alarm": ["a", "a", "b", "b", "c", "c"], "mean_f1": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})
    curves = pd.DataFrame(
        {
            "finding": ["edema"] * 4 + ["effusion"] * 2,
            "alarm": ["a", "a", "c", "c", "b", "b"],
            "coverage": [0.5, 1.0, 0.4, 1.0, 0.3, 1.0],
            "risk": [0.0, 0.1, 0.2, 0.1, 0.3, 0.2],
        }
    )
    tables = {"bootstrapped_sets": sets, "risk_coverage": curves}
    figures = scripts("informer_evaluation").alarm_figures(evaluation({}, tables), ["c", "never fitted", "a", "c"])
    assert list(figures["bootstrapped_sets"]) == ["c", "a"]
    assert figures["bootstrapped_sets"]["c"] == [0.5, 0.6]
    assert figures["risk_coverage"] == {
        "edema": {
            "a": {"coverage": [0.5, 1.0], "risk": [0.0, 0.1]},
            "c": {"coverage": [0.4, 1.0], "risk": [0.2, 0.1]},
        }
    }


class TestHandler:
    @pytest.fixture
    def evaluate(self, scripts, calibrated, tmp_path, monkeypatch):
        """Run the handler as an evaluator does; returns the folder that it writes to."""

        def run(content=None, rank=0, **options):
            calibrated()
            files = {"calibration_file": tmp_path / "calibration.json", "weights_file": tmp_path / "model.pt"}
            classifier = scripts("informer_classifier").DeferredInformer(**files, classes=CLASSES, image_size=32)
            (tmp_path / "datalist.json").write_text("{}")
            options = {"resamples": 20, "bootstrapped_sets": 4, "n_bins": 5, **options}
            handler = scripts("informer_evaluation").InformerEvaluation(
                Collector(content or collected(60, seed=1)),
                classifier,
                CLASSES,
                tmp_path / "eval",
                tmp_path / "some_bundle",
                data_files=[tmp_path / "datalist.json"],
                weight_files=[tmp_path / "model.pt"],
                settings={"image_size": 32},
                default_settings={"image_size": 320},
                **options,
            )
            engine = Engine(lambda *_: None)
            handler.attach(engine)
            handler.attach(engine)
            assert engine.has_event_handler(handler, Events.COMPLETED)
            monkeypatch.setattr(idist, "get_rank", lambda: rank)
            engine.run([0])
            return tmp_path / "eval"

        return run

    def test_the_files_agree(self, scripts, evaluate, tmp_path):
        folder = evaluate(shown_alarms=["entropy", "never fitted"], prevalences=(0.1,), incidence={"edema": 1000})
        metrics = json.loads((folder / "metrics.json").read_text())
        table = pd.read_csv(folder / "predictions.csv")
        doubts = scripts("alarms.doubt_table").Doubts.load(folder / "doubts.npz")
        assert metrics["bundle"] == "some_bundle"
        assert (metrics["split"], metrics["n"]) == ("test", 60) == ("test", len(table)) == ("test", len(doubts))
        assert metrics["model"] == {"settings": {"image_size": 32}, "default": {"image_size": 320}}
        assert metrics["alarm"] == {"name": "informer_lrp", "action": "defer", "method": "lrp"}
        assert list(metrics["alarm_figures"]["bootstrapped_sets"]) == ["informer_lrp", "entropy"]
        assert metrics["alarms"]["titles"]["informer_lrp"] == "INFORMER, LRP"
        assert "predictive_values" in metrics["alarms"]["alarms"]["informer_lrp"]
        np.testing.assert_allclose(doubts.logits, table[[f"logit_{name}" for name in CLASSES]], atol=1e-12)
        # the flags of the predictions file are those that the alarm is measured by
        flagged = metrics["alarms"]["alarms"]["informer_lrp"]["flagged"]
        for name in CLASSES:
            assert flagged[name]["share"] == pytest.approx(table[f"alarm_{name}"].mean()), name
        written = {path.name for path in (folder / "alarms").iterdir()}
        assert written == {"metrics.csv", "differences.csv", "bootstrapped_sets.csv", "risk_coverage.csv"}
        sets = pd.read_csv(folder / "alarms" / "bootstrapped_sets.csv")
        shown = metrics["alarm_figures"]["bootstrapped_sets"]["entropy"]
        np.testing.assert_allclose(sets.loc[sets["alarm"] == "entropy", "mean_f1"], shown)
        files = metrics["provenance"]
        assert "datalist.json" in json.dumps(files)
        assert "model.pt" in json.dumps(files)

    def test_too_few_patients_are_a_warning(self, evaluate, caplog):
        content = collected(60, seed=1)
        for record in content.records:
            record["patient"] = "one"
        with caplog.at_level(logging.WARNING):
            evaluate(content)
        assert "too few to resample" in caplog.text

    def test_other_processes_write_nothing(self, evaluate):
        assert not evaluate(rank=1).exists()

    def test_a_collector_that_collected_nothing_is_an_error(self, scripts):
        with pytest.raises(RuntimeError, match="the collector has nothing"):
            scripts("informer_evaluation").InformerEvaluation(
                Collector(None), lambda _: None, CLASSES, "out", "bundle", [], [], {}, {}
            )(None)
