"""Explained bags, ROC curve, shortcut check and repeatability on the page: the files' numbers, in their places."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from shared.data.errors import DataError
from shared.data.files import write_json
from shared.evaluation.binary import binary_metrics, roc_curve
from shared.evaluation.metrics_file import write_metrics
from shared.report.bags import ExpertSplit, read_bags, read_experts
from shared.report.build import build_report
from shared.report.formats import number, percent, signed
from shared.report.sources import read_sources
from tests.shared.report.html_page import Page

CLASSES = ["reactive", "tumoral"]
HOSTILE = "<b>P&1</b>"


def experts(rng, label):
    gate, image, attributes = rng.random(3)
    return {"gate": gate, "image": image, "attributes": attributes, "whole": gate * image + (1 - gate) * attributes} | {
        "label": label
    }


def instance(folder, rng, rank, value, error=0.004, truth="abnormal"):
    for name in (f"{rank}.png", f"{rank}_map.png"):
        Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(folder / name)
    return {
        "id": f"{rank:06d}.jpg",
        "rank": rank,
        "value": value,
        "standard_error": error,
        "truth": truth,
        "image_png": f"explanations/{rank}.png",
        "overlay_png": f"explanations/{rank}_map.png",
    }


def write_bags(bundle):
    """Write what evaluating, explaining and repeating of a bundle of bags leave; return eval."""
    rng = np.random.default_rng(0)
    eval_dir, folder = bundle / "eval", bundle / "eval" / "explanations"
    folder.mkdir(parents=True)
    labels = rng.integers(0, 2, 40)
    scores = np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1)
    few = {"resamples": 50}
    lead = {"value": 0.05, "ci95": [0.01, 0.09]}
    write_metrics(
        eval_dir / "metrics.json",
        {
            "bundle": bundle.name,
            "split": "test",
            "n": 40,
            "classes": CLASSES,
            "positive_class": "tumoral",
            "metrics": binary_metrics(labels, scores, **few),
            "roc_curve": roc_curve(labels, scores, **few),
            "shortcuts": {
                "n_training": 120,
                "checks": {
                    "lymphocyte count": {
                        "metrics": binary_metrics(labels, rng.random(40), **few),
                        "model_minus_shortcut": {
                            "roc_auc": lead,
                            "balanced_accuracy": {"value": -0.02, "ci95": [-0.1, 0.1]},
                        },
                    }
                },
            },
            "calibration": {},
            "provenance": {},
        },
    )
    bag = {
        "n": 24,
        "instances_csv": "explanations/P1/instances.csv",
        "map_method": "guided_backpropagation_x_input",
        "shapley": {"of": "mixture of experts", "exact": False, "whole": 1.234, "empty": -0.5},
        "experts": experts(rng, "tumoral"),
        "highest": [instance(folder, rng, 1, 0.31), instance(folder, rng, 2, 0.2)],
        "lowest": [instance(folder, rng, 24, -0.11, truth="normal")],
    }
    sample = {"label": "tumoral", "prediction": "tumoral", "target": "tumoral", "confidence": 0.9, "decision": "accept"}
    exact = bag | {"shapley": bag["shapley"] | {"exact": True}, "highest": [instance(folder, rng, 1, 0.1, None)]}
    del exact["experts"]
    write_json(
        folder / "index.json",
        {
            "bag_word": "patient",
            "instance_word": "cell",
            "samples": [
                {"id": HOSTILE, "methods": {}, "bag": bag, **sample},
                {"id": "P2", "methods": {}, "bag": exact, **sample, "label": "reactive"},
            ],
            "experts": [{"id": f"P{i}", **experts(rng, CLASSES[i % 2])} for i in range(12)],
            "methods": {
                "guided_backpropagation_x_input": {"title": "Guided backpropagation \u00d7 input"},
                "shapley_mixture": {
                    "title": "Shapley values, mixture",
                    "quality": {"instance_auc": {"value": 0.9, "ci95": [0.8, 0.95], "chance": 0.5, "n": 7}},
                },
            },
        },
    )
    write_json(eval_dir / "repeatability.json", repeatability())
    return eval_dir


def repeatability():
    """Two patients of table 5, and an attention model's weights."""
    said = {
        "A": ("reactive", {"image": ("RTRTT", "tumoral"), "mixture": ("RRRRR", "reactive")}),
        "D": ("tumoral", {"image": ("TTTTT", "tumoral"), "mixture": ("TTTTT", "tumoral")}),
    }
    name = {"R": "reactive", "T": "tumoral"}
    measures = {"sets_against_majority": {"value": 0.2, "ci95": [0.1, 0.3]}}
    curve = [
        {"cells": cells, **{m: {"value": 0.6 + 0.1 * i, "ci95": [0.5, 0.9]} for m in ("balanced_accuracy", "roc_auc")}}
        for i, cells in enumerate((1, 10, 60))
    ]
    return {
        "bag_word": "patient",
        "instance_word": "cell",
        "sets": 5,
        "origin": {"smears": 0, "disjoint random subsets": 2},
        "left_out": [{"id": "Z", "reason": "3 images for 5 sets"}],
        "models": {
            "image": {"title": "expert on images", "measures": measures},
            "mixture": {
                "title": "mixture of experts",
                "measures": {"sets_against_majority": {"value": 0.0, "ci95": None, "reason": "all resamples agree"}},
            },
        },
        "compared": {
            "model": "mixture of experts",
            "reference": "expert on images",
            "difference": {"sets_against_majority": {"value": -0.2, "ci95": [-0.3, -0.1]}},
        },
        "patients": [
            {
                "id": identity,
                "label": label,
                "models": {
                    key: {"predictions": [name[letter] for letter in letters], "majority": majority}
                    for key, (letters, majority) in models.items()
                },
            }
            for identity, (label, models) in said.items()
        ],
        "cell_numbers": {"draws": 20, "models": {"mixture of experts": curve}},
        "attention": {
            "summary": {"gini": {"mean": {"value": 0.4, "ci95": [0.3, 0.5]}}},
            "bags": [{"id": "A", "instances": 60, "effective_instances": 20.0}],
        },
    }


