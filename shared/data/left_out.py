"""What was left out of a data set and why: grouped by reason, counted, told."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.data.errors import DataError
from shared.data.integrity import Exclusion, write_excluded

__all__ = ["LeftOut", "Nouns", "check_usable", "left_out", "main_reasons", "tell_left_out"]


@dataclass(frozen=True)
class Nouns:
    """What the things are called that may be left out, where an exclusion does not say it itself.

    Args:
        whole: a recording or a patient; an exclusion's item of this name stands for all of its source.
        wholes: several of them.
        part: what a whole consists of.
        parts: several of them.
    """

    whole: str = "recording"
    wholes: str = "recordings"
    part: str = "frame or cell"
    parts: str = "frames or cells"

    def of(self, exclusion: Exclusion) -> str:
        """Return what was left out, in the singular."""
        return exclusion.what or (self.whole if exclusion.item == self.whole else self.part)

    def count(self, numbers: Mapping[str, int]) -> str:
        """Return numbers of things with what these are called, the given nouns first.

        Example:
            >>> Nouns().count({"frame": 1, "recording": 2})
            '2 recordings and 1 frame'
        """
        plurals = {self.whole: self.wholes, self.part: self.parts}
        ordered = [name for name in plurals if name in numbers] + sorted(numbers.keys() - plurals.keys())
        named = [f"{numbers[name]} {name if numbers[name] == 1 else plurals.get(name, name + 's')}" for name in ordered]
        return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named) or "nothing"


@dataclass(frozen=True)
class LeftOut:
    """What was left out for one reason.

    Args:
        numbers: how many, by what they are: recordings or patients, frames, cells, images.
        example: the first of them as ``source, item: reason``.
        nouns: what they are called.
    """

    numbers: Mapping[str, int]
    example: str
    nouns: Nouns = Nouns()

    @property
    def total(self) -> int:
        """Number of things, whatever they are."""
        return sum(self.numbers.values())

    def __str__(self) -> str:
        return f"{self.nouns.count(self.numbers)}, e.g. {self.example}"


def left_out(excluded: Iterable[Exclusion], nouns: Nouns | None = None) -> list[LeftOut]:
    """Group what was left out by reason, the most frequent first.

    Reasons that differ only in numbers and in the names of the file and the item are one.
    """
    nouns = nouns or Nouns()
    groups: dict[str, list[Exclusion]] = {}
    for item in excluded:
        groups.setdefault(_pattern(item.reason, item.source, item.item), []).append(item)
    found = []
    for items in groups.values():
        first = items[0]
        example = f"{first.source}, {first.item}: {first.reason}"
        found.append(LeftOut(dict(Counter(map(nouns.of, items))), example, nouns))
    return sorted(found, key=lambda group: -group.total)


def main_reasons(excluded: Iterable[Exclusion], nouns: Nouns | None = None) -> str:
    """Return the three most frequent reasons in one line for an error message; ``none`` if all was used."""
    return "; ".join(map(str, left_out(excluded, nouns)[:3])) or "none"


def check_usable(
    source: str | os.PathLike[str],
    usable: Sequence[object],
    excluded: Sequence[Exclusion],
    output_dir: str | os.PathLike[str] | None,
    logger: logging.Logger,
    nouns: Nouns | None = None,
    *,
    what: str,
    expected: str = "",
) -> None:
    """Say what of a source to infer on was left out: in ``excluded.csv``, and in the log.

    Args:
        source: what a user pointed at.
        usable: records that remain.
        excluded: what was left out.
        output_dir: folder for ``excluded.csv``; without it nothing is written or logged.
        logger: where to.
        nouns: what the things are called that were left out.
        what: what a record is: an image, a patient.
        expected: what a source should hold.

    Raises:
        DataError: if nothing remains.
    """
    file = None if output_dir is None else Path(output_dir) / "excluded.csv"
    if file is not None:
        write_excluded(file, excluded)
    if not usable:
        raise DataError(
            f"{source}: no {what} to infer on; {len(excluded)} item(s) left out, the reasons: "
            f"{main_reasons(excluded, nouns)}" + (f"; expected {expected}" if expected else "")
        )
    if file is not None:
        tell_left_out(logger, excluded, file, nouns)


def tell_left_out(
    logger: logging.Logger, excluded: Sequence[Exclusion], file: str | os.PathLike[str], nouns: Nouns | None = None
) -> None:
    """Log how much was left out, the most frequent reasons and where all of them stand; nothing if all was used.

    Args:
        logger: where to.
        excluded: what was left out.
        file: the file that lists it.
        nouns: what the things are called.
    """
    groups = left_out(excluded, nouns)
    if not groups:
        return
    numbers: Counter[str] = sum((Counter(group.numbers) for group in groups), Counter())
    lines = [f"left out: {(nouns or Nouns()).count(numbers)} (see {file})", *(f"  {group}" for group in groups[:4])]
    logger.warning("\n".join([*lines, *([f"  and {len(groups) - 4} more reason(s)"] if len(groups) > 4 else [])]))


def _pattern(reason: str, source: str, item: str) -> str:
    """Return a reason without what is particular to one item: path and name of its file, its own name, numbers."""
    for name in (source, Path(source).name, Path(source).stem, item):
        if len(name) > 2 and not name.isdecimal():  # others are numbers, or words of the reason by chance
            reason = re.sub(rf"(?<!\w)\S*{re.escape(name)}(?!\w)", "…", reason)
    return re.sub(r"\d+(\.\d+)?", "#", reason)
