"""Seeded splits of a data set by group (patient, donor, slide) that keep the classes in balance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.data.errors import DataError
from shared.data.split_advice import SplitWords, split_impossible

__all__ = ["CALIBRATION", "check_group_disjoint", "split_by_group", "split_records", "with_calibration"]

#: section that only calibrating sees, where there is one
CALIBRATION = "calibration"

# bounds the memory of one round of shuffles to some 100 MB whatever the number of groups and classes
_ELEMENTS_PER_ROUND = 4_000_000


def split_by_group(
    groups: Sequence[Hashable],
    labels: ArrayLike,
    fractions: Mapping[str, float],
    seed: int = 0,
    trials: int = 4096,
    words: SplitWords | None = None,
) -> dict[str, NDArray[np.intp]]:
    r"""Split records so that no group is in two splits and every class has nearly its fraction in each.

    The groups are shuffled ``trials`` times. Each shuffle is cut where the number of records comes closest to the
    cumulative fractions, and the shuffle with the smallest

    .. math:: \sum_{s,k} \frac{(n_{sk} - f_s n_k)^2}{f_s n_k}

    wins (the chi-square distance of the class counts :math:`n_{sk}` of split s from their expectation), among those
    in which every split has every class.

    Args:
        groups: the group of each of the N records.
        labels: class of each record, ``(N,)``, or zeros and ones, ``(N, K)``, for K labels of which several may hold.
        fractions: share of the records of each split, by the split's name; they add up to 1.
        seed: seed of the shuffles; the same seed gives the same split for the same records in any order of groups.
        trials: number of shuffles.
        words: what an error calls groups and classes, and the option that gives the fractions.

    Returns:
        Sorted indices of the records of each split.

    Raises:
        ValueError: if the fractions are not positive or do not add up to 1, or lengths differ.
        DataError: if there are fewer groups than splits, or if a class cannot be, or never was, in every split.

    Example:
        >>> split = split_by_group(list("aabbccdd"), [0, 1] * 4, {"training": 0.5, "test": 0.5})
        >>> {name: len(indices) for name, indices in split.items()}
        {'training': 4, 'test': 4}
    """
    share = np.array(list(fractions.values()), dtype=float)
    if len(share) == 0 or np.any(share <= 0) or not np.isclose(share.sum(), 1):
        raise ValueError(f"fractions must be positive and add up to 1, found {dict(fractions)}")
    names, group_index = np.unique(np.array([str(group) for group in groups]), return_inverse=True)
    words = words or SplitWords()
    membership, found = _membership(labels)  # (N, K)
    class_names = words.of(found)
    if len(membership) != len(group_index):
        raise ValueError(f"{len(group_index)} groups for {len(membership)} labels; expected one of each per record")
    if len(names) < len(share):
        raise DataError(
            f"{len(names)} {words.group}(s) ({', '.join(names)}) cannot be divided into {len(share)} splits "
            f"({', '.join(fractions)}) without putting one in two; add {words.group}s or use fewer splits"
        )
    counts = np.zeros((len(names), 1 + membership.shape[1]))  # the first column counts records
    np.add.at(counts, group_index, np.column_stack([np.ones(len(membership)), membership]))
    numbers = dict(zip(class_names, (counts[:, 1:] > 0).sum(axis=0).tolist(), strict=True))
    _check_enough_groups(numbers, fractions, words)

    split_of_group, complete = _best_assignment(counts, share, np.random.default_rng(seed), trials)
    if not complete:

        def possible(other: Mapping[str, float]) -> bool:
            return _best_assignment(counts, np.array([*other.values()]), np.random.default_rng(seed), trials)[1]

        raise split_impossible(words, numbers, fractions, possible, trials)
    split_of_record = split_of_group[group_index]
    return {name: np.flatnonzero(split_of_record == position) for position, name in enumerate(fractions)}


def split_records(
    records: Sequence[Mapping[str, Any]],
    fractions: Mapping[str, float],
    group_key: str,
    label_key: str = "label",
    seed: int = 0,
    words: SplitWords | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Split the records of a datalist by group; see :func:`split_by_group`.

    Raises:
        DataError: if a record lacks the group or the label, or no split is possible.
    """
    for record in records:
        for key in (group_key, label_key):
            if key not in record:
                raise DataError(f"record {record.get('id', record)}: no '{key}', which the split needs")
    indices = split_by_group(
        [record[group_key] for record in records],
        [record[label_key] for record in records],
        fractions,
        seed,
        words=words or SplitWords(group_key),
    )
    return {name: [dict(records[index]) for index in chosen] for name, chosen in indices.items()}


