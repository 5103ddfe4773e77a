"""Two runs side by side: which differences exceed their intervals, which direction is better, and what is said."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from shared.evaluation.paired_samples import by_sample
from shared.evaluation.predictions import predictions_table, write_predictions
from shared.report.comparison import compare
from shared.report.comparison_text import comparison_html, comparison_markdown, comparison_terminal
from shared.report.sources import read_sources
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


def _with_predictions(given, folder, scores, donors=False):
    """Give a run the predictions of 60 samples, and the metrics that they have."""
    labels = np.arange(60) % 2
    probabilities = np.stack([1 - scores, scores], axis=1)
    predicted = scores > 0.5
    table = predictions_table(
        ids=[f"s{place:02d}" for place in range(60)],
        classes=["a", "b"],
        logits=np.log(probabilities),
        probabilities=probabilities,
        predictions=["ab"[int(call)] for call in predicted],
        confidence=np.abs(2 * scores - 1),
        decisions=["accept"] * 60,
        reasons=[""] * 60,
        labels=["ab"[label] for label in labels],
        extra={"donor": [f"d{place % 20}" for place in range(60)]} if donors else None,
    )
    folder.mkdir()
    write_predictions(folder / "predictions.csv", table)
    value = float((predicted == labels).mean())
    (number,) = given.card["results"]["numbers"]
    number |= entry(value, value - 0.1, value + 0.1)
    return replace(given, sources=read_sources(folder))


@pytest.mark.parametrize(
    ("drawn", "donors", "said", "marked"),
    [
        ({"by": "sample", "n": 60}, False, "on the same 60 samples, samples resampled", True),
        ({"by": "donor", "n": 20}, True, "on the same 60 samples, donors resampled", True),
        ({"by": "donor", "n": 20}, False, "does not say the donor of a sample", False),
    ],
)
def test_runs_of_the_same_samples_are_compared_sample_by_sample(tmp_path, drawn, donors, said, marked):
    """The second is right on six samples more, and wrong on no other: apart, though the two intervals overlap."""
    truth = np.arange(60) % 2
    right = np.arange(60) >= 20
    better = np.arange(60) >= 14
    runs = []
    for name, correct in (("first", right), ("second", better)):
        given = run(name, {"accuracy": entry(0.5, 0.4, 0.6)})
        given.card["data"]["resampled"] = drawn
        scores = np.where(correct, truth * 0.8 + 0.1, 0.9 - truth * 0.8)
        runs.append(_with_predictions(given, tmp_path / name, scores, donors))
    found = compare(*runs)
    (row,) = found.rows
    assert row.difference == pytest.approx(0.1)
    assert any(said in note for note in found.notes)
    assert row.verdict == ("second better" if marked else "no difference shown")
    assert ("] paired" in comparison_terminal(found, all_rows=True)) == marked
    # a number that is another than the predictions give is not taken for it
    runs[1].card["results"]["numbers"][0]["value"] = 0.9
    assert compare(*runs).rows[0].paired is None


def test_the_warning_of_few_donors_stands_wherever_the_comparison_does():
    first, second = (run(name, {"accuracy": entry(0.5, 0.4, 0.6)}) for name in ("first", "second"))
    first.card["data"]["resampled"] = {"by": "sample", "n": 60, "warning": "the samples are of 3 donors"}
    second.card["elements_resampled"] = {"by": "sample", "n": 9, "warning": "the samples are of 2 donors"}
    found = compare(first, second)
    said = [
        "first, result: These intervals are not to be trusted as they stand: the samples are of 3 donors.",
        "second, explanations: These intervals are not to be trusted as they stand: the samples are of 2 donors.",
    ]
    assert list(found.warnings) == said
    for text in (Page(comparison_html(found)).text, comparison_markdown(found), comparison_terminal(found)):
        assert all(warning in text for warning in said)


def _explained(name, shift, ids, **options):
    """A run whose 40 samples differ much from one another, and by little from those of a run with another shift."""
    generator = np.random.default_rng(0)
    values = 0.6 + 0.1 * generator.normal(size=40) + shift + 0.01 * np.random.default_rng(len(name)).normal(size=40)
    samples, mean = by_sample(ids, values), float(np.mean(values))
    given = run(name, rows=[element_row("rank_accuracy", "lime", entry(mean, mean - 0.04, mean + 0.04))], **options)
    rows = [{"measure": "rank_accuracy", "method": "lime", "samples": samples}]
    return replace(given, sources=SimpleNamespace(interpretability={"rows": rows}, predictions=None))


def test_explanations_of_the_same_samples_are_compared_sample_by_sample():
    names = [f"cell {number}: monocyte" for number in range(40)]
    first, second = _explained("first", 0.0, names), _explained("second", 0.02, names)
    (row,) = compare(first, second).rows
    differences = [
        b - a
        for a, b in zip(*(run.samples["rank_accuracy", "lime", None]["values"] for run in (first, second)), strict=True)
    ]
    assert row.paired["value"] == pytest.approx(np.mean(differences), abs=1e-5)
    half = 1.96 * np.std(differences) / 40**0.5
    assert row.interval == pytest.approx((np.mean(differences) - half, np.mean(differences) + half), abs=1e-3)
    assert row.verdict == "second better"
    text = comparison_markdown(compare(first, second))
    assert "1 of 1 numbers of explanation methods are of the same samples in both runs and compared on them" in text
    assert "paired | second better" in text
    # the same numbers, whose intervals overlap
    assert _verdicts(replace(first, sources=None), second) == {row.title: "no difference shown"}
    # the order of the samples is nothing
    turned = replace(second, sources=SimpleNamespace(interpretability={"rows": [_turned(second)]}, predictions=None))
    assert compare(first, turned).rows[0].paired["value"] == row.paired["value"]


def _turned(given):
    samples = given.samples["rank_accuracy", "lime", None]
    return {"measure": "rank_accuracy", "method": "lime", "samples": {k: v[::-1] for k, v in samples.items()}}


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (range(40), "interpretability.json of a run does not name its samples"),
        ([f"another cell {number}" for number in range(40)], "0 of 1 numbers of explanation methods are of the same"),
    ],
)
def test_places_and_other_samples_are_not_paired(ids, said):
    names = [f"cell {number}" for number in range(40)]
    found = compare(_explained("first", 0.0, names), _explained("second", 0.02, ids))
    assert found.rows[0].paired is None
    assert any(said in note for note in found.notes)


def test_controls_of_different_bundles_are_no_findings():
    def rows(shift):
        return [
            element_row("rank_accuracy", name, entry(0.2 + shift, 0.19 + shift, 0.21 + shift))
            for name in ("lime", "random_map")
        ]

    first, second = run(rows=rows(0)), run("second", rows=rows(0.5), bundle="chests")
    found = compare(first, second)
    assert [row.title for row in found.rows] == ["Rank accuracy · lime"]
    assert any(
        "Controls are not compared between bundles, and are left out: random map." in note for note in found.notes
    )
    same = compare(first, run("second", rows=rows(0.5)))
    assert [row.title for row in same.rows] == ["Rank accuracy · lime", "Rank accuracy · random map"]
    assert not any("Controls" in note for note in same.notes)
