"""Tables of the five elements: rows of the file, and what is counted in the predictions against plain loops."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from shared.evaluation.interpretability.file import row
from shared.evaluation.interpretability.measures import ELEMENTS
from shared.evaluation.predictions import read_predictions
from shared.evaluation.proportion import wilson_interval
from shared.report.elements import element_tables, methods_of
from shared.report.sources import read_sources
from tests.shared.report.edited_files import edited
from tests.shared.report.element_files import METHODS, write_rows


@pytest.fixture
def explained(four_classes, tmp_path):
    """The eval folder of a bundle with an interpretability file."""
    shutil.copytree(four_classes.parent, tmp_path / "leukocyte_qpi")
    return write_rows(tmp_path / "leukocyte_qpi" / "eval")


@pytest.fixture
def tables(explained):
    return {table.element: table for table in element_tables(read_sources(explained))}


def test_there_is_a_table_for_each_element_in_their_order(explained):
    assert [table.element for table in element_tables(read_sources(explained))] == list(ELEMENTS)


def test_methods_come_with_what_they_failed_and_controls_last(explained):
    methods = methods_of(read_sources(explained))
    assert [method.name for method in methods] == ["lime", "guided_backpropagation", "random_map"]
    assert methods[1].failed == tuple(METHODS["guided_backpropagation"]["failed"])
    assert [method.control for method in methods] == [False, False, True]


def test_cells_hold_the_whole_and_groups_the_parts(tables):
    table = tables["localization"]
    assert [measure.name for measure in table.measures] == ["localisation_auc", "iou"]
    (cell,) = table.cells("localisation_auc", "lime")
    assert (cell.estimate.value, cell.estimate.interval, cell.estimate.n) == (0.8, (0.7, 0.9), 40)
    assert [(part.label, part.size) for part in table.groups("localisation_auc", "lime")] == [
        ("monocyte", None),
        (None, "small"),
    ]
    assert table.cells("iou", "lime")[0].parameters == {"quantile": 0.93}
    assert table.cells("iou", "random_map") == []


@pytest.mark.parametrize(
    ("measure", "method", "verdict"),
    [
        ("localisation_auc", "lime", "better"),
        ("localisation_auc", "random_map", "not told apart"),
        ("background_share", "lime", "better"),
        ("noise_stability", "lime", None),
    ],
)
def test_what_is_better_than_chance_depends_on_the_measure(tables, measure, method, verdict):
    cells = [cell for table in tables.values() for cell in table.cells(measure, method)]
    assert [cell.against_chance for cell in cells] == [verdict]


def test_a_low_share_below_chance_is_worse_where_high_is_good(four_classes, tmp_path):
    shutil.copytree(four_classes, tmp_path / "eval")
    entry = {"value": 0.3, "ci95": [0.2, 0.4], "chance": 0.5}
    names = ("localisation_auc", "sparseness")
    write_rows(tmp_path / "eval", [row(name, entry, "lime") for name in names])
    tables = element_tables(read_sources(tmp_path / "eval"))
    verdicts = [table.cells(name, "lime")[0].against_chance for table, name in zip(tables, names, strict=False)]
    assert verdicts == ["worse", None]


def test_what_was_not_taken_says_why_once(tables):
    physical = {measure.name: reason for measure, reason in tables["physical_attribution"].unmeasured}
    assert physical == {"map_response": "the data are no phantoms"}
    recognizable = {measure.name: reason for measure, reason in tables["visual_recognizability"].unmeasured}
    assert recognizable["seed_stability"] == "no second model; name other_model_files"
    assert recognizable["reader_study"] == "no readers have been asked"
    assert [row.of for row in tables["physical_attribution"].of_model()] == ["size", "dry mass"]


def test_the_reader_study_is_open_for_methods_and_not_for_controls(tables):
    open_rows = [row for row in tables["visual_recognizability"].rows if row.measure.name == "reader_study"]
    assert [row.method.name for row in open_rows] == ["lime", "guided_backpropagation"]


def test_without_the_file_each_table_says_so_and_the_model_is_measured_all_the_same(four_classes):
    tables = element_tables(read_sources(four_classes))
    assert all("there is no interpretability.json" in table.missing for table in tables)
    assert [len(table.rows) > 0 for table in tables] == [False] * 4 + [True]


def _measured(eval_dir, measure):
    tables = element_tables(read_sources(eval_dir))
    return {(row.label, row.of): row for row in tables[-1].rows if row.measure.name == measure}


def test_flags_are_counted_in_the_predictions(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda content: content.pop("resampled"))
    frame = read_predictions(eval_dir / "predictions.csv")
    known = frame[frame["kind"] == ""]
    wrong = (known["label"] != known["prediction"]).to_numpy()
    accepted = (known["decision"] == "accept").to_numpy()
    expected = {
        "coverage": (accepted.sum(), len(known)),
        "accepted_risk": ((accepted & wrong).sum(), accepted.sum()),
        "flag_precision": ((~accepted & wrong).sum(), (~accepted).sum()),
        "flag_recall": ((~accepted & wrong).sum(), wrong.sum()),
    }
    for measure, (count, n) in expected.items():
        (found,) = _measured(eval_dir, measure).values()
        assert found.estimate.value == pytest.approx(count / n)
        assert found.estimate.interval == pytest.approx(wilson_interval(count, n), abs=1e-9)
        assert found.estimate.n == n
    (gain,) = _measured(eval_dir, "flag_gain").values()
    assert gain.estimate.value == pytest.approx((~wrong[accepted]).mean() - (~wrong).mean())
    (precision,) = _measured(eval_dir, "flag_precision").values()
    assert precision.estimate.chance == pytest.approx(wrong.mean())
    assert precision.against_chance == "better"
    assert gain.of == "accuracy, flagged predictions left to a person"
    assert next(iter(_measured(eval_dir, "coverage").values())).of == "error of 5\u202f% wanted"


def test_samples_of_one_donor_are_resampled_as_a_whole(four_classes, tmp_path):
    shutil.copytree(four_classes, tmp_path / "eval")
    alone = _measured(tmp_path / "eval", "coverage")
    reason = next(iter(alone.values())).estimate.reason
    assert reason == "no interval: predictions.csv does not say which samples are of one donor"
    frame = pd.read_csv(tmp_path / "eval" / "predictions.csv", dtype=str, keep_default_na=False)
    frame["donor"] = [name[:3] for name in frame["id"]]
    frame.to_csv(tmp_path / "eval" / "predictions.csv", index=False)
    (whole,) = _measured(tmp_path / "eval", "coverage").values()
    known = frame[frame["kind"] == ""]
    low, high = wilson_interval((known["decision"] == "accept").sum(), len(known))
    assert whole.estimate.interval is not None
    assert whole.estimate.interval != pytest.approx((low, high), abs=1e-3)


def test_several_labels_are_measured_each_and_in_the_mean(multi_label):
    frame = read_predictions(multi_label / "predictions.csv")
    rows = _measured(multi_label, "accepted_risk")
    values = []
    for label in ("Atelectasis", "Cardiomegaly", "Edema"):
        known = frame[frame[f"label_{label}"].notna()]
        accepted = known[known[f"decision_{label}"] == "accept"]
        values.append((accepted[f"label_{label}"] != accepted[f"prediction_{label}"]).mean())
        assert rows[label, None].estimate.value == pytest.approx(values[-1])
    assert rows[None, None].estimate.value == pytest.approx(np.mean(values))
    before = _measured(multi_label, "calibration_error_before")
    metrics = json.loads((multi_label / "metrics.json").read_text())
    of_labels = [part["l1_equal_width"]["value"] for part in metrics["calibration"]["before"]["labels"].values()]
    assert before[None, None].estimate.value == pytest.approx(np.mean(of_labels))


def test_an_alarm_that_changes_predictions_gains_what_they_gain(multi_label, tmp_path):
    shutil.copytree(multi_label, tmp_path / "eval")
    path = tmp_path / "eval" / "predictions.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    flagged = frame["decision_Edema"] == "defer"
    frame.loc[flagged, "prediction_after_alarm_Edema"] = [
        str(1 - int(value)) for value in frame.loc[flagged, "prediction_Edema"]
    ]
    frame.to_csv(path, index=False)
    known = frame[frame["label_Edema"] != ""]
    label, before, after = (
        known[f"{name}_Edema"].astype(float) for name in ("label", "prediction", "prediction_after_alarm")
    )
    found = _measured(tmp_path / "eval", "flag_gain")
    gain = found["Edema", "accuracy, flagged predictions changed"].estimate
    assert gain.value == pytest.approx((label == after).mean() - (label == before).mean())


def test_outliers_are_told_apart_by_the_score_of_the_decisions(four_classes):
    frame = read_predictions(four_classes / "predictions.csv")
    outlying = frame["kind"] != ""
    rows = _measured(four_classes, "outlier_auc")
    assert rows[None, None].estimate.value == pytest.approx(roc_auc_score(outlying, frame["outlier_score"]))
    part = frame[~outlying | (frame["kind"] == "empty")]
    assert rows[None, "empty"].estimate.value == pytest.approx(roc_auc_score(part["kind"] != "", part["outlier_score"]))


def test_numbers_that_cannot_be_had_say_why(multi_label, tmp_path):
    (row,) = _measured(multi_label, "outlier_auc").values()
    assert row.estimate.reason == "the model has no outlier score"
    shutil.copy(multi_label / "metrics.json", tmp_path)
    (row,) = _measured(tmp_path, "coverage").values()
    assert "there is no predictions.csv" in row.estimate.reason
