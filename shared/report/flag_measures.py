"""What the decisions on predictions are worth, counted in the predictions file with one definition for all bundles.

A prediction that is not accepted (deferred, rejected or flagged by an alarm) is *flagged*. Of the labelled samples,
with ``A`` the share that is accepted, ``W`` the share that is wrong and ``B`` the share that is both::

    coverage = A        accepted_risk = B / A        flag_precision = (W - B) / (1 - A)        flag_recall = (W - B) / W
    flag_gain = W - B / A        (accuracy of the accepted less accuracy of all: flagged ones are left to a person)

Where an alarm changes predictions, the gain is the accuracy after less that before. For several labels the number of
the whole is the mean over the labels in which it is defined. Chance is what as many flags reach that are drawn at
random: ``W`` for the error of the accepted and the precision, ``1 - A`` for the recall, 0 for the gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.evaluation.bootstrap import Interval, bootstrap_interval
from shared.evaluation.multi_label import mean_of_defined
from shared.evaluation.proportion import wilson_interval
from shared.evaluation.proportion_entry import proportion_entry
from shared.report.formats import whole_percent
from shared.report.judged_answers import JudgedAnswers, read_answers
from shared.report.measures import Estimate, read_number
from shared.report.sources import Sources
from shared.report.wording import command

__all__ = ["FLAG_MEASURES", "RESAMPLES", "ModelRow", "flag_rows"]

Floats = NDArray[np.float64]
#: in the order of :func:`_shares`
FLAG_MEASURES = ("coverage", "accepted_risk", "flag_precision", "flag_recall", "flag_gain")
RESAMPLES = 1000
_UNDEFINED = {
    "accepted_risk": "nothing was accepted",
    "flag_precision": "nothing was flagged",
    "flag_recall": "no prediction was wrong",
    "flag_gain": "nothing was accepted",
}


class ModelRow(NamedTuple):
    """A number of the model: its measure, the number, and the class and the thing that it was taken of, if any."""

    measure: str
    estimate: Estimate
    label: str | None = None
    of: str | None = None


def flag_rows(sources: Sources) -> Iterator[ModelRow]:
    """Yield coverage, error of the accepted, and what flags are worth, of the whole and of each label.

    Samples are resampled as evaluating did; single shares of independent samples carry Wilson intervals.
    """
    answers = read_answers(sources)
    if answers is None:
        why = "there is no predictions.csv" if sources.predictions is None else "no sample has a label"
        for measure in FLAG_MEASURES:
            yield ModelRow(measure, Estimate(measure, None, reason=f"{why}; {command('evaluating', sources.bundle)}"))
        return
    arrays = [answers.wrong, answers.accepted, *([] if answers.after is None else [answers.after])]
    found = bootstrap_interval(_statistic, arrays, resamples=RESAMPLES, groups=answers.groups)
    several, width = len(answers.labels) > 1, 1 + len(answers.labels)
    for i, measure in enumerate(FLAG_MEASURES):
        of = _taken_of(measure, answers, sources)
        for column in range(width) if several else (1,):
            defined = ~np.isnan(found.value[i * width + 1 : (i + 1) * width])
            chosen = defined if column == 0 else np.arange(width - 1) == column - 1
            estimate = _estimate(measure, found[i * width + column], answers, chosen, mean=column == 0)
            yield ModelRow(measure, estimate, answers.labels[column - 1] if several and column else None, of)


def _statistic(weights: Floats, *arrays: Floats) -> Floats:
    """Return mean over the labels, then each label, of every measure: ``(R, 5 (1 + L))``."""
    shares = _shares(weights, arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None)  # (R, 5, L)
    return np.concatenate([mean_of_defined(shares)[..., None], shares], axis=-1).reshape(len(weights), -1)


def _shares(weights: Floats, wrong: Floats, accepted: Floats, after: Floats | None) -> Floats:
    """Return the measures ``(R, 5, L)`` in the order of ``FLAG_MEASURES`` for weights ``(R, N)``; NaN if undefined."""
    known = ~np.isnan(wrong)
    errors = np.where(known, wrong, 0.0)
    total, kept, missed, kept_wrong = (
        weights @ part for part in (known.astype(np.float64), known * accepted, errors, errors * accepted)
    )  # (R, L) each
    risk, caught = _ratio(kept_wrong, kept), missed - kept_wrong
    if after is None:
        gain = _ratio(missed, total) - risk
    else:
        gain = _ratio(missed - weights @ np.where(known, after, 0.0), total)
    return np.stack([_ratio(kept, total), risk, _ratio(caught, total - kept), _ratio(caught, missed), gain], axis=1)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0.5)


def _estimate(
    measure: str, interval: Interval, answers: JudgedAnswers, labels: NDArray[np.bool_], *, mean: bool
) -> Estimate:
    """Return one number: of one label, or the mean over ``labels`` ``(L,)``, those in which it is defined."""
    counted, value = _counted(measure, answers, labels), float(interval.value)
    n = int(counted.sum())
    if np.isnan(value):
        return Estimate(measure, None, n=n, reason=_UNDEFINED.get(measure, "no sample has a label"))
    chance = _chance(measure, answers, labels)
    if answers.unknown:
        return Estimate(measure, value, chance=chance, n=n, reason=answers.unknown)
    if not mean and measure != "flag_gain" and answers.groups is None:
        # rounded: at 0 of n the lower end is off by a rounding error
        low, high = (round(float(end), 12) for end in wilson_interval(round(value * n), n))
        return Estimate(measure, value, (low, high), chance=chance, n=n)
    entry = interval.to_json()
    if not mean and measure != "flag_gain":
        entry = proportion_entry(entry, counted.any(axis=1), answers.groups)
    ends = None if entry["ci95"] is None or np.isnan(entry["ci95"]).any() else tuple(map(float, entry["ci95"]))
    return Estimate(
        measure,
        value,
        ends,  # type: ignore[arg-type]
        chance=chance,
        n=n,
        reason=entry.get("reason"),
        interval_from=entry.get("interval"),
    )


def _chance(measure: str, answers: JudgedAnswers, labels: NDArray[np.bool_]) -> float | None:
    """Return the mean over ``labels`` of what random flags reach; ``None`` where nothing is flagged, or no measure."""
    known, accepted = answers.known[:, labels], answers.accepted[:, labels]
    flagged = 1 - (known * accepted).sum(axis=0) / known.sum(axis=0)
    if measure == "coverage" or not flagged.any():
        return None
    error = np.nanmean(answers.wrong[:, labels], axis=0)
    levels: Mapping[str, Floats] = {"flag_recall": flagged, "flag_gain": np.zeros(1)}
    return float(levels.get(measure, error).mean())


def _counted(measure: str, answers: JudgedAnswers, labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which answers are in the denominator of a share ``(N, number of labels)``."""
    chosen: Mapping[str, NDArray[np.bool_]] = {
        "accepted_risk": answers.accepted == 1,
        "flag_precision": answers.accepted == 0,
        "flag_recall": answers.wrong == 1,
    }
    return (answers.known & chosen.get(measure, True))[:, labels]


def _taken_of(measure: str, answers: JudgedAnswers, sources: Sources) -> str | None:
    if measure == "flag_gain":
        return f"accuracy, flagged predictions {'left to a person' if answers.after is None else 'changed'}"
    table, where = sources.fitted("confidence")
    if measure not in ("coverage", "accepted_risk") or table.get("target_risk") is None:
        return None
    return f"error of {whole_percent(read_number(table['target_risk'], f'{where}.target_risk'))} wanted"
