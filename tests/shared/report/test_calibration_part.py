"""Calibration errors, fitted numbers in words, and which calibration belongs to the results."""

from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.report.build import build_report
from shared.report.formats import number
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page


def test_calibration_before_and_after_with_null_band(page, metrics):
    before, after = (metrics["calibration"][stage]["top_label_l1_equal_width"] for stage in ("before", "after"))
    row = page.row("Expected calibration error (top label, equal width)")
    assert row[1].startswith(number(before["value"], 4))
    assert row[2].startswith(number(after["value"], 4))
    assert row[3] == " to ".join(number(end, 4) for end in after["null_band"])
    assert row[4] == ("within" if after["value"] <= after["null_band"][1] else "above") + " the null band"
    assert page.row("Temperature T") == ["Temperature T", "2.345"]
    assert page.row("Split that T was fitted on")[1] == "validation"


def test_calibration_is_told_in_words(page, four_classes, tmp_path):
    assert "of the accepted are wrong (target 5.0 %), at a coverage of 60.0 %." in page.text
    assert "there is no guarantee" in page.text
    assert "Not rejected: 96.8 % of the validation samples (97.0 % were aimed at)." in page.text

    def worse(content):
        content["temperature"]["bound"] = "lower"
        content["confidence"] |= {"reached": False, "accept": None, "risk": None, "coverage": 0.0}

    eval_dir = edited(four_classes, tmp_path / "worse", "models/calibration.json", worse)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "Temperature at its bound: the samples it was fitted on are separated so well" in text
    assert "Target risk of 5.0 % not reached on the validation samples: nothing is accepted." in text

    def sure(content):
        content["confidence"] |= {"guarantee": 0.1, "risk_bound": 0.048, "divided_by": "donor"}

    eval_dir = edited(four_classes, tmp_path / "sure", "models/calibration.json", sure)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "With probability 90.0 % the true risk is at most 4.8 %, if new samples are of the same kind" in text


def test_temperature_has_names_for_readers_and_four_digits(four_classes, tmp_path):
    def change(content):
        content["temperature"] |= {"value": 999.9999999999998, "gradient": 8.291e-10, "bound": None, "own": 0.5}

    page = Page(build_report(edited(four_classes, tmp_path, "models/calibration.json", change)).read_text("utf-8"))
    assert page.row("Temperature T")[1] == "1000"
    assert page.row("Mean negative log-likelihood at T = 1, in nats")[1] == "0.81"
    assert page.row("Slope of that loss over log T at the fitted T (0 at a minimum)")[1] == "8.291 \u00d7 10⁻¹⁰"
    assert page.row("Bound that stopped the fit")[1] == "none"
    assert page.row("own")[1] == "0.5"
    assert "loss_before" not in page.text


def test_calibration_is_set_apart_from_discrimination(page, four_classes, tmp_path, metrics):
    value = number(metrics["metrics"]["macro_f1"]["value"])
    assert "Calibration says nothing about discrimination" in page.text
    assert f"Read the null bands together with the metrics above: Macro F1 {value}," in page.text
    assert "at its bound" not in page.text
    eval_dir = edited(
        four_classes, tmp_path, "models/calibration.json", lambda c: c["temperature"].update(bound="upper")
    )
    useless = Page(build_report(eval_dir).read_text("utf-8"))
    assert "Warning. Temperature at its bound: on the samples it was fitted on the network is no better" in useless.text
    assert useless.text.count("Warning. ") == 1


def test_a_calibration_that_is_not_at_hand_is_named_and_not_fitted_anew(four_classes, tmp_path):
    used = {"file": "models/other.json", "sha256": "ab" * 32}

    def change(content):
        content["provenance"]["weights"].append(used)

    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", change)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "metrics.json was made with models/other.json (SHA-256 abababababab): name that file with" in text
    assert "run calibrating" not in text


def test_results_without_calibration_name_the_command_that_calibrates(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c["calibration"].pop("after"))
    (tmp_path / "bundle" / "models" / "calibration.json").unlink()
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "Fitted temperature and thresholds: not measured." in text
    assert "run calibrating" in text


def test_another_models_calibration_is_left_out(four_classes, tmp_path, page):
    assert "Contradiction" not in page.text
    assert page.row("Temperature T") == ["Temperature T", "2.345"]
    eval_dir = edited(four_classes, tmp_path, "models/calibration.json", lambda c: c.update(weights_sha256="00" * 32))
    other = Page(build_report(eval_dir).read_text(encoding="utf-8"))
    assert (
        "Contradiction. calibration.json was fitted for other weights (000000000000) than those of metrics"
        in other.text
    )
    assert "Fitted temperature and thresholds: not shown." in other.text
    assert "--calibration-file" in other.text
    assert "run calibrating" not in other.text
    assert "2.345" not in other.text
    assert not [row for row in other.rows if row and row[0] == "calibration.json"]
    # the one that the results were made with may lie elsewhere
    right = four_classes.parent / "models" / "calibration.json"
    mended = Page(build_report(eval_dir, calibration_file=right).read_text(encoding="utf-8"))
    assert "Contradiction" not in mended.text
    assert mended.row("Temperature T") == ["Temperature T", "2.345"]
    with pytest.raises(DataError, match=r"gone\.json: no such file"):
        build_report(eval_dir, calibration_file=tmp_path / "gone.json")


def test_a_calibration_written_anew_is_left_out(four_classes, tmp_path):
    used = {"file": "models/calibration.json", "sha256": sha256_file(four_classes.parent / "models/calibration.json")}
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c["provenance"]["weights"].append(used))
    assert "Contradiction" not in build_report(eval_dir).read_text("utf-8")
    file = tmp_path / "bundle" / "models" / "calibration.json"
    file.write_text(file.read_text().replace("2.345", "2.4"))
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "calibration.json is not the calibration that metrics.json was made with, and is left out" in text


def test_results_of_different_weights_are_called_a_contradiction(four_classes, tmp_path):
    def change(content):
        content["provenance"]["weights"] = [{"file": "model.pt", "sha256": "11" * 32}]

    eval_dir = edited(four_classes, tmp_path, "eval/explanations/index.json", change)
    text = Page(build_report(eval_dir).read_text(encoding="utf-8")).text
    assert "Contradiction. These files belong to different weights (metrics.json: " in text
    assert "explanations/index.json: 111111111111)" in text
