"""A datalist in one table, for people to look at after preparing."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from shared.data.datalist import read_datalist
from shared.data.integrity import Exclusion

__all__ = ["LeftOut", "Summary", "left_out"]


@dataclass(frozen=True)
class LeftOut:
    """What was left out for one reason.

    Args:
        recordings: number of whole recordings.
        parts: number of frames, cells or crops.
        example: the first of them as ``source, item: reason``.
    """

    recordings: int
    parts: int
    example: str

    def __str__(self) -> str:
        return f"{_numbers(self.recordings, self.parts)}, e.g. {self.example}"


@dataclass(frozen=True)
class Summary:
    """Counts by class and section, and why records were left out.

    Args:
        datalist: path of the datalist.
        counts: one row per class or kind of outlier, one column per section, then the number of groups and the means
            of the physical quantities.
        excluded: what was left out, by reason, see :func:`left_out`.
        reused: whether an earlier preparation was found complete.
    """

    datalist: Path
    counts: pd.DataFrame
    excluded: list[LeftOut]
    reused: bool = False

    @classmethod
    def read(
        cls,
        datalist_path: str | os.PathLike[str],
        group_key: str,
        quantities: Sequence[str] = (),
        reused: bool = False,
    ) -> Summary:
        """Summarise a datalist and the ``excluded.csv`` beside it.

        Args:
            datalist_path: the datalist.
            group_key: key of the donor or patient, whose number is shown.
            quantities: keys of numbers whose mean is shown.
            reused: whether an earlier preparation was found complete.
        """
        path = Path(datalist_path)
        content = read_datalist(path)
        classes = content.pop("classes")
        content.pop("info", None)
        table = pd.DataFrame([{**record, "section": name} for name, section in content.items() for record in section])
        name_of = dict(enumerate(classes))
        kind = table["kind"] if "kind" in table else pd.Series(index=table.index, dtype=object)
        table["class"] = kind if "label" not in table else table["label"].map(name_of).fillna(kind)
        counts = pd.crosstab(table["class"], table["section"]).reindex(columns=list(content), fill_value=0)
        by_class = table.groupby("class")
        counts[f"{group_key}s"] = by_class[group_key].nunique()
        for key in quantities:
            if key in table:
                counts[f"mean {key}"] = by_class[key].mean().round(1)
        order = [name for name in classes if name in counts.index]
        counts = counts.reindex([*order, *sorted(set(counts.index) - set(order))])
        counts.loc["total"] = counts[list(content)].sum()

        file = path.parent / "excluded.csv"
        rows = pd.read_csv(file, dtype=str, keep_default_na=False).itertuples(index=False) if file.is_file() else ()
        return cls(path, counts, left_out(Exclusion(*row) for row in rows), reused)

    def __str__(self) -> str:
        counts = self.counts.copy()
        counts.index.name = counts.columns.name = None
        text = counts.to_string(na_rep="", float_format=lambda value: f"{value:g}")
        recordings = sum(group.recordings for group in self.excluded)
        parts = sum(group.parts for group in self.excluded)
        lines = [text, "", f"left out: {_numbers(recordings, parts)} (see {self.datalist.parent / 'excluded.csv'})"]
        for group in self.excluded[:8]:
            lines += textwrap.wrap(
                str(group),
                116,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        if more := self.excluded[8:]:
            lines.append(f"  and {len(more)} more reason(s)")
        return "\n".join([*lines, "", f"datalist: {self.datalist}" + (" (complete, reused)" if self.reused else "")])


def left_out(excluded: Iterable[Exclusion]) -> list[LeftOut]:
    """Group what was left out by reason, the most frequent first.

    Reasons that differ only in numbers and in the names of the file and the item are one.
    """
    groups: dict[str, list[Exclusion]] = {}
    for item in excluded:
        groups.setdefault(_pattern(item.reason, item.source, item.item), []).append(item)
    found = []
    for items in groups.values():
        recordings = sum(item.item == "recording" for item in items)
        first = items[0]
        example = f"{first.source}, {first.item}: {first.reason}"
        found.append(LeftOut(recordings, len(items) - recordings, example))
    return sorted(found, key=lambda group: -(group.recordings + group.parts))


def _pattern(reason: str, source: str, item: str) -> str:
    """Return a reason without what is particular to one item: path and name of its file, its own name, numbers."""
    for name in (source, Path(source).name, Path(source).stem, item):
        if len(name) > 2 and not name.isdecimal():  # others are numbers, or words of the reason by chance
            reason = re.sub(rf"(?<!\w)\S*{re.escape(name)}(?!\w)", "…", reason)
    return re.sub(r"\d+(\.\d+)?", "#", reason)


def _numbers(recordings: int, parts: int) -> str:
    named = ((recordings, "recording", "recordings"), (parts, "frame or cell", "frames or cells"))
    return (
        " and ".join(f"{number} {one if number == 1 else many}" for number, one, many in named if number) or "nothing"
    )
