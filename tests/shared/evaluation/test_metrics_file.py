"""The metrics file: valid JSON, nothing undefined without a reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shared.data.errors import DataError
from shared.evaluation.classification import classification_metrics
from shared.evaluation.metrics_file import json_ready, read_metrics, write_metrics


def content(**changes):
    return {
        "bundle": "leukocyte_qpi",
        "split": "test",
        "n": 4,
        "classes": ["a", "b"],
        "metrics": {"accuracy": {"value": 0.75, "ci95": [0.25, 1.0]}},
        "calibration": {"before": {}, "after": {}},
        "confusion_matrix": [[2, 0], [1, 1]],
        "provenance": {"seed": 0},
    } | changes


def test_round_trip(tmp_path):
    path = tmp_path / "eval" / "metrics.json"
    write_metrics(path, content(confusion_matrix=np.array([[2, 0], [1, 1]]), n=np.int64(4)))
    assert read_metrics(path) == content()


def test_numbers_that_are_not_finite_become_null_with_a_reason(tmp_path):
    path = tmp_path / "metrics.json"
    metrics = {
        "f1_a": {"value": np.float32("nan"), "ci95": [np.nan, np.nan]},
        "f1_b": {"value": float("nan"), "ci95": [0.0, 1.0], "reason": "no sample of the class"},
        "f1_c": {"value": 0.5, "ci95": [np.nan, 1.0]},
    }
    write_metrics(path, content(metrics=metrics, selective={"risk": np.array([np.nan, 0.1]), "aurc": -np.inf}))
    strict = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert strict["metrics"]["f1_a"] == {
        "value": None,
        "ci95": [None, None],
        "reason": "not defined on this data (nan)",
    }
    assert strict["metrics"]["f1_b"]["reason"] == "no sample of the class"
    assert strict["selective"] == {"risk": [None, 0.1], "aurc": None}
    assert strict["undefined"] == {
        "metrics.f1_c.ci95.0": "nan",
        "selective.risk.0": "nan",
        "selective.aurc": "-inf",
    }
    again = tmp_path / "again.json"
    write_metrics(again, read_metrics(path))
    assert again.read_text() == path.read_text()


def test_the_arguments_are_not_changed():
    given = content(metrics={"x": {"value": np.nan}})
    json_ready(given)
    assert "reason" not in given["metrics"]["x"]


def test_takes_what_the_classification_metrics_give(tmp_path):
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    metrics = classification_metrics(labels, predictions, ["a", "b", "c"], resamples=100)
    write_metrics(tmp_path / "metrics.json", content(metrics=metrics))
    back = read_metrics(tmp_path / "metrics.json")["metrics"]
    assert back["accuracy"]["value"] == 0.75
    assert back["f1_c"]["value"] is None
    assert back["f1_c"]["reason"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": "4"}, "n must be of type int, found '4'"),
        ({"n": True}, "n must be of type int"),
        ({"n": -1}, "n must not be negative"),
        ({"provenance": None}, "provenance must be of type dict"),
        ({"metrics": {"accuracy": 0.7}}, r"metrics.accuracy must be .*found 0.7"),
        ({"metrics": {"accuracy": {"value": None}}}, "metrics.accuracy.value is null without a reason"),
        ({"metrics": {"accuracy": {"value": "0.7"}}}, "metrics.accuracy.value must be a number"),
        ({"metrics": {"accuracy": {"value": 0.7, "ci95": None}}}, "accuracy.ci95 is null without a reason"),
        ({"metrics": {"accuracy": {"value": 0.7, "ci95": [0.8, 0.6]}}}, "ci95 must be ordered"),
        ({"metrics": {"accuracy": {"value": 0.7, "ci95": [0.8]}}}, "ci95 must be two numbers"),
        ({"confusion_matrix": [[1, 2]]}, r"confusion_matrix must hold counts.*\['a', 'b'\]"),
        ({"confusion_matrix": [[1, 2], [3, -1]]}, "confusion_matrix must hold counts"),
    ],
)
def test_refused(tmp_path, changes, message):
    path = tmp_path / "metrics.json"
    with pytest.raises(DataError, match=message) as error:
        write_metrics(path, content(**changes))
    assert str(path) in str(error.value)
    assert not path.exists()
    path.write_text(json.dumps(content(**changes)))
    with pytest.raises(DataError, match=message):
        read_metrics(path)


def test_missing_key(tmp_path):
    given = content()
    del given["split"]
    with pytest.raises(DataError, match="split must be of type str, found nothing"):
        write_metrics(tmp_path / "metrics.json", given)
