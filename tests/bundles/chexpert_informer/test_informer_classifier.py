"""From doubts to decisions: numbers against the formulas, words against the numbers, files against their content."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from shared.data.errors import DataError
from shared.evaluation.predictions import read_predictions, write_predictions
from tests.bundles.chexpert_informer.collected_findings import CLASSES, Collector, collected


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def table(scripts):
    return scripts("doubt_collector").collected_doubts(collected(), CLASSES)


def test_what_is_read_back_judges_as_what_was_fitted(scripts, calibrated, table):
    classifier = calibrated()
    found = classifier(table)
    scale = classifier.calibration
    probabilities = expit(scale.slope * table.logits + scale.intercept)
    np.testing.assert_allclose(found.probabilities, probabilities)
    np.testing.assert_array_equal(found.predictions, probabilities > scale.thresholds)
    distances = table.distances["lrp"]
    for image in range(len(table)):
        for k in range(3):
            d = sum(distances[image, k, j] for j in range(3) if j != k)
            assert found.distinctiveness[image, k] == pytest.approx(d)
            assert found.flagged[image, k] == (d < -classifier.alarm.thresholds[k])
            p, called = probabilities[image, k], found.predictions[image, k]
            assert found.confidence[image, k] == pytest.approx(max(0, 2 * (p if called else 1 - p) - 1))
    assert found.flagged.any()
    assert not found.flagged.all()
    np.testing.assert_array_equal(found.after_alarm, found.predictions)


def test_the_paper_swaps_what_is_flagged(calibrated, table):
    found = calibrated(action="swap")(table)
    np.testing.assert_array_equal(found.after_alarm != found.predictions, found.flagged)


def test_reasons_say_the_numbers_that_decided(calibrated, table):
    classifier = calibrated()
    found = classifier(table)
    image, finding = np.argwhere(found.flagged)[0]
    reason = found.reasons[image, finding]
    numbers = re.search(r"; alarm: distinctiveness of the LRP map ([\d.]+) is below ([\d.]+); its map", reason).groups()
    d, tau = map(float, numbers)
    assert d == pytest.approx(found.distinctiveness[image, finding], abs=6e-4)
    assert tau == pytest.approx(-classifier.alarm.thresholds[finding], abs=6e-4)
    others = [j for j in range(3) if j != finding]
    nearest = min(others, key=lambda j: table.distances["lrp"][image, finding, j])
    assert f"most like that of {CLASSES[nearest]}" in reason
    image, finding = np.argwhere(~found.flagged)[0]
    assert "; no alarm: distinctiveness" in found.reasons[image, finding]
    called = found.predictions[image, finding]
    assert found.reasons[image, finding].startswith("present: probability" if called else "absent: probability")


def test_a_map_without_a_direction_is_never_flagged_and_says_so(scripts, calibrated):
    content = collected()
    classifier = calibrated()
    content.outputs["distances_lrp"][5, 1] = content.outputs["distances_lrp"][5, :, 1] = np.nan
    found = classifier(scripts("doubt_collector").collected_doubts(content, CLASSES))
    assert not found.flagged[5, 1]
    assert "the map is 0 everywhere" in found.reasons[5, 1]


def test_only_what_the_alarm_is_made_of_is_needed(calibrated):
    assert calibrated().needs() == {"lrp"}
    assert calibrated(alarm="test_time_augmentation").needs() == {"input_x_gradient", "tta_std"}
    assert calibrated(alarm="entropy").needs() == {"input_x_gradient"}
    assert calibrated(alarm="informer_steps_lrp", extended=["lrp"]).needs() == {"lrp"}


def test_the_table_is_a_valid_predictions_file(scripts, calibrated, table, tmp_path):
    found = calibrated()(table)
    rows = scripts("findings_table").findings_table(table, found, collected().records, labelled=True)
    write_predictions(tmp_path / "predictions.csv", rows)
    read = read_predictions(tmp_path / "predictions.csv")
    np.testing.assert_array_equal(read["alarm_edema"] == 1, found.flagged[:, 1])
    np.testing.assert_array_equal(read["decision_edema"] == "defer", found.flagged[:, 1])
    np.testing.assert_allclose(read["distinctiveness_effusion"], found.distinctiveness[:, 2])
    assert read["id"].tolist() == table.id.tolist()
    assert read["label_atelectasis"].isna().sum() == np.isnan(table.label[:, 0]).sum()
    flagged = found.flagged.any(axis=1)
    assert (rows["reason"][~flagged] == "no prediction is flagged").all()
    assert rows["reason"][flagged].str.contains("; alarm: distinctiveness").all()
    assert "label_edema" not in scripts("findings_table").findings_table(
        table, found, collected().records, labelled=False
    )


def test_a_finding_that_is_absent_everywhere_is_not_calibrated_but_told(calibrated, table, tmp_path, caplog):
    content = collected()
    for record in content.records:
        record["label"][1] = 0
    classifier = calibrated(content)
    assert "edema is not calibrated, its threshold is 0.5: all 80 labels are class 0" in caplog.text
    found = classifier(table)
    assert not found.flagged[:, 1].any()
    assert all("no alarm" in reason for reason in found.reasons[:, 1])
    saved = json.loads((tmp_path / "calibration.json").read_text())
    assert "all 80 labels" in saved["label_calibration"]["undetermined"]["edema"]
    assert (saved["n"], saved["n_patients"]) == (80, 40)


def test_what_does_not_fit_is_refused(scripts, calibrated, tmp_path):
    load = scripts("informer_classifier").InformerClassifier.load
    with pytest.raises(DataError, match="alarm is 'informer_lime', expected one of no_alarm, random"):
        calibrated(alarm="informer_lime")
    calibrated()
    files = tmp_path / "calibration.json", tmp_path / "model.pt"
    with pytest.raises(DataError, match="fitted for image_size 32, but used with 320"):
        load(*files, CLASSES, 320)
    with pytest.raises(DataError, match="fitted for classes"):
        load(*files, CLASSES[::-1], 32)
    content = json.loads(files[0].read_text())
    content["alarms"]["informer_lrp"]["source"]["kind"] = "oracle"
    files[0].write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"calibration\.json: alarm informer_lrp: source kind 'oracle'"):
        load(*files, CLASSES, 32)
    torch.save({"w": torch.ones(1)}, files[1])
    with pytest.raises(DataError, match="calibrated for weights with SHA-256"):
        load(*files, CLASSES, 32)


def test_without_any_finding_to_fit_calibrating_ends(calibrated):
    content = collected()
    for record in content.records:
        record["label"] = [0, 0, 0]
    with pytest.raises(DataError, match="no finding can be calibrated on 80 validation images: atelectasis: all 80"):
        calibrated(content)


def test_inferring_writes_the_file(scripts, calibrated, tmp_path):
    classifier = calibrated()
    content = collected(5)
    for record in content.records:
        del record["label"]
    writer = scripts("findings_table").FindingsWriter(Collector(content), classifier, CLASSES, tmp_path / "out")
    writer(None)
    written = pd.read_csv(tmp_path / "out" / "predictions.csv", dtype={"id": str})
    assert written["id"].tolist() == ["000", "001", "002", "003", "004"]
    assert "label_edema" not in written
