"""The predictions file: its columns, its exactness and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.evaluation.predictions import (
    is_multilabel,
    multilabel_table,
    prediction_classes,
    predictions_table,
    read_predictions,
    validate_predictions,
    write_predictions,
)

CLASSES = ["monocyte", "NA"]
SINGLE = ["id", "label", "logit_monocyte", "logit_NA", "probability_monocyte", "probability_NA"]
SINGLE += ["prediction", "confidence", "decision", "reason"]


def single(**changes):
    logits = np.array([[0.1, -3.7], [1 / 3, np.pi], [-np.inf, 0.0]])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    arguments = {
        "ids": ["007", 'D01/"x",\n1', "NA"],
        "classes": CLASSES,
        "logits": logits,
        "probabilities": probabilities,
        "predictions": ["monocyte", "NA", "NA"],
        "confidence": 2 * probabilities.max(1) - 1,
        "decisions": ["accept", "defer", "reject"],
        "reasons": ["", "confidence 0.88 is below 0.9", "outlier score"],
        "labels": ["monocyte", "NA", ""],
        "extra": {"frame": ["00003", "00004", "00011"], "outlier_score": np.array([0.1, np.nan, 7.0]), "n": [1, 2, 3]},
    }
    return predictions_table(**arguments | changes)


def multi(**changes):
    arguments = {
        "ids": ["a", "b"],
        "classes": ["edema", "effusion"],
        "logits": [[0.5, -1.0], [2.0, 3.0]],
        "probabilities": [[0.6, 0.3], [0.9, 0.95]],
        "predictions": [[1, 0], [1, 1]],
        "confidence": [[0.2, 0.4], [0.8, 0.9]],
        "decisions": [["accept", "accept"], ["defer", "reject"]],
        "predictions_after_alarm": [[1, 0], [0, 1]],
        "reasons": ["", "alarm: edema"],
        "labels": [[1, np.nan], [0, 1]],
    }
    return multilabel_table(**arguments | changes)


def test_single_label_columns_and_exact_round_trip(tmp_path):
    table = single()
    assert list(table.columns) == [*SINGLE, "frame", "outlier_score", "n"]
    write_predictions(tmp_path / "predictions.csv", table)
    back = read_predictions(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(back, table, check_exact=True, check_dtype=False)
    assert back["confidence"].dtype == np.float64
    assert back["n"].dtype == np.int64
    assert back["id"].tolist() == ["007", 'D01/"x",\n1', "NA"]
    assert prediction_classes(back) == CLASSES
    assert not is_multilabel(back)
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert header == ",".join([*SINGLE, "frame", "outlier_score", "n"])


def test_multilabel_columns_and_round_trip(tmp_path):
    table = multi()
    names = ["label", "logit", "probability", "prediction", "confidence", "decision", "prediction_after_alarm"]
    assert list(table.columns) == ["id", *(f"{n}_{c}" for n in names for c in ("edema", "effusion")), "reason"]
    write_predictions(tmp_path / "predictions.csv", table)
    back = read_predictions(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(back, table, check_exact=True, check_dtype=False)
    assert is_multilabel(back)
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1].startswith("a,1,,0.5,-1.0,")


def test_inference_has_no_labels(tmp_path):
    for name, table in (("single.csv", single(labels=None)), ("multi.csv", multi(labels=None))):
        assert not any(column.startswith("label") for column in table.columns)
        write_predictions(tmp_path / name, table)
        assert read_predictions(tmp_path / name).equals(read_predictions(tmp_path / name))


def test_float32_is_written_shortest_and_sums_are_tolerated(tmp_path):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 2)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    write_predictions(tmp_path / "p.csv", single(logits=logits, probabilities=probabilities))
    back = read_predictions(tmp_path / "p.csv")
    assert np.array_equal(back[["probability_monocyte", "probability_NA"]].to_numpy(), probabilities.astype(float))


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (single, {"ids": ["a", "b", "a"]}, r"id must occur once; found otherwise for id a \('a'\), a"),
        (single, {"ids": ["a", "", "c"]}, "id must be a text"),
        (single, {"probabilities": [[0.5, 0.4], [0.5, 0.5], [0, 1]]}, "must sum to 1; found otherwise for id 007"),
        (single, {"probabilities": [[0.5, 0.5], [np.nan, 0.5], [0, 1]]}, r"probability_monocyte must be in \[0, 1\]"),
        (single, {"probabilities": [[0.5, 0.5], [0.5, 0.5], [-0.5, 1.5]]}, r"probability_monocyte must be in \[0, 1\]"),
        (single, {"logits": [[0, 0], [0, np.nan], [0, 0]]}, "logit_NA must be a number"),
        (single, {"confidence": [0.1, 0.2, 1.1]}, r"confidence must be in \[0, 1\]; found otherwise for id NA"),
        (single, {"confidence": [0.1, np.nan, 1.0]}, "confidence must be"),
        (single, {"predictions": ["monocyte", "NA", "basophil"]}, "prediction must be one of"),
        (single, {"labels": ["monocyte", "NA", None]}, "label must be one of"),
        (
            single,
            {"decisions": ["accept", "accept", "ok"]},
            r"decision must be one of .* found otherwise for id NA \('ok'\)",
        ),
        (single, {"probabilities": np.full((3, 3), 1 / 3)}, r"expected shape \(N, 2\), found \(3, 3\)"),
        (single, {"reasons": ["", ""]}, "'reason': 2"),
        (single, {"extra": {"confidence": [1, 1, 1]}}, "names of their own"),
        (multi, {"decisions": [["accept", "accept"], ["no", "defer"]]}, "decision_edema must be one of"),
        (multi, {"predictions": [[1, 0], [1, 2]]}, "prediction_effusion must be 0 or 1"),
        (multi, {"labels": [[1, 0], [3, 1]]}, "label_edema must be 0, 1 or empty"),
        (multi, {"confidence": [[1, 0], [0.5, np.nan]]}, "confidence_effusion must be"),
    ],
)
def test_bad_rows(make, changes, message):
    with pytest.raises(DataError, match=message):
        make(**changes)


def test_bad_files(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_predictions(tmp_path / "absent.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"empty\.csv: not a valid CSV"):
        read_predictions(tmp_path / "empty.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"other.csv: no column probability_<class>"):
        read_predictions(tmp_path / "other.csv")
    write_predictions(tmp_path / "good.csv", single())
    text = (tmp_path / "good.csv").read_text()
    (tmp_path / "word.csv").write_text(text.replace(",0.1,", ",high,", 1))
    with pytest.raises(DataError, match=r"word.csv: column logit_monocyte must hold numbers, found 'high'"):
        read_predictions(tmp_path / "word.csv")
    (tmp_path / "nan.csv").write_text(text.replace(",0.1,", ",nan,", 1))
    with pytest.raises(DataError, match=r"nan.csv: logit_monocyte must be a number; found otherwise for id 007"):
        read_predictions(tmp_path / "nan.csv")


def test_order_of_columns_is_part_of_the_format(tmp_path):
    table = single()
    with pytest.raises(DataError, match="columns must begin with id, label, logit_monocyte"):
        validate_predictions(table[["label", "id", *table.columns[2:]]])
    with pytest.raises(DataError, match="columns must begin"):
        validate_predictions(table.drop(columns="reason"))


def test_a_refused_table_leaves_the_old_file(tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions(path, single())
    before = path.read_bytes()
    table = single()
    table.loc[1, "confidence"] = 2.0
    with pytest.raises(DataError, match=r"predictions.csv: confidence must be in"):
        write_predictions(path, table)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
