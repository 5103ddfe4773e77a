"""Whether an accepted answer deserves more trust than any other: what share is right, and whether flags find errors.

An answer that is not accepted (deferred, rejected or flagged by an alarm) is *flagged*. Flags are worth something as
far as flagged answers are wrong more often than accepted ones. Flags dealt out at random find no difference, and where
there is none, accepted answers are right as often as all answers: with ``A`` the share that is accepted,

    (1 - A) (risk of flagged - risk of accepted) = risk of all - risk of accepted

so that one difference answers both. Risks carry Wilson intervals and their difference the one of Newcombe (1998), which
holds for few flags and for shares of 0 and 1, where a bootstrap does not; where samples belong to patients, or several
answers to a sample, these are resampled as wholes, and only a share of 0 or 1 has a Wilson interval, over them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.evaluation.bootstrap import Interval, bootstrap_difference, bootstrap_interval
from shared.evaluation.proportion import count_units, wilson_interval
from shared.evaluation.unpaired_difference import unpaired_difference
from shared.report.judged_answers import JudgedAnswers, read_answers
from shared.report.sources import Sources

__all__ = ["Acceptance", "Risk", "Verdict", "acceptances", "measure_acceptance"]

Floats = NDArray[np.float64]
Ends = tuple[float, float]
Verdict = Literal["finds errors", "not shown", "worse", "all accepted", "none accepted", "no errors", "no interval"]
#: verdicts that make of "accepted" no reason to believe an answer
_WARNED = ("not shown", "worse", "all accepted", "no interval")


@dataclass(frozen=True)
class Risk:
    """How many of some answers are wrong.

    Attributes:
        n: number of answers.
        wrong: number of wrong ones.
        interval: 95 % interval of the share that is wrong; ``None`` where there is none.
    """

    n: int
    wrong: int
    interval: Ends | None

    @property
    def value(self) -> float | None:
        """Share that is wrong."""
        return self.wrong / self.n if self.n else None

    @property
    def right(self) -> float | None:
        """Share that is right."""
        return None if self.value is None else 1 - self.value

    @property
    def right_interval(self) -> Ends | None:
        """95 % interval of the share that is right."""
        return None if self.interval is None else (1 - self.interval[1], 1 - self.interval[0])


@dataclass(frozen=True)
class Acceptance:
    """What accepting is worth, of one question or of all.

    Attributes:
        task: the question; ``""`` where there is one only, or of all.
        accepted: answers that are accepted.
        flagged: answers that are not.
        whole: all answers.
        difference: risk of the flagged less that of the accepted; ``None`` without either.
        interval: 95 % interval of the difference.
        gained: where flagged answers are changed, accuracy after less that before, with its interval.
    """

    task: str
    accepted: Risk
    flagged: Risk
    whole: Risk
    difference: float | None
    interval: Ends | None
    gained: tuple[float, Ends | None] | None = None

    @property
    def verdict(self) -> Verdict:
        """What the difference says."""
        if not self.flagged.n:
            return "all accepted"
        if not self.accepted.n:
            return "none accepted"
        if not self.whole.wrong:
            return "no errors"
        if self.interval is None:
            return "no interval"
        return "finds errors" if self.interval[0] > 0 else "worse" if self.interval[1] < 0 else "not shown"

    @property
    def warned(self) -> bool:
        """Whether "accepted" is no reason to believe an answer more than any other."""
        return self.verdict in _WARNED


def acceptances(sources: Sources) -> list[Acceptance]:
    """Return what accepting is worth: of all answers, then where there are several questions of each.

    Samples without a label and outliers are left out; empty without labelled predictions.
    """
    answers = read_answers(sources)
    return [] if answers is None else measure_acceptance(answers)


def measure_acceptance(answers: JudgedAnswers) -> list[Acceptance]:
    """Return what accepting is worth: of all answers, then where there are several questions of each."""
    every = _acceptance(answers, slice(None))
    if answers.after is not None:
        every = replace(every, gained=_gained(answers))
    several = answers.labels if len(answers.labels) > 1 else []
    return [
        every,
        *(replace(_acceptance(answers, slice(i, i + 1)), task=label) for i, label in enumerate(several)),
    ]


def _acceptance(answers: JudgedAnswers, columns: slice) -> Acceptance:
    known = answers.known[:, columns]
    wrong = np.where(known, answers.wrong[:, columns], 0.0)
    kept = known * answers.accepted[:, columns]
    of_kept, of_flagged, of_all = (
        np.stack([(part * wrong).sum(axis=1), part.sum(axis=1)]) for part in (kept, known - kept, known.astype(float))
    )  # (2, N) each: how many of a sample's answers are wrong, and how many there are
    single = known.shape[1] == 1 and answers.groups is None
    accepted, flagged, whole = (_risk(part, answers, single) for part in (of_kept, of_flagged, of_all))
    if accepted.value is None or flagged.value is None:
        return Acceptance("", accepted, flagged, whole, None, None)
    interval: Ends | None = None
    if accepted.interval and flagged.interval:
        # a bootstrap takes a share of 0 or 1 for certain
        if single or {accepted.value, flagged.value} & {0.0, 1.0}:
            interval = unpaired_difference(accepted.value, accepted.interval, flagged.value, flagged.interval)[1]
        else:
            interval = _ends(bootstrap_difference(_share, list(of_flagged), list(of_kept), groups=answers.groups))
    return Acceptance("", accepted, flagged, whole, flagged.value - accepted.value, interval)


def _risk(counts: Floats, answers: JudgedAnswers, single: bool) -> Risk:
    """Return the share of wrong answers, of wrong and all answers of each sample ``(2, N)``."""
    wrong, n = (int(total) for total in counts.sum(axis=1))
    if not n or answers.unknown:
        return Risk(n, wrong, None)
    if not single and 0 < wrong < n:
        return Risk(n, wrong, _ends(bootstrap_interval(_share, list(counts), groups=answers.groups)))
    units = n if single else count_units(counts[1] > 0, answers.groups)
    # rounded: at 0 of n the lower end is off by a rounding error
    low, high = (round(float(end), 12) for end in wilson_interval(wrong / n * units, units))
    return Risk(n, wrong, (low, high))


def _gained(answers: JudgedAnswers) -> tuple[float, Ends | None]:
    assert answers.after is not None  # asked for where an alarm changes answers
    known = answers.known.astype(np.float64)
    saved = np.where(answers.known, answers.wrong - answers.after, 0.0).sum(axis=1)
    found = bootstrap_interval(_share, [saved, known.sum(axis=1)], groups=answers.groups)
    return float(found.value), None if answers.unknown else _ends(found)


def _share(weights: Floats, counted: Floats, total: Floats) -> Floats:
    """Return Σ wᵢ cᵢ / Σ wᵢ tᵢ of each row of weights ``(R, N)``; NaN where nothing was drawn."""
    counts, totals = weights @ counted, weights @ total
    return np.divide(counts, totals, out=np.full(totals.shape, np.nan), where=totals > 0)


def _ends(interval: Interval) -> Ends | None:
    entry = interval.to_json()
    return None if entry["ci95"] is None or np.isnan(entry["ci95"]).any() else (entry["ci95"][0], entry["ci95"][1])
