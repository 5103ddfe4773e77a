"""What each reader finds: the parts, failures with the worst first, subgroups, partitions, sanity checks, limits."""

from __future__ import annotations

import hashlib
import json

import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.evaluation.interpretability.file import row
from shared.report.build import build_report
from shared.report.card.answers import subgroup_results
from shared.report.card.content import card_content
from shared.report.contents import PARTS, page_parts
from shared.report.elements import element_tables
from shared.report.sections import element_grids
from shared.report.sources import FAILED_MARK, read_sources
from tests.shared.report.edited_files import edited
from tests.shared.report.element_files import METHODS, element_rows, write_rows
from tests.shared.report.html_page import Page


def parsed(eval_dir):
    return Page(build_report(eval_dir).read_text("utf-8"))


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory, four_classes):
    """The page of a bundle whose explanations were measured; guided backpropagation failed a sanity check."""
    folder = tmp_path_factory.mktemp("interpreted")
    return parsed(write_rows(edited(four_classes, folder, "eval/metrics.json", lambda _: None)))


def test_sections_without_content_are_left_out_and_all_others_stay():
    needed = {section.needs for part in PARTS for section in part.sections} - {None}
    words = {"bags": {"words": {"bag": "patient"}}}
    none, all_there = page_parts(dict.fromkeys(needed)), page_parts(dict.fromkeys(needed, True) | words)
    assert [part.key for part in none] == ["clinician", "researcher", "auditor"]
    assert {section.needs for part in none for section in part.sections} == {None}
    for part, expected in zip(all_there, PARTS, strict=True):
        assert [section.key for section in part.sections] == [section.key for section in expected.sections]
    assert [section.title for section in all_there[0].sections if section.key == "bags"] == ["Explained patients"]


def test_each_reader_has_a_part_that_the_contents_lead_to(page):
    ids = {attributes.get("id") for _, attributes in page.elements}
    links = [link["href"] for link in page.tags("a")]
    for part in PARTS:
        assert part.key in ids
        assert links.count(f"#{part.key}") == 2
    sections = [tag["id"] for tag in page.tags("section")]
    assert all(f"#{name}" in links for name in sections)
    assert sections.index("cases") < sections.index("results") < sections.index("failures")


def test_failures_come_by_falling_confidence_and_lead_to_their_explanation(page, four_classes):
    table = pd.read_csv(four_classes / "predictions.csv", keep_default_na=False)
    known = table[(table["kind"] == "") & (table["label"] != "")]
    wrong = known[known["label"] != known["prediction"]].sort_values("confidence", ascending=False, kind="stable")
    accepted = (wrong["decision"] == "accept").sum()
    assert f"{len(wrong)} of {len(known)} labelled" in page.text
    assert f"{accepted} of them were accepted" in page.text
    rows = [[" ".join(cell.split()) for cell in row] for row in page.rows]
    start = next(i for i, row in enumerate(rows) if row[1:3] == ["Truth", "Predicted"])
    listed = rows[start + 1 : start + 1 + min(20, len(wrong))]
    assert [row[0] for row in listed] == wrong["id"].head(20).tolist()
    assert [row[1] for row in listed] == wrong["label"].head(20).tolist()
    explained = {
        sample["id"] for sample in json.loads((four_classes / "explanations/index.json").read_text())["samples"]
    }
    links = [link["href"] for link in page.tags("a") if (link["href"] or "").startswith("#case-")]
    assert len(links) == len(explained & set(wrong["id"].head(20)))


def test_failures_of_several_labels_name_the_question(multi_label):
    page = parsed(multi_label)
    rows = [[" ".join(cell.split()) for cell in row] for row in page.rows]
    start = next(i for i, row in enumerate(rows) if row[1:4] == ["Question", "Truth", "Predicted"])
    assert rows[start + 1][1] in ("Atelectasis", "Cardiomegaly", "Edema")
    assert {rows[start + 1][2], rows[start + 1][3]} == {"present", "absent"}


