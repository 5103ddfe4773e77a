"""What accepting is worth: counts are those of the answers, intervals hold for few flags, and the page warns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from shared.report.acceptance import measure_acceptance
from shared.report.acceptance_text import acceptance_sentences, acceptance_warning, verdict_words
from shared.report.build import build_report
from shared.report.judged_answers import JudgedAnswers
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page


def answers(accepted, flagged, **options):
    """Return answers to one question, by (wrong, all) of the accepted and of the flagged."""
    wrong, kept = [], []
    for (mistaken, n), decision in ((accepted, 1.0), (flagged, 0.0)):
        wrong += [1.0] * mistaken + [0.0] * (n - mistaken)
        kept += [decision] * n
    given = {"labels": [""], "after": None, "groups": None, "unknown": None} | options
    return JudgedAnswers(wrong=np.array(wrong)[:, None], accepted=np.array(kept)[:, None], **given)


def wilson(wrong, n):
    found = binomtest(wrong, n).proportion_ci(method="wilson")
    return found.low, found.high


def test_risks_are_counted_with_wilson_intervals_and_their_difference_with_newcombes():
    # Newcombe, Statistics in Medicine 17 (1998) 873, table II, method 10: 56/70 less 48/80 is 0.0524 to 0.3339
    (found,) = measure_acceptance(answers(accepted=(48, 80), flagged=(56, 70)))
    assert (found.accepted.wrong, found.accepted.n, found.flagged.wrong, found.flagged.n) == (48, 80, 56, 70)
    assert found.accepted.interval == pytest.approx(wilson(48, 80))
    assert found.whole.right == pytest.approx(46 / 150)
    assert found.whole.right_interval == pytest.approx(tuple(1 - end for end in reversed(wilson(104, 150))))
    assert found.difference == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.verdict == "finds errors"


@pytest.mark.parametrize(
    ("accepted", "flagged", "verdict"),
    [
        ((61, 154), (0, 3), "not shown"),
        ((90, 154), (0, 12), "worse"),
        ((3, 27), (0, 0), "all accepted"),
        ((0, 0), (3, 27), "none accepted"),
        ((0, 27), (0, 3), "no errors"),
        ((4, 143), (9, 35), "finds errors"),
    ],
)
def test_verdicts_and_what_is_warned_of(accepted, flagged, verdict):
    found = measure_acceptance(answers(accepted, flagged))
    assert found[0].verdict == verdict
    warning = acceptance_warning(found)
    assert (warning is not None) == (verdict in ("not shown", "worse", "all accepted"))
    said = " ".join(acceptance_sentences(found[0]))
    assert (f"Wrong are {flagged[0]} of {flagged[1]} flagged answers" in said) == (verdict[-8:] != "accepted")
    if verdict == "worse":
        assert warning[1].startswith("Flagged answers are wrong less often than accepted ones: random flags")


def test_accepting_is_better_than_all_exactly_where_flagged_answers_are_wrong_more_often():
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = rng.integers(1, 30, 4)
        (found,) = measure_acceptance(answers((counts[0], counts[0] + counts[1]), (counts[2], counts[2] + counts[3])))
        lead = found.accepted.right - found.whole.right
        assert np.sign(round(lead, 12)) == np.sign(round(found.difference, 12))


def test_patients_are_resampled_as_wholes():
    groups = np.repeat(np.arange(40), 5)
    (alone,) = measure_acceptance(answers((50, 100), (75, 100)))
    # 40 patients of five samples that are all alike: as much as 40 samples
    (whole,) = measure_acceptance(answers((50, 100), (75, 100), groups=groups))
    width = [found.interval[1] - found.interval[0] for found in (alone, whole)]
    assert width[1] == pytest.approx(width[0] * np.sqrt(5), rel=0.15)
    assert alone.interval[0] > 0 > whole.interval[0]
    (certain,) = measure_acceptance(answers((0, 100), (75, 100), groups=groups))
    assert certain.accepted.interval == pytest.approx(wilson(0, 20))
    (unknown,) = measure_acceptance(answers((50, 100), (75, 100), unknown="no interval: who knows"))
    assert (unknown.verdict, unknown.warned, unknown.interval) == ("no interval", True, None)


def test_several_questions_are_judged_each_and_together():
    wrong, accepted = np.zeros((200, 2)), np.ones((200, 2))
    wrong[:80, 0], wrong[:, 1] = 1, np.tile([1, 0], 100)
    accepted[:60, 0] = 0
    wrong[199, 1] = np.nan
    given = JudgedAnswers(["a", "b"], wrong, accepted, None, None, None)
    every, *tasks = found = measure_acceptance(given)
    assert [(task.task, task.verdict) for task in tasks] == [("a", "finds errors"), ("b", "all accepted")]
    assert (every.whole.n, every.accepted.n, every.flagged.n) == (399, 339, 60)
    assert every.accepted.wrong == 20 + 100
    assert every.verdict == "finds errors"
    assert acceptance_warning(found) == (
        "“accepted” is not of every question a reason to believe an answer more than any other.",
        "By question: nothing is flagged (b).",
    )
    assert verdict_words(tasks[0]).startswith("yes, better than random flags: +85.7 percentage points (95 % interval ")


def test_an_alarm_that_changes_answers_is_told_by_what_it_gains():
    given = answers((10, 100), (40, 50))
    after = np.where(given.accepted == 1, given.wrong, 1 - given.wrong)
    (found,) = measure_acceptance(
        JudgedAnswers(given.labels, given.wrong, given.accepted, after, given.groups, given.unknown)
    )
    assert found.gained[0] == pytest.approx((50 - 20) / 150)
    assert found.gained[1][0] < 0.2 < found.gained[1][1]
    assert "+20.0 percentage points of all answers more are right" in acceptance_sentences(found)[-1]


def test_the_page_says_in_brief_what_accepted_answers_are_worth(four_classes, tmp_path, page):
    brief = page.text[: page.text.index("What becomes") if "What becomes" in page.text else None]
    table = pd.read_csv(four_classes / "predictions.csv", keep_default_na=False)
    known = table[table["kind"] == ""]
    kept = known[known["decision"] == "accept"]
    right = (kept["label"] == kept["prediction"]).mean()
    assert f"Of the {len(kept)} accepted answers {100 * right:.1f} % (" in " ".join(brief.split())
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda content: content.pop("resampled"))
    table.assign(decision="accept").to_csv(eval_dir / "predictions.csv", index=False)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "Warning: “accepted” is no reason to believe an answer. Every answer is accepted, right or wrong." in text


def test_the_page_of_several_questions_has_a_verdict_for_each(multi_label):
    rows = [[" ".join(cell.split()) for cell in row] for row in Page(build_report(multi_label).read_text("utf-8")).rows]
    start = next(i for i, row in enumerate(rows) if row[0] == "Question" and "wrong more often?" in row[-1])
    assert [row[0] for row in rows[start + 1 : start + 4]] == ["Atelectasis", "Cardiomegaly", "Edema"]
    assert all("percentage points (95 % interval" in row[-1] for row in rows[start + 1 : start + 4])
