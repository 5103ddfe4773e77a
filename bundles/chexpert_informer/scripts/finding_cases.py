"""Which findings of which images are explained: a finding of an image is one case, since each has a map of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.saliency.case_selection import WATCHED

__all__ = ["Case", "choose_measured", "choose_shown", "watched_cases", "watched_records"]

Case = tuple[int, int]
"""Index of an image and of a finding."""


def choose_shown(
    labels: NDArray[np.float64],
    predictions: NDArray[np.int64],
    flagged: NDArray[np.bool_],
    boxed: NDArray[np.bool_],
    *,
    per_finding: int,
    wrong: int,
    flagged_cases: int,
    boxed_cases: int,
    seed: int,
) -> list[Case]:
    """Choose cases for a gallery, at random within each group, so that nobody can be accused of picking.

    Args:
        labels: 0, 1 or NaN where unknown, ``(N, K)``.
        predictions: 0 or 1, ``(N, K)``.
        flagged: whether the alarm flags the prediction, ``(N, K)``.
        boxed: whether a person drew a box around the finding, ``(N, K)``.
        per_finding: images in which a finding is predicted, and present as far as is known.
        wrong: predictions that are wrong, of any finding.
        flagged_cases: flagged predictions, of any finding.
        boxed_cases: findings with a box, whatever is predicted.
        seed: seed of the choice.

    Returns:
        Cases, those that are right by finding, then the wrong ones, the flagged ones and those with a box; each once.
    """
    rng = np.random.default_rng(seed)
    present = (predictions == 1) & (labels != 0)
    groups = [(np.argwhere(present & _of_finding(labels, k)), per_finding) for k in range(labels.shape[1])]
    groups.append((np.argwhere(~np.isnan(labels) & (labels != predictions)), wrong))
    groups.append((np.argwhere(flagged), flagged_cases))
    groups.append((np.argwhere(boxed), boxed_cases))
    chosen: dict[Case, None] = {}
    for members, limit in groups:
        new = [case for case in _cases(members) if case not in chosen]
        taken = rng.choice(len(new), size=min(limit, len(new)), replace=False)
        chosen |= dict.fromkeys(new[index] for index in sorted(taken))
    return list(chosen)


def watched_cases(records: Sequence[Mapping[str, Any]], *, per_finding: int = 1, seed: int = 0) -> list[Case]:
    """Choose findings that are explained while a network trains, and again when it is done.

    Training chooses them of its validation section, before there are predictions; explaining finds the same ones there.

    Args:
        records: of the validation section, with ``label`` where known: 0, 1 or None of each finding.
        per_finding: images in which a finding is present.
        seed: seed of the choice.
    """
    labels = np.array([record["label"] for record in records if "label" in record], dtype=np.float64)
    known = [index for index, record in enumerate(records) if "label" in record]
    if not known:
        return []
    nothing = np.zeros(labels.shape, dtype=bool)
    present = np.nan_to_num(labels).astype(np.int64)
    limits = {"per_finding": per_finding, "wrong": 0, "flagged_cases": 0, "boxed_cases": 0}
    chosen = choose_shown(labels, present, nothing, nothing, **limits, seed=seed)
    return [(known[index], finding) for index, finding in chosen]


def watched_records(
    records: Sequence[Mapping[str, Any]],
    *,
    per_finding: int = 1,
    seed: int = 0,
    besides: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Return the records of :func:`watched_cases`, each once, with its findings under the key ``watched``.

    Args:
        records: of the validation section.
        per_finding: images in which a finding is present.
        seed: seed of the choice.
        besides: records that are explained anyway; what is among them is left out.
    """
    there = {record["id"] for record in besides}
    findings: dict[int, list[int]] = {}
    for index, finding in watched_cases(records, per_finding=per_finding, seed=seed):
        findings.setdefault(index, []).append(finding)
    return [
        {**records[index], WATCHED: chosen} for index, chosen in findings.items() if records[index]["id"] not in there
    ]


def choose_measured(
    labels: NDArray[np.float64],
    predictions: NDArray[np.int64],
    has_truth: NDArray[np.bool_],
    *,
    count: int,
    seed: int,
) -> list[Case]:
    """Choose findings that are present, found, and whose place is known, as many of each finding as possible.

    What a network did not find need not have left a trace in its map, which then says nothing of the method.

    Args:
        labels: 0, 1 or NaN where unknown, ``(N, K)``.
        predictions: 0 or 1, ``(N, K)``.
        has_truth: whether the masks of an image's findings are known, ``(N,)``.
        count: number of cases wanted.
        seed: seed of the choice.

    Returns:
        At most ``count`` cases, in the order of the images.
    """
    rng = np.random.default_rng(seed)
    found = (labels == 1) & (predictions == 1) & has_truth[:, None]
    by_finding = [rng.permutation(_cases(np.argwhere(found & _of_finding(labels, k)))) for k in range(labels.shape[1])]
    rounds = [
        members[turn] for turn in range(count) for members in by_finding if turn < len(members)
    ]  # one of each finding, then a second of each
    return sorted(_cases(rounds[:count]))


def _of_finding(labels: NDArray[np.float64], finding: int) -> NDArray[np.bool_]:
    return np.arange(labels.shape[1]) == finding


def _cases(rows: Iterable[NDArray[np.int64]]) -> list[Case]:
    return [(int(image), int(finding)) for image, finding in rows]
