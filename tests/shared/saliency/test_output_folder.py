"""Explanations are kept out of the folder of an evaluation of other samples, before anything is computed."""

from __future__ import annotations

import json

import pytest

from shared.data.errors import DataError
from shared.evaluation.predictions import predictions_table, write_predictions
from shared.saliency.output_folder import check_output_folder


@pytest.fixture
def evaluated(tmp_path):
    """The folder of an evaluation of the samples ``007`` and ``b``."""
    folder = tmp_path / "eval"
    table = predictions_table(
        ids=["007", "b"],
        classes=["normal", "tumour"],
        logits=[[0.0, 1.0], [1.0, 0.0]],
        probabilities=[[0.3, 0.7], [0.7, 0.3]],
        predictions=["tumour", "normal"],
        confidence=[0.4, 0.4],
        decisions=["accept", "accept"],
        reasons=["", ""],
        labels=["tumour", "normal"],
    )
    write_predictions(folder / "predictions.csv", table)
    (folder / "metrics.json").write_text("{}")
    return folder


def test_explanations_of_other_samples_are_refused(evaluated):
    expected = "eval: holds the evaluation of 2 samples, and none of the 3 samples found .* --output_dir ANOTHER$"
    with pytest.raises(DataError, match=expected):
        check_output_folder(evaluated, ["7", "c", "d"])


@pytest.mark.parametrize("ids", [["b"], ["007", "c"], ["b", "007"]])
def test_those_of_evaluated_samples_are_not(evaluated, ids):
    check_output_folder(evaluated, ids)


@pytest.mark.parametrize("missing", ["metrics.json", "predictions.csv"])
def test_a_folder_without_an_evaluation_takes_any(evaluated, missing):
    (evaluated / missing).unlink()
    check_output_folder(evaluated, ["c"])
    check_output_folder(evaluated / "none", ["c"])


@pytest.mark.parametrize("name", ["camelyon_attmil", "chexpert_informer", "leukocyte_qpi", "lymphocytosis_moe"])
def test_every_bundle_asks_before_it_predicts(repository, name):
    content = json.loads((repository / "bundles" / name / "configs" / "explain.json").read_text())
    asked, predicts = content["explaining"][1:3]
    assert asked == "$output_folder.check_output_folder(@output_dir, [record['id'] for record in @records])"
    assert predicts == "$@evaluator.run()"
