"""The handlers of an evaluation: what they write is what was collected and measured, and the files are whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ignite.engine import Engine

from shared.calibration.classifier_evaluation import (
    ClassifierEvaluation,
    PredictionsWriter,
    evaluate_predictions,
    prediction_rows,
)
from shared.calibration.output_collector import CollectedOutputs, OutputCollector
from shared.evaluation.predictions import read_predictions
from tests.shared.calibration.collected_samples import CLASSES, make_collected, make_collector, run


@pytest.fixture(autouse=True)
def few_donors_will_do(monkeypatch):
    """The sets here are small: resample donors however few they are."""
    monkeypatch.setattr("shared.evaluation.resampling_groups.MINIMUM_GROUPS", 1)


@pytest.fixture(scope="module")
def collected():
    return make_collected()


def test_predictions_are_written_as_they_are_and_read_back(tmp_path):
    collected = make_collected()
    # the probability of a class underflows where its logit is far below
    collected.outputs["probabilities"][0] = 0.0, 1.0, 0.0
    run(PredictionsWriter(make_collector(collected), CLASSES, tmp_path, labelled=True))
    table = read_predictions(tmp_path / "predictions.csv")
    assert table["id"].tolist() == [record["id"] for record in collected.records]
    expected = [CLASSES[record["label"]] if "label" in record else "" for record in collected.records]
    assert table["label"].tolist() == expected
    assert table["kind"].tolist() == [record.get("kind", "") for record in collected.records]
    assert table["donor"].tolist() == [record.get("donor", "") for record in collected.records]
    assert table["prediction"].tolist() == [CLASSES[index] for index in collected.outputs["prediction"]]
    assert table["decision"].tolist() == collected.outputs["decision"].tolist()
    assert table["reason"].tolist() == collected.outputs["reason"].tolist()
    for index, name in enumerate(CLASSES):
        probability = collected.outputs["probabilities"][:, index]
        np.testing.assert_array_equal(table[f"probability_{name}"], probability)
        np.testing.assert_allclose(np.exp(table[f"logit_{name}"]), probability, rtol=1e-12)
        np.testing.assert_array_equal(table[f"median_{name}"], collected.outputs["median"][:, index])
    assert table["logit_cat"][0] == -np.inf
    assert table["logit_dog"][0] == 0
    for name in ("confidence", "outlier_score", "outlier_energy", "predictive_entropy", "mutual_information"):
        np.testing.assert_array_equal(table[name], collected.outputs[name])


def test_inference_knows_no_labels(collected):
    table = prediction_rows(collected, CLASSES, labelled=False)
    assert "label" not in table
    assert table.columns[:2].tolist() == ["id", "logit_cat"]


def test_the_kind_of_a_lesion_is_none_of_outliers(collected):
    """Else a slide with a label and a kind of metastasis would be counted among what belongs to no class."""
    records = [record | ({"kind": "micro"} if "label" in record else {}) for record in collected.records]
    table = prediction_rows(CollectedOutputs(records, collected.outputs), CLASSES, labelled=True)
    assert table["kind"].tolist() == ["" if "label" in record else record["kind"] for record in collected.records]
    labelled = collected.where(["label" in record for record in records])
    only = CollectedOutputs([record for record in records if "label" in record], labelled.outputs)
    assert "kind" not in prediction_rows(only, CLASSES, labelled=True)


def test_evaluating_writes_predictions_and_metrics(tmp_path, caplog):
    collected = make_collected()
    datalist, weights = tmp_path / "datalist.json", tmp_path / "model.pt"
    datalist.write_text("{}")
    weights.write_bytes(b"weights")
    # a network that is never accepted has no accepted accuracy
    decision = collected.outputs["decision"]
    decision[decision == "accept"] = "defer"
    bundle = tmp_path / "pets"
    output = bundle / "eval"
    output.mkdir(parents=True)
    run(
        ClassifierEvaluation(
            make_collector(collected),
            CLASSES,
            output,
            bundle,
            [datalist],
            [weights],
            seed=7,
            n_bins=10,
            resamples=50,
            target_risks=[0.05],
            group_key="donor",
        )
    )
    content = json.loads((output / "metrics.json").read_text())
    assert (content["bundle"], content["split"], content["n"]) == ("pets", "test", 120)
    assert content["provenance"]["seed"] == 7
    assert [entry["file"] for entry in content["provenance"]["weights"]] == ["model.pt"]
    expected = evaluate_predictions(
        collected, CLASSES, seed=7, n_bins=10, resamples=50, target_risks=[0.05], group_key="donor"
    )
    assert content["metrics"]["accuracy"]["value"] == expected["metrics"]["accuracy"]["value"]
    assert content["metrics"]["accuracy"]["ci95"] == pytest.approx(expected["metrics"]["accuracy"]["ci95"])
    assert content["metrics"]["accepted_accuracy"] == {
        "value": None,
        "ci95": [None, None],
        "reason": "not defined on this data (nan)",
    }
    assert content["calibration"]["after"]["n_bins"] == 10
    assert len(read_predictions(output / "predictions.csv")) == 144
    assert content["resampled"] == {"by": "donor", "n": 5}
    assert not caplog.records


def test_a_fall_back_is_logged(tmp_path, caplog):
    collected = make_collected()
    files = {"data_files": [], "weight_files": []}
    run(
        ClassifierEvaluation(
            make_collector(collected), CLASSES, tmp_path, tmp_path, **files, resamples=10, group_key="ward"
        )
    )
    assert "120 of 120 records have no 'ward'" in caplog.text
    assert "120 of 120" in json.loads((tmp_path / "metrics.json").read_text())["resampled"]["warning"]


def test_it_must_stand_behind_its_collector(tmp_path):
    with pytest.raises(RuntimeError, match="list it before this handler"):
        run(PredictionsWriter(OutputCollector([]), CLASSES, tmp_path, labelled=False))


def test_further_measures_see_the_labelled_samples_and_enter_the_file(tmp_path):
    collector = OutputCollector(make_collected().records)
    collector.collected = make_collected()
    further = {"shares": lambda labelled: {"n": len(labelled.records), "kinds": "kind" in labelled.records[0]}}
    handler = ClassifierEvaluation(
        collector, CLASSES, tmp_path / "eval", tmp_path, [], [], resamples=20, further=further
    )
    handler(Engine(lambda *_: None))
    content = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert content["shares"] == {"n": 120, "kinds": False}
