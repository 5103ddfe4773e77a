"""A datalist in one table, for people to look at after preparing."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from shared.data.datalist import read_datalist
from shared.data.integrity import Exclusion
from shared.data.left_out import LeftOut, Nouns, left_out

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """Counts by class and section, and why records were left out.

    Args:
        datalist: path of the datalist.
        counts: one row per class, per kind of outlier, and ``unlabelled`` for records with neither; one column per
            section, then the number of groups and the means of the physical quantities. Where records have several
            labels, one row per class counts the records that have it, ``none of these`` those without any, and
            ``<class>, masked`` those of which it is not known.
        excluded: what was left out, by reason, see :func:`left_out`.
        reused: whether an earlier preparation was found complete.
        nouns: what the things that may be left out are called.
    """

    datalist: Path
    counts: pd.DataFrame
    excluded: list[LeftOut]
    reused: bool = False
    nouns: Nouns = field(default_factory=Nouns)

    @classmethod
    def read(
        cls,
        datalist_path: str | os.PathLike[str],
        group_key: str,
        quantities: Sequence[str] = (),
        reused: bool = False,
        nouns: Nouns | None = None,
        count_of: str | None = None,
    ) -> Summary:
        """Summarise a datalist and the ``excluded.csv`` beside it.

        Args:
            datalist_path: the datalist.
            group_key: key of the donor or patient, whose number is shown.
            quantities: keys of numbers whose mean is shown.
            reused: whether an earlier preparation was found complete.
            nouns: what the things that may be left out are called; recordings, frames and cells if None.
            count_of: key of a list (a bag's images), whose items are counted over all records.
        """
        nouns = nouns or Nouns()
        path = Path(datalist_path)
        content = read_datalist(path)
        classes = content.pop("classes")
        content.pop("info", None)
        table = pd.DataFrame([{**record, "section": name} for name, section in content.items() for record in section])
        total = table["section"].value_counts().reindex(list(content), fill_value=0)
        table["class"] = _names_of_classes(table, classes)
        table = table.explode("class")  # a record with several labels counts in each of their classes
        counts = pd.crosstab(table["class"], table["section"]).reindex(columns=list(content), fill_value=0)
        by_class = table.groupby("class")
        counts[f"{group_key}s"] = by_class[group_key].nunique()
        if count_of is not None:
            counts[f"{count_of}s"] = table[count_of].map(len).groupby(table["class"]).sum()
        for key in quantities:
            if key in table:
                counts[f"mean {key}"] = by_class[key].mean().round(1)
        order = [name for name in classes if name in counts.index]
        counts = counts.reindex([*order, *sorted(set(counts.index) - set(order))])
        counts.loc["total"] = total if count_of is None else pd.concat([total, counts[[f"{count_of}s"]].sum()])

        file = path.parent / "excluded.csv"
        rows = pd.read_csv(file, dtype=str, keep_default_na=False).itertuples(index=False) if file.is_file() else ()
        return cls(path, counts, left_out((Exclusion(*row) for row in rows), nouns), reused, nouns)

    def __str__(self) -> str:
        counts = self.counts.copy()
        counts.index.name = counts.columns.name = None
        text = counts.to_string(na_rep="", float_format=lambda value: f"{value:g}")
        numbers: Counter[str] = sum((Counter(group.numbers) for group in self.excluded), Counter())
        lines = [text, "", f"left out: {self.nouns.count(numbers)} (see {self.datalist.parent / 'excluded.csv'})"]
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


def _names_of_classes(table: pd.DataFrame, classes: Sequence[str]) -> pd.Series:
    """Return for each record the name of its class or kind, or a list of names if records have several labels."""
    kind = table["kind"] if "kind" in table else pd.Series(index=table.index, dtype=object)
    if "label" not in table:
        return kind.fillna("unlabelled")
    if not table["label"].map(lambda label: isinstance(label, list)).any():
        return table["label"].map(dict(enumerate(classes))).fillna(kind).fillna("unlabelled")

    def names(label: object) -> list[str]:
        if not isinstance(label, list):
            return ["unlabelled"]
        masked = [f"{name}, masked" for name, value in zip(classes, label, strict=True) if value is None]
        found = [name for name, value in zip(classes, label, strict=True) if value == 1]
        return [*(found or ["none of these"]), *masked]

    return table["label"].map(names)