def test_without_labels_no_failure_is_counted(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda _: None)
    table = pd.read_csv(eval_dir / "predictions.csv", keep_default_na=False)
    table.assign(label="").to_csv(eval_dir / "predictions.csv", index=False)
    assert "Failures: not measured. They need predictions of samples whose label is known." in parsed(eval_dir).text


def test_subgroups_stand_with_what_differs_from_the_others(four_classes, tmp_path, page):
    assert "Results in subgroups: not measured." in page.text

    def group(name, value, low, high):
        return {
            "name": name,
            "n": 80,
            "metrics": {"accuracy": {"value": value, "ci95": [value - 0.05, value + 0.05]}},
            "against_rest": {"accuracy": {"value": 0.125, "ci95": [low, high]}},
        }

    content = {
        "sex": {"groups": [group("F", 0.9, 0.02, 0.2), group("M", 0.8, -0.2, 0.3)]},
        "dry_mass_pg": {"reason": "no record says its dry mass (pg)"},
    }
    certain = group("X", 0.7, 0.1, 0.2)
    certain["against_rest"]["accuracy"] |= {"ci95": None, "reason": "all resamples of this group agree"}
    content["view"] = {"groups": [certain]}
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c.update(subgroups=content))
    page = parsed(eval_dir)
    assert page.row("X") == ["X", "80", "0.700 0.650 to 0.750"]
    assert "1 more have no interval" in page.text
    answer = subgroup_results(card_content(read_sources(eval_dir)))
    assert "Of 2 differences to all other samples, 1 exclude 0: sex F" in answer
    assert "(about 1 would by chance)" in answer
    assert page.row("F") == ["F", "80", "0.900 0.850 to 0.950 +0.125 to the others"]
    assert page.row("M") == ["M", "80", "0.800 0.750 to 0.850"]
    assert "1 of 2 differences do; by chance alone about 1 would" in page.text
    assert "dry mass (pg): no record says its dry mass (pg)" in page.text


def test_a_malformed_subgroup_is_named(four_classes, tmp_path):
    broken = {"sex": {"groups": [{"name": "F"}]}}
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c.update(subgroups=broken))
    with pytest.raises(DataError, match=r"subgroups\.sex\.groups\[0\]\.n"):
        build_report(eval_dir)


@pytest.mark.parametrize(("donors", "said"), [(("a", "b"), "Disjoint."), (("a", "a"), "Not disjoint.")])
def test_partitions_are_counted_in_the_data_list(four_classes, tmp_path, donors, said, page):
    assert "Whether partitions are disjoint: not checked." in page.text
    records = {name: [{"id": name, "donor": donor}] for name, donor in zip(("training", "test"), donors, strict=True)}
    text = json.dumps(records)
    named = [{"file": "data/datalist.json", "sha256": hashlib.sha256(text.encode()).hexdigest()}]
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c["provenance"].update(data=named))
    (eval_dir.parent / "data").mkdir()
    (eval_dir.parent / "data" / "datalist.json").write_text(text)
    page = parsed(eval_dir)
    assert said in page.text
    assert page.row("training")[3] == ("none" if donors[0] != donors[1] else "1 with test")


def test_a_failed_sanity_check_is_marked_wherever_the_method_stands(interpreted):
    title = f"Guided backpropagation {FAILED_MARK}"
    # three elements with numbers of methods, sanity checks; each case; each figure
    rows = [[" ".join(cell.split()) for cell in row[:2]] for row in interpreted.rows]
    assert sum(title in row for row in rows) >= 4
    in_words = "failed a sanity check: Guided backpropagation"
    assert "Guided backpropagation " not in interpreted.text.replace(title, "").replace(in_words, "")
    drawn = [svg["aria-label"] for svg in interpreted.tags("svg") if svg.get("aria-label")]
    assert any(title in label for label in drawn)
    assert not any("Guided backpropagation " in label.replace(title, "") for label in drawn)
    assert (
        "1 of 2 methods failed. Guided backpropagation: Random logit: likeness 0.97 is not below 0.5."
        in interpreted.text
    )
    assert f"{FAILED_MARK} marks a method that failed a sanity check" in interpreted.text


