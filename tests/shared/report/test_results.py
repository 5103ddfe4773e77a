"""The headline, the classes, the confusions and what was resampled: the numbers are the files'."""

from __future__ import annotations

import pandas as pd

from shared.report.build import build_report
from shared.report.formats import number
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page


def test_headline_and_class_metrics_are_the_files(page, metrics):
    accuracy = metrics["metrics"]["accuracy"]
    low, high = (number(end) for end in accuracy["ci95"])
    assert page.row("Accuracy") == ["Accuracy", number(accuracy["value"]), f"{low} to {high}"]
    assert f"95 % interval: {low} to {high}; N = {metrics['n']}" in page.text
    header = page.row("Class")
    cell = next(row for row in page.rows if row and row[0] == "neutrophil" and " to " in row[1])
    assert cell[header.index("Sensitivity")].split()[0] == number(metrics["metrics"]["sensitivity_neutrophil"]["value"])


def test_confusion_table_is_the_files(page, metrics):
    for name, counts in zip(metrics["classes"], metrics["confusion_matrix"], strict=True):
        rows = [row for row in page.rows if row and row[0] == name]
        assert [name, *map(str, counts)] in rows


def test_what_was_resampled_is_said(page):
    assert "The bootstrap behind them resamples 9 donors, drawn whole." in page.text


def test_one_donor_has_no_interval_and_a_fall_back_is_shown(four_classes, tmp_path):
    def change(content):
        content["resampled"] = {"by": "donor", "n": 1}
        content["metrics"]["accuracy"] = {"value": 0.75, "ci95": None, "reason": "only one group"}

    page = Page(build_report(edited(four_classes, tmp_path / "one", "eval/metrics.json", change)).read_text("utf-8"))
    assert page.row("Accuracy") == ["Accuracy", "0.750", "no interval: only one group"]
    assert "There is one donor only" in page.text
    fallen = {"by": "sample", "n": 320, "warning": "7 of 320 records have no 'donor'"}
    eval_dir = edited(four_classes, tmp_path / "two", "eval/metrics.json", lambda c: c.update(resampled=fallen))
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "resamples 320 samples, drawn one by one" in text
    assert "not to be trusted as they stand: 7 of 320 records have no 'donor'." in text
    # beside each of the three headline numbers, not in the small print
    assert text.count("Interval: see the warning above.") == 3


def test_agreement_of_all_resamples_is_no_certainty(page, four_classes, tmp_path):
    def change(content):
        content["metrics"]["accuracy"] = {"value": 1.0, "ci95": None, "reason": "all resamples agree"}

    warned = Page(build_report(edited(four_classes, tmp_path, "eval/metrics.json", change)).read_text("utf-8"))
    assert "That is no certainty" in warned.text
    assert "That is no certainty" not in page.text


def test_samples_are_called_patients_where_each_is_another_one(four_classes, tmp_path):
    def change(content):
        content["resampled"] = {"by": "patient", "n": content["n"]}

    text = Page(build_report(edited(four_classes, tmp_path, "eval/metrics.json", change)).read_text("utf-8")).text
    for words in ("on N = 320 patients", "resamples 320 patients, drawn one by one", "Among patients for which"):
        assert words in text
    assert "N = 320 samples" not in text


def test_without_a_warning_no_headline_interval_is_doubted(page):
    assert "see the warning" not in page.text
    # what accepting is worth is another matter
    assert "Warning" not in page.text.replace("Warning: “accepted” is not shown to be a reason", "")


def test_the_evaluated_datalist_stands_beside_the_bundles_data(page, four_classes, tmp_path):
    assert "Evaluated here: which datalist is not recorded in metrics.json, split “test”, N = 320." in page.text
    assert "What the bundle takes in general: Generated phantoms." in page.text

    def change(content):
        content["provenance"]["data"] = [{"file": "mine/datalist.json", "sha256": "cd" * 32}]

    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", change)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "Evaluated here: mine/datalist.json (SHA-256 cdcdcdcdcdcd ), split “test”, N = 320." in text


def test_multi_label_has_one_part_for_each_label(multi_label):
    page = Page(build_report(multi_label).read_text(encoding="utf-8"))
    table = pd.read_csv(multi_label / "predictions.csv", dtype=str, keep_default_na=False)
    assert [row[1] for row in page.rows if row and row[0] == "accept"] == [
        str((table[f"decision_{name}"] == "accept").sum()) for name in ("Atelectasis", "Cardiomegaly", "Edema")
    ]
    hits = ((table["label_Edema"] == "1") & (table["prediction_Edema"] == "1")).sum()
    misses = ((table["label_Edema"] == "1") & (table["prediction_Edema"] == "0")).sum()
    assert ["present", str(misses), str(hits)] in page.rows
    assert page.text.count("Expected calibration error (equal width)") == 3
    assert "chexpert_informer" in page.text
