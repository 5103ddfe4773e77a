"""Tables to be downloaded: the files' numbers, in JSON that cannot end its element."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shared.report.datasets import MOST_POINTS, Dataset, embedded_json, page_datasets
from shared.report.elements import element_tables
from shared.report.sources import read_sources
from tests.shared.report.edited_files import edited
from tests.shared.report.element_files import element_rows, write_rows


def tables(eval_dir):
    sources = read_sources(eval_dir)
    return page_datasets(sources, element_tables(sources))


def records(dataset):
    return [dict(zip(dataset.columns, row, strict=True)) for row in dataset.rows]


def test_metrics_have_their_value_and_interval(four_classes, metrics):
    found = {row["measure"]: row for row in records(tables(four_classes)["results"])}
    for name, entry in metrics["metrics"].items():
        assert found[name]["value"] == pytest.approx(entry["value"], rel=1e-6)
        assert [found[name]["low"], found[name]["high"]] == pytest.approx(entry["ci95"], rel=1e-6)


def test_calibration_is_told_apart_before_and_after(four_classes, metrics):
    rows = records(tables(four_classes)["calibration"])
    for stage in ("before", "after"):
        (brier,) = (row for row in rows if (row["calibration"], row["measure"]) == (stage, "brier"))
        assert brier["value"] == pytest.approx(metrics["calibration"][stage]["brier"]["value"], rel=1e-6)
    assert {row["calibration"] for row in rows} == {"before", "after"}


def test_all_rows_of_interpretability_are_there_measured_or_not(four_classes, tmp_path):
    eval_dir = write_rows(edited(four_classes, tmp_path, "eval/metrics.json", lambda _: None))
    rows = [row for row in records(tables(eval_dir)["interpretability"]) if row["method"] or row["of"]]
    keys = ("measure", "method", "label", "size", "of")
    listed = {tuple(row[key] for key in keys): row for row in rows}
    for row in element_rows():
        assert listed[tuple(row.get(key) for key in keys)]["value"] == row["value"]
        assert listed[tuple(row.get(key) for key in keys)]["reason"] == row.get("reason")


def test_subgroups_are_rows_of_their_metrics_and_differences(four_classes, tmp_path):
    group = {
        "name": "F",
        "n": 90,
        "metrics": {"accuracy": {"value": 0.9, "ci95": [0.8, 0.95]}},
        "against_rest": {"accuracy": {"value": 0.1, "ci95": [0.02, 0.2]}},
    }
    content = {"sex": {"groups": [group]}, "age": {"reason": "no record says its age"}}
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c.update(subgroups=content))
    rows = records(tables(eval_dir)["subgroups"])
    assert [(row["by"], row["group"], row["size"], row["compared"], row["value"]) for row in rows] == [
        ("sex", "F", 90, "", 0.9),
        ("sex", "F", 90, "minus the rest", 0.1),
    ]


def test_curves_are_whole_or_thinned_with_both_ends(four_classes, tmp_path):
    long = np.linspace(0, 1, 5 * MOST_POINTS).tolist()
    curve = {"false_positive_rate": long, "true_positive_rate": [x**0.5 for x in long]}
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c.update(roc_curve=curve))
    rows = [row for row in records(tables(eval_dir)["curves"]) if row["curve"] == "roc_curve"]
    points = [row for row in rows if row["quantity"] == "true_positive_rate"]
    assert len(points) <= MOST_POINTS
    assert (points[0]["point"], points[-1]["point"]) == (0, len(long) - 1)
    assert all(row["value"] == pytest.approx(long[row["point"]] ** 0.5, rel=1e-6) for row in points)
    selective = [row for row in records(tables(eval_dir)["curves"]) if row["curve"] == "selective"]
    assert {row["quantity"] for row in selective} >= {"coverage", "risk"}


def test_no_text_ends_the_script_element():
    text = "</script><script>alert(1)</script><!--\u2028&"
    written = str(embedded_json({"a": Dataset(text, [text], [[text], [None], [0.25]])}))
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == {"a": {"title": text, "columns": [text], "rows": [[text], [None], [0.25]]}}