def test_an_undecided_sanity_check_is_said_beside_the_method(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "configs/metadata.json", lambda _: None)
    rows = [entry for entry in element_rows() if (entry["measure"], entry["method"]) != ("random_logit", "lime")]
    rows.append(row("random_logit", {"value": 0.63, "ci95": [0.46, 0.78], "n": 40}, "lime"))
    sources = read_sources(write_rows(eval_dir, rows))
    assert sources.undecided_checks("lime") == ["Random logit"]
    # what failed is failed, and a control is there to fail
    assert sources.undecided_checks("guided_backpropagation") == sources.undecided_checks("random_map") == []
    assert sources.marked_title("lime") == "LIME (undecided)"
    page = parsed(eval_dir)
    assert sum("LIME (undecided)" in " ".join(cells[:1]) for cells in page.rows) >= 3
    assert "A method called undecided neither passed nor failed a sanity check" in page.text
    drawn = [svg["aria-label"] for svg in page.tags("svg") if svg.get("aria-label")]
    assert any("LIME (undecided)" in label for label in drawn)


def test_localization_stands_in_one_place(interpreted, four_classes, tmp_path):
    titles = [" ".join(section.split()) for section in interpreted.text.split("Explanation quality")]
    assert len(titles) == 1, "the quality of the index stands with the element that it measures"
    drawn = [svg["aria-label"] for svg in interpreted.tags("svg") if svg.get("aria-label")]
    assert any("Localisation AUC" in label for label in drawn)
    alone = parsed(edited(four_classes, tmp_path, "configs/metadata.json", lambda _: None))
    assert "Explanation quality" in alone.text


def test_methods_stand_with_rule_and_verdict(interpreted):
    rows = [[" ".join(cell.split()) for cell in row] for row in interpreted.rows]
    found = {
        row[0]: row for row in rows if len(row) == 5 and row[-1] in ("passed", "failed", "control", "not measured")
    }
    assert found["LIME"][1] == "weights of a linear model of masked images"
    assert found["LIME"][-1] == "passed"
    assert "Random logit: 0.20 (0.10 to 0.30): passed" in found["LIME"][3]
    assert found[f"Guided backpropagation {FAILED_MARK}"][-1] == "failed"
    assert found["Random map (control)"][-1] == "control"
    assert interpreted.row("parameters") == ["parameters", "61706"]


def test_a_control_that_fails_is_as_expected(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "configs/metadata.json", lambda _: None)
    alike = [row("random_logit", {"value": 0.97, "ci95": [0.95, 0.99], "n": 40}, name) for name in METHODS]
    page = parsed(write_rows(eval_dir, alike))
    rows = [[" ".join(cell.split()) for cell in found] for found in page.rows]
    (said,) = (cells for cells in rows if cells[0] == "Random map (control)" and len(cells) == 5)
    assert said[-1] == "control, as expected"
    assert any(cell.endswith("(0.95 to 0.99): as expected of a control") for cell in said)
    assert not any("failed" in cell for cell in said)


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [((0.63, 0.46, 0.78), "undecided"), ((0.63, 0.55, 0.78), "failed"), ((0.25, 0.1, 0.4), "passed")],
)
def test_a_cascade_stands_with_its_stages_and_one_of_three_verdicts(four_classes, tmp_path, numbers, verdict):
    value, *ends = numbers
    stages = [
        {"randomised": randomised, "layers": 9, "down_to": "head", "rank_correlation": likeness}
        for randomised, likeness in ((3, 1.0), (6, None), (9, value))
    ]
    parameters = {"limit": 0.5, "draws": 2, "similarity": "rank_correlation", "stages": stages}
    cascade = {"value": value, "ci95": ends, "chance": 0.31, "n": 16, "parameters": parameters}
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda _: None)
    rows = [*element_rows(), row("cascading_randomisation", cascade, "lime")]
    page = parsed(write_rows(eval_dir, rows))
    cells = next(
        cells
        for found in page.rows
        if (cells := [" ".join(cell.split()) for cell in found])[0].startswith("LIME") and len(cells) == 5
    )
    assert cells[-1] == verdict
    assert f"different images 0.31: {verdict}" in cells[3]
    assert f"3 of 9: 1.00; 6 of 9: undefined; 9 of 9: {value:.2f}" in cells[3]
    assert ("1 of 2 methods undecided: LIME." in page.text) == (verdict == "undecided")


