"""Which samples belong together and must be resampled as a whole: those of one donor, of one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ResamplingGroups", "group_records", "whole_groups"]

# a bootstrap over fewer groups draws nearly the same samples again and again, and its intervals are far too narrow
MINIMUM_GROUPS = 10


@dataclass(frozen=True)
class ResamplingGroups:
    """What a bootstrap draws.

    Attributes:
        groups: group of each sample ``(N,)``; ``None`` where single samples are drawn.
        by: the key of the records whose values are drawn, or ``sample``.
        n: number of groups, or of samples where single samples are drawn.
        warning: why single samples are drawn although groups were asked for, or why the intervals of what is drawn are
            too narrow; else ``None``.
    """

    groups: np.ndarray | None
    by: str
    n: int
    warning: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return ``{"by", "n"}``, and ``warning`` if there is one."""
        return {"by": self.by, "n": self.n} | ({"warning": self.warning} if self.warning else {})


def group_records(records: Sequence[Mapping[str, Any]], key: str | None) -> ResamplingGroups:
    """Group records by what they say under a key.

    Where a record does not have the key, or there are fewer than ten groups, single samples are drawn, and the result
    says so: what is then taken for independent may not be, and intervals may be too narrow.

    Args:
        records: the N records.
        key: key of the records, ``donor`` for instance; ``None`` to draw single samples.

    Example:
        >>> group_records([{"id": i, "donor": f"D{i // 2}"} for i in range(30)], "donor").to_json()
        {'by': 'donor', 'n': 15}
    """
    if key is None:
        return ResamplingGroups(None, "sample", len(records))
    without = [record.get("id") for record in records if record.get(key) is None]
    if without:
        warning = (
            f"{len(without)} of {len(records)} records have no {key!r}, the first is {without[0]!r}: samples are "
            f"resampled one by one, and intervals are too narrow if several are of one {key}"
        )
        return ResamplingGroups(None, "sample", len(records), warning)
    groups = np.array([str(record[key]) for record in records])
    n = len(np.unique(groups))
    if n < MINIMUM_GROUPS:
        warning = (
            f"the samples are of {n} {key}{'' if n == 1 else 's'}, too few to resample: samples are resampled one by "
            f"one, and the intervals leave out that one {key} differs from another"
        )
        return ResamplingGroups(None, "sample", len(records), warning)
    return ResamplingGroups(groups, key, n)


def whole_groups(groups: Sequence[str], by: str) -> ResamplingGroups:
    """Say what a bootstrap draws that takes these groups whole however few there are.

    Args:
        groups: group of each of the N samples.
        by: what a group is, ``patient`` for instance.

    Example:
        >>> whole_groups(["a", "a", "b"], "patient").to_json()["warning"]
        'there are 2 patients only, and intervals from fewer than 10 are too narrow'
    """
    n = len(set(groups))
    few = f"there {'is' if n == 1 else 'are'} {n} {by}{'' if n == 1 else 's'} only, and intervals from fewer than "
    warning = f"{few}{MINIMUM_GROUPS} are too narrow" if n < MINIMUM_GROUPS else None
    return ResamplingGroups(np.array(groups, dtype=str), by, n, warning)
