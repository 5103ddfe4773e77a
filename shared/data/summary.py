"""A datalist in one table, for people to look at after preparing."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from shared.data.datalist import read_datalist

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """Counts by class and section, and why records were left out.

    Args:
        datalist: path of the datalist.
        counts: one row per class or kind of outlier, one column per section, then the number of groups and the means
            of the physical quantities.
        excluded: number of items left out, by reason with the numbers in it replaced by ``#``.
        reused: whether an earlier preparation was found complete.
    """

    datalist: Path
    counts: pd.DataFrame
    excluded: dict[str, int]
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
        reasons = pd.read_csv(file)["reason"] if file.is_file() else []
        excluded = Counter(re.sub(r"\d+(\.\d+)?", "#", str(reason)) for reason in reasons)
        return cls(path, counts, dict(excluded.most_common()), reused)

    def __str__(self) -> str:
        counts = self.counts.copy()
        counts.index.name = counts.columns.name = None
        text = counts.to_string(na_rep="", float_format=lambda value: f"{value:g}")
        lines = [text, "", f"left out: {sum(self.excluded.values())} (see {self.datalist.parent / 'excluded.csv'})"]
        lines += [f"  {number:6d}  {reason[:110]}" for reason, number in list(self.excluded.items())[:8]]
        return "\n".join([*lines, "", f"datalist: {self.datalist}" + (" (complete, reused)" if self.reused else "")])
