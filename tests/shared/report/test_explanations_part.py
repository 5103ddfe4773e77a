"""The gallery of explained cases and the quality of the methods."""

from __future__ import annotations

import json

import pandas as pd

from shared.report.build import build_report
from shared.report.formats import percent
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page


def test_gallery_shows_cases_with_reason_and_words(page, four_classes, metrics):
    index = json.loads((four_classes / "explanations" / "index.json").read_text())
    table = pd.read_csv(four_classes / "predictions.csv", keep_default_na=False).set_index("id")
    images = page.tags("img")
    assert len(images) == sum(1 + len(sample["methods"]) for sample in index["samples"])
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in images)
    for sample in index["samples"]:
        row = table.loc[sample["id"]]
        assert f"Predicted {sample['prediction']}" in page.text
        assert row["reason"] in page.text
        shares = " ".join(f"{name} {percent(row[f'probability_{name}'])}," for name in metrics["classes"])
        assert shares.replace("\u202f", " ").removesuffix(",") in page.text.replace(" ,", ",")
        if row["decision"] != "reject":
            likely = round(100 * row[f"probability_{row['prediction']}"])
            assert f"about {likely} should be right" in page.text
    assert "in truth no known class but thrombocyte" in page.text


def test_explanation_quality_says_what_chance_would_reach(page):
    rows = [[" ".join(cell.split()) for cell in row] for row in page.rows]
    best = next(row for row in rows if row[:2] == ["Rank accuracy", "Grad-CAM++"])
    assert best[2:] == ["0.670", "0.570 to 0.720", "0.100", "40 3 without mask", "above chance"]
    assert next(row for row in rows if row[0] == "Guided backpropagation")[-1] == "includes chance"


def test_without_masks_a_case_says_so_once_and_no_command_is_named(four_classes, tmp_path):
    def change(content):
        for sample in content["samples"]:
            for entry in sample["methods"].values():
                entry["quality"] = {}
        for entry in content["methods"].values():
            entry["quality"] = {"rank_accuracy": {"value": None, "ci95": None, "n": 0, "n_without_mask": 43}}

    eval_dir = edited(four_classes, tmp_path, "eval/explanations/index.json", change)
    cases = len(json.loads((eval_dir / "explanations" / "index.json").read_text())["samples"])
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert text.count("no mask of what the explained class rests on to compare") == cases
    assert "quality not measured" not in text
    assert (
        "None of the explained samples has a mask of the known cause, which it needs; phantom data have them." in text
    )
    assert "phantom data have them. This would produce it" not in text


def test_methods_after_an_abstract_are_named(four_classes, tmp_path, page):
    assert "written after the abstract" not in page.text

    def change(content):
        content["methods"]["evet"] = content["methods"]["lime"]

    eval_dir = edited(four_classes, tmp_path, "eval/explanations/index.json", change)
    assert "EVET is written after the abstract of its paper" in Page(build_report(eval_dir).read_text("utf-8")).text
