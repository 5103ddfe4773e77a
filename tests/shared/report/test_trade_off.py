"""Result against quality of explanations: models of runs and of study tables, and the picture's points."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.report.build import build_report
from shared.report.card.write import write_card
from shared.report.sections.trade_off import trade_off_section
from shared.report.sources import read_sources
from shared.report.trade_off import trade_off_of_runs
from shared.report.trade_off_figure import trade_off_figure
from shared.report.trade_off_study import read_trade_off
from shared.report.trade_off_text import trade_off_html, trade_off_markdown
from tests.shared.report.element_files import write_rows
from tests.shared.report.html_page import Page
from tests.shared.report.run_cards import element_row, entry, run


def _run(name, result, quality, **options):
    rows = [
        element_row("localisation_auc", method, entry(value, value - 0.05, value + 0.05))
        for method, value in (("lime", quality), ("grad_cam", quality - 0.2), ("random_map", 0.99))
    ]
    return run(name, {"macro_f1": entry(result, result - 0.1, result + 0.1)}, rows, **options)


def test_runs_of_one_bundle_stand_together():
    (found,) = trade_off_of_runs([_run("a", 0.7, 0.9), _run("b", 0.9, 0.6, failed=["lime"])])
    assert (found.title, found.result, found.quality) == ("cells", "macro f1", "Localisation AUC")
    assert [(model.name, model.result.value) for model in found.models] == [("a", 0.7), ("b", 0.9)]
    # neither the control nor what failed a sanity check is the best
    assert [model.best for model in found.models] == ["lime", "grad cam"]
    assert found.models[0].qualities["lime"].interval == pytest.approx((0.85, 0.95))


def test_runs_that_are_measured_differently_are_not_mixed():
    other = run("b", {"accuracy": entry(0.9, 0.8, 1.0)})
    with pytest.raises(DataError, match=r"cells: the runs are measured differently \(accuracy, macro f1\)"):
        trade_off_of_runs([_run("a", 0.7, 0.9), other])
    with pytest.raises(DataError, match="no result to set against explanations"):
        trade_off_of_runs([run("c")])


def test_the_measure_is_the_one_that_the_most_runs_have():
    """A model that explains cells only is set beside those that explain cells and pixels; one of attributes alone."""
    both = [
        element_row(measure, "lime", entry(value, value - 0.1, value + 0.1, chance=0.3))
        for measure, value in (("rank_accuracy", 0.9), ("instance_ndcg", 0.7))
    ]
    cells = [element_row("instance_ndcg", "lime", entry(0.8, 0.7, 0.9, chance=0.3))]
    result = {"roc_auc": entry(0.9, 0.8, 1.0)}
    (found,) = trade_off_of_runs(
        [run("network", result, both), run("coefficients", result, cells), run("attributes", result)]
    )
    assert found.quality == "NDCG of instances"
    assert [model.best for model in found.models] == ["lime", "lime", None]
    assert found.models[0].qualities["lime"].value == 0.7
    assert (found.models[0].result.chance, found.models[0].qualities["lime"].chance) == (0.5, 0.3)
    assert found.models[2].caveats == ["not measured: NDCG of instances was not taken"]
    drawing = trade_off_figure(found, "t")
    assert "attributes 0.900, explanations not measured" in drawing
    # chance of result and of quality
    assert drawing.count("stroke-dasharray") >= 2


def test_what_limits_a_number_stands_beside_it():
    failed = _run("a", 0.7, 0.9, failed=["lime", "grad_cam"])
    rows = [element_row("rank_accuracy", name, entry(0.5, 0.4, 0.6)) for name in ("lime", "random_map")]
    rows.append(element_row("random_logit", "lime", entry(0.63, 0.46, 0.78) | {"parameters": {"limit": 0.5}}))
    undecided = run("b", {"macro_f1": entry(0.8, 0.7, 0.9)}, rows)
    (alone,) = trade_off_of_runs([failed])
    assert (alone.models[0].best, alone.models[0].shown) == (None, "lime")
    assert alone.models[0].caveats[0] == "failed a sanity check, as did every method of this model"
    assert "lime (failed a sanity check)" in trade_off_figure(alone, "t")
    (found,) = trade_off_of_runs([undecided])
    assert found.models[0].caveats == ["undecided in a sanity check", "no higher than the control random map"]
    (higher,) = trade_off_of_runs([_run("c", 0.7, 0.9, failed=["lime"])])
    assert higher.models[0].caveats[0] == "higher, but failed a sanity check: lime"


def test_intervals_of_few_donors_are_warned_of():
    given = _run("a", 0.7, 0.9)
    drawn = {"by": "sample", "n": 40, "warning": "the samples are of 3 donors"}
    given.card["data"]["resampled"] = drawn
    given.card["elements_resampled"] = drawn
    (found,) = trade_off_of_runs([given])
    assert [note.split(":")[0] for note in found.notes] == ["a, result", "a, explanations"]
    assert "the samples are of 3 donors" in Page(trade_off_html([found])).text
    assert "the samples are of 3 donors" in trade_off_markdown([found])


def _study(folder, rows):
    columns = ["section", "network", "dropout", "condition", "measure", "value", "low", "high"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "table.csv", index=False)
    return folder


def _rows(network, dropout, condition, result, quality):
    return [
        ("Explanations", network, dropout, condition, "macro F1 on phantoms", result, result - 0.1, result + 0.1),
        ("Explanations", network, dropout, condition, "rank accuracy", quality - 0.3, quality - 0.4, quality - 0.2),
        ("Explanations", network, dropout, condition, "localisation AUC", quality, quality - 0.02, quality + 0.02),
    ]


@pytest.fixture
def study(tmp_path):
    rows = [("Cross-validation", "LeNet5", 0.5, "all cells", "macro F1", 0.66, 0.62, 0.69)]
    for network, dropout, result in (("LeNet5", 0.5, 0.8), ("AlexNet", 0.25, 0.9)):
        rows += _rows(network, dropout, "SmoothGrad", result, 0.86)
        rows += _rows(network, dropout, "LIME", result, 0.6)
        rows += _rows(network, dropout, "random map (control)", result, 0.97)
    rows += _rows("LeNet5", None, "SmoothGrad, untrained network", 0.15, 0.7)
    return _study(tmp_path, rows)


def test_models_are_read_from_the_table_of_a_study(study):
    (found,) = read_trade_off([study])
    assert (found.result, found.quality) == ("macro F1 on phantoms", "rank accuracy")
    assert "does not say which methods failed" in found.notes[0]
    assert [(model.name, model.result.value, model.best, model.untrained) for model in found.models] == [
        ("LeNet5, dropout 0.5", 0.8, "SmoothGrad", False),
        ("AlexNet, dropout 0.25", 0.9, "SmoothGrad", False),
        ("LeNet5, untrained network", 0.15, "SmoothGrad", True),
    ]
    first = found.models[0]
    assert first.qualities["SmoothGrad"].value == pytest.approx(0.56)
    assert first.qualities["SmoothGrad"].interval == pytest.approx((0.46, 0.66))
    assert first.controls == {"random map (control)"}


def test_a_study_without_qualities_has_results_alone(tmp_path):
    rows = [
        ("Diagnosis", name, None, None, "ROC AUC", value, value - 0.1, value + 0.05)
        for name, value in (("features", 0.8), ("CNN", 0.9))
    ]
    (found,) = read_trade_off([_study(tmp_path, rows)])
    assert [(model.name, model.best) for model in found.models] == [("features", None), ("CNN", None)]
    assert trade_off_figure(found, "t") is None
    assert (
        "| CNN | 0.900 \\[0.800, 0.950\\], chance 0.500 |  | not measured | not measured: the study's table"
        in trade_off_markdown([found])
    )


def test_what_is_no_table_of_a_study_is_named(tmp_path):
    (tmp_path / "table.csv").write_text("section,measure\na,b\n")
    with pytest.raises(DataError, match=r"table\.csv: columns high, low, value are missing"):
        read_trade_off([tmp_path])
    _study(tmp_path, [("Section", "LeNet5", None, None, "seconds", 1.0, 0.9, 1.1)])
    with pytest.raises(DataError, match="no section has one of the results"):
        read_trade_off([tmp_path])


def test_the_picture_shows_every_model_and_says_its_numbers(study):
    parts = read_trade_off([study])
    drawing = trade_off_figure(parts[0], "t")
    assert "LeNet5, dropout 0.5 0.800 and 0.560" in drawing
    for label in ("LeNet5, dropout 0.5: SmoothGrad", "AlexNet, dropout 0.25: SmoothGrad", "LeNet5, untrained network"):
        assert label in drawing
    page = Page(trade_off_html(parts))
    assert "AlexNet, dropout 0.25" in page.text
    assert "0.900 [0.800, 1.000]" in page.text


def test_names_from_files_are_text(tmp_path):
    (found,) = read_trade_off([_study(tmp_path, _rows("<script>alert(1)</script>", 0.5, "<b>LIME</b>", 0.8, 0.7))])
    page = trade_off_html([found])
    assert "<script" not in page
    assert "<b>LIME" not in page


def test_runs_beside_each_other_are_a_section_of_the_page(four_classes, tmp_path):
    bundle = tmp_path / "leukocyte_qpi"
    shutil.copytree(four_classes.parent, bundle)
    first = bundle / "eval"
    write_rows(first)
    assert trade_off_section(read_sources(first)) is None
    shutil.copytree(first, bundle / "eval_alexnet")
    write_card(read_sources(bundle / "eval_alexnet", bundle), bundle / "eval_alexnet")
    (bundle / "eval_old").mkdir()
    (bundle / "eval_old" / "card.json").write_text("{}")
    section = trade_off_section(read_sources(first))
    (part,) = section["parts"]
    assert [row[0] for row in part["rows"]] == ["eval", "eval_alexnet"]
    # guided backpropagation is higher, but failed a sanity check
    assert [row[2] for row in part["rows"]] == ["LIME", "LIME"]
    assert part["figure"].startswith("<svg")
    (left_out,) = section["left_out"]
    assert "eval_old" in left_out
    page = Page(build_report(first).read_text(encoding="utf-8"))
    assert "Other runs of this bundle" in page.text
    assert "eval_alexnet" in page.text
