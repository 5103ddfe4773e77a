"""Which samples of a data set are shown: typical ones, wrong ones, and what is no member of any class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "WATCHED",
    "BagChoice",
    "choose_cases",
    "choose_measured",
    "choose_samples",
    "watched_cases",
    "watched_records",
]

#: Key of records that were explained while the network trained, and are shown again; they are measured nowhere.
WATCHED = "watched"


@dataclass(frozen=True)
class BagChoice:
    """Chooses the bags that are shown, and those on which explanations are measured, by label and prediction.

    Args:
        samples_per_class: correctly predicted bags of each class that are shown.
        wrong_samples: wrongly predicted bags that are shown.
        measured_samples: correctly predicted bags on which the quality is measured, among those that it can be
            measured on.
        seed: of the draws.
    """

    samples_per_class: int = 2
    wrong_samples: int = 3
    measured_samples: int = 60
    seed: int = 0

    def measurable(self, record: Mapping[str, Any]) -> bool:
        """Whether enough is known of a bag to measure on it: here its label. Dropping instances needs no more truth."""
        return record.get("label") is not None

    def __call__(self, records: Sequence[Mapping[str, Any]], predicted: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the indices of the bags that are shown, and of those that are measured.

        Bags that were watched while the network trained are shown first, and not measured.

        Args:
            records: with ``label`` where known.
            predicted: class index of each.
        """
        return choose_samples(
            records,
            predicted,
            [self.measurable(record) for record in records],
            [None] * len(records),
            per_class=self.samples_per_class,
            wrong=self.wrong_samples,
            per_kind=0,
            count=self.measured_samples,
            seed=self.seed,
        )


def choose_samples(
    records: Sequence[Mapping[str, Any]],
    predicted: Sequence[int],
    measurable: Sequence[bool],
    kinds: Sequence[str | None],
    *,
    per_class: int,
    wrong: int,
    per_kind: int,
    count: int,
    seed: int,
) -> tuple[list[int], list[int]]:
    """Choose the samples that are shown, and those on which explanations are measured.

    Samples that were watched while the network trained are shown first, and not measured.

    Args:
        records: of all samples, with ``label`` where known.
        predicted: class index of each.
        measurable: whether enough is known of each to measure on it.
        kinds: of each that belongs to no class, else None.
        per_class: see :func:`choose_cases`.
        wrong: see :func:`choose_cases`.
        per_kind: see :func:`choose_cases`.
        count: of the samples that are measured, see :func:`choose_measured`.
        seed: of the draws.

    Returns:
        Indices of both.
    """
    watched = [index for index, record in enumerate(records) if record.get(WATCHED)]
    own = [index for index, record in enumerate(records) if not record.get(WATCHED)]
    labels, guesses = [records[index].get("label") for index in own], [predicted[index] for index in own]
    own_kinds, known = [kinds[index] for index in own], [measurable[index] for index in own]
    shown = choose_cases(labels, guesses, own_kinds, per_class=per_class, wrong=wrong, per_kind=per_kind, seed=seed)
    measured = choose_measured(labels, guesses, known, count=count, seed=seed)
    return [*watched, *(own[place] for place in shown)], [own[place] for place in measured]


def choose_cases(
    labels: Sequence[int | None],
    predictions: Sequence[int],
    kinds: Sequence[str | None],
    *,
    per_class: int,
    wrong: int,
    per_kind: int,
    seed: int,
) -> list[int]:
    """Choose the samples of a gallery, at random within each group, so that nobody can be accused of picking.

    Args:
        labels: true class of each of N samples, or None where there is none or it is not known.
        predictions: predicted class of each sample.
        kinds: kind of each sample that belongs to no class, else None.
        per_class: correctly predicted samples of each true class; of each predicted class where no label is known.
        wrong: wrongly predicted samples.
        per_kind: samples of each kind.
        seed: seed of the choice.

    Returns:
        Indices, first by class, then the wrong ones, then by kind.
    """
    rng = np.random.default_rng(seed)
    groups: dict[tuple[int, Any], list[int]] = {}
    for index, (label, prediction, kind) in enumerate(zip(labels, predictions, kinds, strict=True)):
        if kind is not None:
            key: tuple[int, Any] = (2, kind)
        elif label is not None and label != prediction:
            key = (1, "")
        else:
            key = (0, prediction)
        groups.setdefault(key, []).append(index)
    limits = (per_class, wrong, per_kind)
    chosen: list[int] = []
    for key in sorted(groups):
        members = groups[key]
        taken = rng.choice(len(members), size=min(limits[key[0]], len(members)), replace=False)
        chosen.extend(members[index] for index in sorted(taken))
    return chosen


def watched_cases(labels: Sequence[int | None], *, per_class: int = 1, seed: int = 0) -> list[int]:
    """Choose the samples that are explained while a network trains, and again when it is done.

    Training chooses them of its validation section, before there are predictions; explaining finds the same ones there.

    Args:
        labels: true class of each of N samples, or None where it is not known.
        per_class: samples of each class.
        seed: seed of the choice.

    Returns:
        Indices, by class.
    """
    known = [index for index, label in enumerate(labels) if label is not None]
    classes = [labels[index] for index in known]
    guesses = [label for label in classes if label is not None]
    kinds = [None] * len(known)
    chosen = choose_cases(classes, guesses, kinds, per_class=per_class, wrong=0, per_kind=0, seed=seed)
    return [known[index] for index in chosen]


def watched_records(
    records: Sequence[Mapping[str, Any]],
    *,
    per_class: int = 1,
    seed: int = 0,
    besides: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Return the records of :func:`watched_cases`, marked by the key :data:`WATCHED`.

    Args:
        records: of the validation section, with ``label`` where known.
        per_class: samples of each class.
        seed: seed of the choice.
        besides: records that are explained anyway; what is among them is left out.
    """
    chosen = watched_cases([record.get("label") for record in records], per_class=per_class, seed=seed)
    there = {record["id"] for record in besides}
    return [{**records[index], WATCHED: True} for index in chosen if records[index]["id"] not in there]


def choose_measured(
    labels: Sequence[int | None], predictions: Sequence[int], has_truth: Sequence[bool], *, count: int, seed: int
) -> list[int]:
    """Choose correctly predicted samples whose cause is known, as many of each class as possible.

    A wrong prediction need not rest on the cause of the true class, so it says nothing about the explanation.

    Args:
        labels: true class of each of N samples, or None.
        predictions: predicted class of each sample.
        has_truth: whether the sample's cause is known.
        count: number of samples wanted.
        seed: seed of the choice.

    Returns:
        At most ``count`` indices, ascending.
    """
    rng = np.random.default_rng(seed)
    candidates = [
        index
        for index, (label, prediction, truth) in enumerate(zip(labels, predictions, has_truth, strict=True))
        if truth and label is not None and label == prediction
    ]
    rng.shuffle(candidates)
    by_class: dict[int, list[int]] = {}
    for index in candidates:
        by_class.setdefault(predictions[index], []).append(index)
    rounds = [members[turn] for turn in range(count) for members in by_class.values() if turn < len(members)]
    return sorted(rounds[:count])