@pytest.fixture(scope="module")
def eval_dir(tmp_path_factory):
    return write_bags(tmp_path_factory.mktemp("bundles") / "lymphocytosis_moe")


@pytest.fixture(scope="module")
def page(eval_dir):
    return Page(build_report(eval_dir).read_text(encoding="utf-8"))


def cells(row):
    return [" ".join(cell.split()) for cell in row]


def test_cells_stand_with_value_error_rank_and_truth(page):
    assert "+0.310 ± 0.004 rank 1; in truth abnormal" in page.text
    assert f"{signed(-0.11)} ± 0.004 rank 24; in truth normal" in page.text
    # an exact value has no error
    assert "+0.100 rank 1" in page.text
    assert "log-odds of tumoral go from \u22120.50 without any cell to +1.23 with all 24" in page.text
    assert "Sampled Shapley values for the mixture of experts" in page.text
    assert "Exact Shapley values" in page.text
    pictures = [image["alt"] for image in page.tags("img")]
    assert pictures.count("cell 000001.jpg") == 2
    assert "Guided backpropagation \u00d7 input over cell 000024.jpg" in pictures


def test_patients_are_named_explained_and_escaped(page):
    assert HOSTILE in page.text
    assert "Explained patients" in page.text
    assert "the label is reactive . 24 cells." in page.text
    # bags have a section of their own, and the one for single images is left out
    assert "Explained cases" not in page.text


def test_experts_that_disagree_are_counted_and_listed(page, eval_dir):
    rows = json.loads((eval_dir / "explanations" / "index.json").read_text())["experts"]
    apart = [row for row in rows if (row["image"] > 0.5) != (row["attributes"] > 0.5)]
    assert 0 < len(apart) < len(rows)
    assert f"so they do on {len(apart)} of {len(rows)} patients" in page.text
    row = cells(page.row(apart[0]["id"]))
    assert row[2:] == [
        percent(apart[0][key]).replace("\u202f", " ") for key in ("image", "attributes", "gate", "whole")
    ]


def test_what_each_expert_would_say_alone_is_counted(page, eval_dir, tmp_path):
    rows = json.loads((eval_dir / "explanations" / "index.json").read_text())["experts"]
    says = [row["image"] > 0.5 for row in rows]
    right = sum(said == (row["label"] == "tumoral") for said, row in zip(says, rows, strict=True))
    assert f"the expert on images would call {sum(says)} of 12 patients tumoral, right in {right} of 12;" in page.text
    assert "is no diagnosis" not in page.text

    changed = shutil.copytree(eval_dir.parent, tmp_path / "lymphocytosis_moe") / "eval" / "explanations" / "index.json"
    content = json.loads(changed.read_text())
    for row in content["experts"]:
        row["image"] = 0.99
    changed.write_text(json.dumps(content))
    text = Page(build_report(changed.parents[1]).read_text("utf-8")).text
    assert "would call 12 of 12 patients tumoral, right in 6 of 12;" in text
    assert "An expert that says the same of nearly all patients is no diagnosis" in text