def with_calibration(fractions: Mapping[str, float], share: float) -> dict[str, float]:
    """Return fractions with a section for calibrating besides, for which all others shrink alike.

    What is fitted on samples that also chose the epoch of the weights has nominal guarantees; such a section has no
    part in training.

    Args:
        fractions: share of each section, by its name.
        share: of the section ``calibration``; 0 leaves the fractions as they are.

    Raises:
        DataError: if the share is not in [0, 1), or there is such a section already.

    Example:
        >>> with_calibration({"training": 0.75, "validation": 0.25}, 0.2)
        {'training': 0.6, 'validation': 0.2, 'calibration': 0.2}
    """
    if not isinstance(share, int | float) or not 0 <= share < 1:
        raise DataError(f"calibration_share: found {share!r}, expected a share of all samples, in [0, 1)")
    if share == 0:
        return dict(fractions)
    if CALIBRATION in fractions:
        raise DataError(f"fractions name the section '{CALIBRATION}': give its share there or as calibration_share")
    return {**{name: float(np.round(part * (1 - share), 12)) for name, part in fractions.items()}, CALIBRATION: share}


def check_group_disjoint(sections: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> None:
    """Refuse a group that is in two sections.

    Args:
        sections: records of each section.
        key: key of the group in a record, e.g. ``donor`` or ``patient``.

    Raises:
        DataError: naming the groups and the sections at fault, or a record without the key.
    """
    found: dict[str, dict[str, int]] = {}
    for section, records in sections.items():
        for record in records:
            if key not in record:
                raise DataError(f"record {record.get('id', record)} of section '{section}' has no '{key}'")
            in_section = found.setdefault(str(record[key]), {})
            in_section[section] = in_section.get(section, 0) + 1
    shared = {group: where for group, where in found.items() if len(where) > 1}
    if shared:
        details = "; ".join(
            f"{key} '{group}' in " + " and ".join(f"'{section}' ({n} records)" for section, n in where.items())
            for group, where in sorted(shared.items())
        )
        raise DataError(f"{details}: expected each {key} in one section only; split the data anew by {key}")


def _membership(labels: ArrayLike) -> tuple[NDArray[np.float64], list[str]]:
    array = np.asarray(labels)
    if array.ndim == 2:
        return array.astype(float), [f"label {index}" for index in range(array.shape[1])]
    values, index = np.unique(array, return_inverse=True)
    return np.eye(len(values))[index], [str(value) for value in values]


def _check_enough_groups(numbers: Mapping[str, int], fractions: Mapping[str, float], words: SplitWords) -> None:
    for name, number in numbers.items():
        if number < len(fractions):
            raise DataError(
                f"class {name} occurs in {number} {words.group}(s) only and cannot be in each of the {len(fractions)} "
                f"splits ({', '.join(fractions)}); add {words.group}s with that class or use fewer splits"
            )


def _best_assignment(
    counts: NDArray[np.float64], share: NDArray[np.float64], generator: np.random.Generator, trials: int
) -> tuple[NDArray[np.intp], bool]:
    """Return the split of each group ``(G,)`` and whether every split has every class.

    Args:
        counts: records (column 0) and records of each class in each group, ``(G, 1 + K)``.
        share: fraction of each split, ``(S,)``.
        generator: source of the shuffles.
        trials: number of shuffles T.
    """
    n_groups, n_splits = len(counts), len(share)
    expected = share[:, None] * counts.sum(axis=0)[1:]  # (S, K)
    goals = np.cumsum(share)[:-1] * counts[:, 0].sum()  # (S - 1,)
    per_round = max(1, _ELEMENTS_PER_ROUND // counts.size)
    best: tuple[tuple[bool, float], NDArray[np.intp], NDArray[np.intp]] | None = None
    for start in range(0, trials, per_round):
        size = min(per_round, trials - start)
        order = generator.permuted(np.tile(np.arange(n_groups), (size, 1)), axis=1)  # (T, G)
        cumulative = np.concatenate([np.zeros((size, 1, counts.shape[1])), counts[order].cumsum(axis=1)], axis=1)
        cuts = np.zeros((size, n_splits + 1), dtype=np.intp)
        cuts[:, -1] = n_groups
        for split in range(1, n_splits):
            nearest = np.abs(cumulative[:, :, 0] - goals[split - 1]).argmin(axis=1)
            # at least one group for this split and for each that follows
            cuts[:, split] = np.clip(nearest, cuts[:, split - 1] + 1, n_groups - n_splits + split)
        in_split = np.diff(np.take_along_axis(cumulative[:, :, 1:], cuts[:, :, None], axis=1), axis=1)  # (T, S, K)
        distance = ((in_split - expected) ** 2 / expected).sum(axis=(1, 2))
        incomplete = (in_split == 0).any(axis=(1, 2))
        winner = np.lexsort((distance, incomplete))[0]
        score = (bool(incomplete[winner]), float(distance[winner]))
        if best is None or score < best[0]:
            best = (score, order[winner].copy(), cuts[winner].copy())
    if best is None:
        raise ValueError(f"trials must be at least 1, found {trials}")
    (missing, _), order_of_best, cuts_of_best = best
    assignment = np.empty(n_groups, dtype=np.intp)
    assignment[order_of_best] = np.repeat(np.arange(n_splits), np.diff(cuts_of_best))
    return assignment, not missing