def test_the_tolerance_of_the_pointing_game_and_the_logit_stand_beside_the_numbers(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda _: None)
    entry = {"value": 0.5, "ci95": [0.4, 0.6], "n": 12}
    rows = [
        row("pointing_game", entry | {"parameters": {"radius": 2.24}}, "lime"),
        row("pointing_game", entry | {"parameters": {"radius": 2.24}}, "lime", label="monocyte"),
        row("physical_correlation", entry | {"parameters": {"logit": "tumoral"}}, of="age"),
    ]
    page = parsed(write_rows(eval_dir, rows))
    found = [[" ".join(cell.split()) for cell in cells] for cells in page.rows]
    head = next(cells for cells in found if cells[0] == "Method" and cells[1].startswith("Pointing game"))
    assert head[1].startswith("Pointing game (within 2.24 px)")
    assert any("Pointing game (within 2.24 px)" in cells and "monocyte" in cells for cells in found)
    assert any(cells[0].endswith("age, logit of tumoral") for cells in found)


def test_elements_stand_with_chance_and_what_was_not_measured(interpreted, page):
    rows = [[" ".join(cell.split()) for cell in row] for row in interpreted.rows]
    head = next(row for row in rows if row[0] == "Method" and "Localisation AUC" in row[1])
    assert head[1] == "Localisation AUC high is good chance 0.500"
    found = {row[0]: row for row in rows[rows.index(head) + 1 : rows.index(head) + 4]}
    assert found["LIME"][1] == "0.800 0.700 to 0.900 better than chance"
    assert found["Random map (control)"][1] == "0.500 0.450 to 0.550 like chance"
    # the IoU of LIME was taken on fewer samples than its localisation AUC
    assert {name: row[-1] for name, row in found.items()} == {
        "LIME": "12 to 40",
        "Guided backpropagation \u26a0\ufe0e": "40",
        "Random map (control)": "40",
    }
    assert "Stability between trainings: no second model; name other_model_files" in interpreted.text
    # the auditor reads it once more among what is not known
    assert "Visual recognizability, Stability between trainings: no second model" in interpreted.text
    assert "The elements of the methods: not measured. There is no interpretability.json." in page.text
    assert "Sanity checks of the methods: not measured." in page.text


def test_limits_are_those_of_the_bundle(page):
    assert page.text.count("Never measured on cells of children.") == 2


def test_a_measure_of_several_things_has_a_column_for_each(four_classes, tmp_path):
    entry = {"ci95": [0.1, 0.9], "n": 7}
    rows = [row("map_response", entry | {"value": 0.25, "chance": 0.0}, "lime", of="size")]
    rows += [row("map_response", entry | {"value": 0.75, "chance": 0.5}, "lime", of="dry mass")]
    rows += [row("map_response", entry | {"value": 0.5, "chance": 0.25}, "random_map", of="size")]
    eval_dir = write_rows(edited(four_classes, tmp_path, "eval/metrics.json", lambda _: None), rows)
    (grid,) = (
        g for g in element_grids(element_tables(read_sources(eval_dir))) if g.table.element == "physical_attribution"
    )
    assert [(column.of, column.chance) for column in grid.columns] == [("size", None), ("dry mass", 0.5)]
    (_, cells, n), *_ = (entry for entry in grid.methods if entry[0].name == "lime")
    assert [cell.estimate.value for cell in cells] == [0.25, 0.75]
    assert n == "7"
    assert [[entry[0].name for entry in grid.of_kind(controls)] for controls in (False, True)] == [
        ["lime", "guided_backpropagation"], ["random_map"]
    ]  # fmt: skip
    (control,) = grid.of_kind(controls=True)
    assert control[1][1] is None
