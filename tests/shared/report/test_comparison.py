"""Two runs side by side: which differences exceed their intervals, which direction is better, and what is said."""

from __future__ import annotations

import pytest

from shared.report.comparison import compare
from shared.report.comparison_text import comparison_html, comparison_markdown, comparison_terminal
from tests.shared.report.html_page import Page
from tests.shared.report.run_cards import element_row, entry, run

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def _verdicts(first, second):
    return {row.title: row.verdict for row in compare(first, second).rows}


def test_only_differences_beyond_their_interval_count():
    first = run(results={"macro_f1": entry(0.80, 0.75, 0.85), "accuracy": entry(0.80, 0.75, 0.85)})
    second = run("second", {"macro_f1": entry(0.90, 0.86, 0.94), "accuracy": entry(0.86, 0.81, 0.91)})
    found = compare(first, second)
    assert {row.title: row.verdict for row in found.rows} == {
        "macro f1": "second better",
        "accuracy": "no difference shown",
    }
    assert [row.title for row in found.exceeding] == ["macro f1"]
    assert found.compared == 2
    low, high = found.rows[0].interval
    assert (low, high) == pytest.approx((0.1 - (0.04**2 + 0.05**2) ** 0.5, 0.1 + (0.04**2 + 0.05**2) ** 0.5))
    # intervals that overlap may exclude 0 in the difference all the same, and the other way round there is no sign
    assert _verdicts(second, first)["macro f1"] == "first better"


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("macro_f1", "second better"), ("brier", "first better"), ("kept_share", "differ")],
)
def test_what_is_better_depends_on_the_metric(name, verdict):
    first, second = (run(results={name: entry(value, value - 0.01, value + 0.01)}) for value in (0.2, 0.4))
    assert _verdicts(first, second) == {name.replace("_", " "): verdict}


def test_elements_are_compared_method_by_method():
    def rows(shift):
        return [
            element_row("background_share", "lime", entry(0.2 + shift, 0.1 + shift, 0.3 + shift)),
            element_row("sparseness", "lime", entry(0.2 + shift, 0.1 + shift, 0.3 + shift)),
            element_row("output_response", None, entry(0.5, 0.4, 0.6), "dry mass"),
            element_row("iou", "lime", entry(None)),
        ]

    assert _verdicts(run(rows=rows(0)), run(rows=rows(0.5))) == {
        "Share on background · lime": "first better",
        "Sparseness (Gini) · lime": "differ",
        "Response of the output · dry mass": "no difference shown",
    }


def test_what_one_run_lacks_is_said():
    first = run(results={"macro_f1": entry(0.8, 0.7, 0.9), "accuracy": entry(0.8), "brier": entry(0.1)})
    second = run(results={"accuracy": entry(0.9, 0.8, 1.0), "brier": entry(0.1)})
    assert _verdicts(first, second) == {
        "macro f1": "not measured in second",
        "accuracy": "no interval",
        "brier": "equal",
    }


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"data": "aa"}, {"data": "aa"}, "evaluated on the same data list"),
        ({"data": "aa"}, {"data": "bb"}, "evaluated on different data lists"),
        ({}, {"data": "bb"}, "is not recorded"),
        ({"weights": "aa"}, {"weights": "aa"}, "Both have the same weights"),
        ({"bundle": "cells"}, {"bundle": "chests"}, "of different bundles: cells and chests"),
        ({"n": 100}, {"n": 90}, "differ in N: 100 and 90"),
    ],
)
def test_notes_say_what_the_runs_have_in_common(first, second, said):
    assert any(said in note for note in compare(run(**first), run(**second)).notes)


def _hostile():
    results = {HOSTILE: entry(0.2, 0.1, 0.3)}
    return compare(run(HOSTILE, results), run("second", {HOSTILE: entry(0.8, 0.7, 0.9)}))


def test_names_from_files_are_text_wherever_they_are_written():
    page = comparison_html(_hostile())
    assert "<script" not in page
    assert "alert(1)" in Page(page).text
    assert "\\<script\\>" in comparison_markdown(_hostile())
    terminal = comparison_terminal(_hostile())
    assert "\x1b" not in terminal
    assert "second better" in terminal


def test_the_terminal_shows_what_exceeds_and_all_on_request():
    first = run(results={"macro_f1": entry(0.8, 0.7, 0.9), "accuracy": entry(0.2, 0.1, 0.3)})
    second = run(results={"macro_f1": entry(0.8, 0.7, 0.9), "accuracy": entry(0.9, 0.8, 1.0)})
    found = compare(first, second)
    assert "macro f1" not in comparison_terminal(found)
    assert "macro f1" in comparison_terminal(found, all_rows=True)
    assert "1 of 2 differences exceed" in comparison_terminal(found)
