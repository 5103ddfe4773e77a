"""Building the page: from whatever files there are, the same from the same ones, and what is malformed is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from shared.data.errors import DataError
from shared.data.files import write_json
from shared.evaluation.interpretability.file import not_measured, write_interpretability
from shared.report.build import build_report
from shared.report.sources import read_sources
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        ("metrics.json", ["Decisions", "Explained cases", "Explanation quality"]),
        (
            "predictions.csv",
            ["Metrics", "Calibration errors and reliability", "Outlier detection", "Provenance of the numbers"],
        ),
        ("explanations", ["Metrics", "Decisions", "Risk and coverage curve", "Outlier detection"]),
    ],
)
def test_each_part_alone_makes_a_page_that_says_what_is_missing(four_classes, tmp_path, kept, missing):
    source = four_classes / kept
    (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / kept)
    page = Page(build_report(tmp_path).read_text(encoding="utf-8"))
    assert [what for what in missing if f"{what}: not measured." not in page.text] == []
    assert "python -m monai.bundle run " in page.text
    assert "intended_use in configs/metadata.json (file not found" in page.text


def test_no_command_promises_outliers_that_the_data_do_not_have(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda content: content.pop("outliers"))
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    reason = "It needs outlier records in the datalist, and those evaluated here have none."
    assert f"Outlier detection: not measured. {reason}" in text
    assert f"{reason} This would" not in text


def test_command_for_a_missing_part_names_the_bundle(four_classes, tmp_path):
    bundle = tmp_path / "leukocyte_qpi"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "metadata.json").write_text("{}")
    (bundle / "eval").mkdir()
    shutil.copy(four_classes / "predictions.csv", bundle / "eval")
    text = Page(build_report(bundle / "eval").read_text(encoding="utf-8")).text
    assert (
        "python -m monai.bundle run evaluating --config_file "
        "\"['bundles/leukocyte_qpi/configs/train.json','bundles/leukocyte_qpi/configs/evaluate.json']\""
    ) in text


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        (
            "eval/metrics.json",
            lambda c: c["metrics"].update(accuracy={"value": "x"}),
            r"metrics\.json: metrics\.accuracy",
        ),
        ("eval/metrics.json", lambda c: c["outliers"]["empty"].update(caught=24), r"outliers\.empty\.caught"),
        ("eval/metrics.json", lambda c: c["selective"].pop("risk"), r"metrics\.json: selective"),
        (
            "eval/metrics.json",
            lambda c: c["calibration"]["after"]["reliability"].pop("bins"),
            r"after\.reliability\.bins",
        ),
        ("eval/explanations/index.json", lambda c: c["samples"][1].pop("id"), r"index\.json: samples\[1\]\.id"),
        ("eval/explanations/index.json", lambda c: c.update(samples={}), r"index\.json: samples"),
        (
            "eval/explanations/index.json",
            lambda c: c["samples"][0].update(image_png="../configs/metadata.json"),
            "lies outside",
        ),
        ("eval/explanations/index.json", lambda c: c["samples"][0].update(image_png="gone.png"), r"gone\.png"),
        ("models/calibration.json", lambda c: c["confidence"].update(minimum="low"), r"confidence\.minimum"),
        ("models/calibration.json", lambda c: c.update(temperature=[2.0]), r"calibration\.json: temperature"),
        ("configs/metadata.json", lambda c: c.update(limits=7), r"metadata\.json: limits"),
    ],
)
def test_malformed_file_is_an_error_that_names_file_and_key_and_keeps_the_old_page(
    four_classes, tmp_path, name, change, named
):
    eval_dir = edited(four_classes, tmp_path, name, change)
    (eval_dir / "report.html").write_text("old")
    with pytest.raises(DataError, match=named):
        build_report(eval_dir)
    assert (eval_dir / "report.html").read_text() == "old"
    assert [path.name for path in eval_dir.glob("*.html")] == ["report.html"]


def test_interpretability_is_read_and_a_malformed_row_is_named(four_classes, tmp_path):
    rows = [not_measured("reader_study", "no reader has seen the maps", "lime")]
    methods = {"lime": {"title": "LIME", "control": False}}
    described = {"bundle": "leukocyte_qpi", "unit": "cell", "model": {}, "provenance": {}}
    assert read_sources(four_classes).interpretability is None
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda _: None)
    write_interpretability(eval_dir / "interpretability.json", rows, methods, **described)
    assert read_sources(eval_dir).interpretability["rows"] == rows
    content = json.loads((eval_dir / "interpretability.json").read_text())
    content["rows"][0]["reason"] = ""
    write_json(eval_dir / "interpretability.json", content)
    with pytest.raises(DataError, match=r"interpretability\.json: rows\[0\]: value is null without a reason"):
        read_sources(eval_dir)


def test_nothing_to_report_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match="run evaluating or explaining first"):
        build_report(tmp_path)


def test_same_files_give_the_same_page(four_classes, html, tmp_path):
    again = build_report(four_classes, output=tmp_path / "sub" / "again.html")
    assert again == tmp_path / "sub" / "again.html"
    assert again.read_text(encoding="utf-8") == html


def test_report_does_not_load_torch():
    code = "import sys, shared.report.build; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_log_says_where_the_report_is(four_classes, tmp_path, caplog):
    with caplog.at_level("INFO", logger="report"):
        page = build_report(four_classes, output=tmp_path / "page.html")
    assert [record.getMessage() for record in caplog.records] == [f"building {page}", f"{page}: written"]