def test_two_classes_head_the_page_with_their_own_measures(page, eval_dir):
    metrics = json.loads((eval_dir / "metrics.json").read_text())["metrics"]
    for name, title in (("roc_auc", "ROC AUC"), ("sensitivity", "Sensitivity"), ("specificity", "Specificity")):
        assert f"{title} {number(metrics[name]['value'])} 95 % interval" in page.text
    assert "The class to be found is tumoral" in page.text
    assert any("ROC curve for tumoral" in (svg.get("aria-label") or "") for svg in page.tags("svg"))


def test_shortcuts_and_the_models_lead(page):
    row = cells(page.row("lymphocyte count"))
    assert row[3] == "+0.050 0.010 to 0.090"
    assert row[4].startswith("\u22120.020")
    assert row[5] == "the model is better"


def test_repeatability_is_the_papers_table(page):
    rows = [cells(row) for row in page.rows if row and row[0] in ("A", "D")]
    notable, everything = [row for row in rows if row[0] == "A"], [row for row in rows if row[0] == "D"]
    # patient D is right and unanimous: it is only in the whole table
    assert (len(notable), len(everything)) == (2, 1)
    assert notable[0] == ["A", "reactive", "R T R T T", "tumoral (wrong)", "R R R R R", "reactive"]
    assert "disjoint random subsets (2)" in page.text
    assert "separate smears may disagree more" in page.text
    assert "Left out, with too few cells: Z" in page.text
    labels = [svg.get("aria-label") or "" for svg in page.tags("svg")]
    assert any("over the number of cells" in label for label in labels)
    assert any("on average 33 % of it" in label for label in labels)


def test_instance_quality_stands_beside_its_chance_level(page):
    row = cells(page.row("AUC of instances"))
    assert row[1:7] == ["Shapley values, mixture", "0.900", "0.800 to 0.950", "0.500", "7", "above chance"]


def test_reading_gives_the_files_numbers(eval_dir):
    sources = read_sources(eval_dir)
    first, second = read_bags(sources)
    assert (first.n, first.exact, second.exact) == (24, False, True)
    assert [cell.rank for cell in (*first.highest, *first.lowest)] == [1, 2, 24]
    assert second.experts is None
    assert isinstance(read_experts(sources)[0], ExpertSplit)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["samples"][0]["bag"].pop("n"), r"samples\[0\]\.bag\.n"),
        (lambda c: c["samples"][1]["bag"]["highest"][0].update(value="x"), r"samples\[1\]\.bag\.highest\[0\]\.value"),
        (lambda c: c["samples"][0]["bag"]["lowest"][0].update(image_png="../../x.png"), "lies outside"),
        (lambda c: c["samples"][0]["bag"]["experts"].update(gate=1.5), r"bag\.experts\.gate"),
        (lambda c: c["experts"][3].pop("image"), r"experts\[3\]\.image"),
        (lambda c: c["samples"][0].update(bag=7), r"samples\[0\]\.bag"),
    ],
)
def test_malformed_bags_are_errors_that_name_the_key(tmp_path, change, named):
    eval_dir = write_bags(tmp_path / "lymphocytosis_moe")
    path = eval_dir / "explanations" / "index.json"
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)
    with pytest.raises(DataError, match=named):
        build_report(eval_dir)


def test_explained_before_evaluated(tmp_path):
    """The classes come from the calibration where nothing was evaluated yet."""
    eval_dir = write_bags(tmp_path / "lymphocytosis_moe")
    for name in ("metrics.json", "predictions.csv"):
        (eval_dir / name).unlink(missing_ok=True)
    calibration = tmp_path / "calibration.json"
    write_json(calibration, {"classes": ["reactive", "tumoral"]})
    sources = read_sources(eval_dir, calibration_file=calibration)
    assert sources.classes == ["reactive", "tumoral"]
    page = build_report(eval_dir, calibration_file=calibration).read_text()
    assert "speak most for tumoral" in page
