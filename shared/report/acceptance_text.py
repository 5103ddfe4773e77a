"""What accepting is worth, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from shared.report.acceptance import Acceptance, Risk, Verdict
from shared.report.formats import MINUS, percent, percent_interval

__all__ = ["acceptance_sentences", "acceptance_warning", "verdict_words"]

#: do flags find errors? In a cell of a table
_WORDS: dict[Verdict, str] = {
    "finds errors": "yes, better than random flags",
    "not shown": "not shown",
    "worse": "no, worse than random flags",
    "all accepted": "nothing is flagged",
    "none accepted": "nothing is accepted",
    "no errors": "no answer is wrong",
    "no interval": "not known: no interval",
}
#: what a warning says first, and then
_WARNINGS: dict[Verdict, tuple[str, str]] = {
    "not shown": (
        "“accepted” is not shown to be a reason to believe an answer more than any other.",
        "It is not shown that flagged answers are wrong more often than accepted ones.",
    ),
    "worse": (
        "“accepted” is no reason to believe an answer more than any other.",
        "Flagged answers are wrong less often than accepted ones: random flags would do better.",
    ),
    "all accepted": (
        "“accepted” is no reason to believe an answer.",
        "Every answer is accepted, right or wrong.",
    ),
    "no interval": (
        "“accepted” is not shown to be a reason to believe an answer more than any other.",
        "There is no interval for how much more often flagged answers are wrong.",
    ),
}
_OF_SOME = ("“accepted” is not of every question a reason to believe an answer more than any other.", "")


def verdict_words(acceptance: Acceptance) -> str:
    """Return whether flags find errors in a few words, with the difference where there is one."""
    words = _WORDS[acceptance.verdict]
    return (
        f"{words}: {_difference(acceptance)}" if acceptance.verdict in ("finds errors", "not shown", "worse") else words
    )


def acceptance_warning(found: Sequence[Acceptance]) -> tuple[str, str] | None:
    """Return why "accepted" is no reason to believe an answer: what it comes to, and why; ``None`` if it is one.

    Args:
        found: of the whole first, as :func:`shared.report.acceptance.acceptances`.
    """
    if not any(acceptance.warned for acceptance in found):
        return None
    every, *tasks = found
    lead, why = _WARNINGS[every.verdict] if every.warned else _OF_SOME
    named: dict[Verdict, list[str]] = {}
    for task in tasks:
        if task.warned:
            named.setdefault(task.verdict, []).append(task.task)
    by_question = "; ".join(f"{_WORDS[verdict]} ({', '.join(labels)})" for verdict, labels in named.items())
    return lead, " ".join(part for part in (why, by_question and f"By question: {by_question}.") if part)


def acceptance_sentences(acceptance: Acceptance) -> list[str]:
    """Return what share of the accepted answers is right, and whether flags find errors, in sentences."""
    said = []
    if acceptance.accepted.n:
        said.append(
            f"Of the {acceptance.accepted.n} accepted answers {_right(acceptance.accepted)} are right; "
            f"of all {acceptance.whole.n} answers {_right(acceptance.whole)}."
        )
    if acceptance.accepted.n and acceptance.flagged.n:
        accepted, flagged = acceptance.accepted, acceptance.flagged
        said.append(
            f"Wrong are {flagged.wrong} of {flagged.n} flagged answers ({percent(flagged.value)}) and {accepted.wrong} "
            f"of {accepted.n} accepted ones ({percent(accepted.value)})"
            + ("." if acceptance.verdict == "no errors" else f": {_difference(acceptance)}.")
        )
    said += [_JUDGED[acceptance.verdict]] if acceptance.verdict in _JUDGED else []
    if acceptance.gained is not None:
        value, ends = acceptance.gained
        said.append(
            f"Flagged answers are changed: {_points(value)} of all answers more are right after that{_of(ends)}."
        )
    return said


_JUDGED: dict[Verdict, str] = {
    "finds errors": "As many random flags would find no difference.",
    "not shown": "As many random flags, which find no difference, may do as well.",
    "worse": "As many random flags would find no difference, and that is better.",
    "none accepted": "No answer is accepted.",
    "no errors": "No answer is wrong: whether flags would find a wrong one is not known.",
}


def _right(risk: Risk) -> str:
    ends = "no interval" if risk.right_interval is None else f"95 % interval {percent_interval(risk.right_interval)}"
    return f"{percent(risk.right)} ({ends})"


def _difference(acceptance: Acceptance) -> str:
    assert acceptance.difference is not None  # asked for where some are accepted and some flagged
    return f"{_points(acceptance.difference)}{_of(acceptance.interval)}"


def _points(share: float) -> str:
    rounded = round(100 * share, 1)
    return f"{'+' if rounded > 0 else MINUS if rounded < 0 else ''}{abs(rounded):.1f} percentage points"


def _of(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return " (no interval)"
    low, high = (f"{round(100 * end, 1) + 0.0:.1f}".replace("-", MINUS) for end in ends)
    return f" (95 % interval {low} to {high})"
