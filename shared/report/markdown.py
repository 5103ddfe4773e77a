"""Texts from files and tables of them as Markdown that no reader takes for markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["markdown_table", "markdown_text"]

# underscores within words, as in names of files, are no markup
_MARKUP = re.compile(r"([\\`*<>\[\]|#~&]|(?<!\w)_|_(?!\w))")


def markdown_text(value: object) -> str:
    r"""Escape a text for one line of Markdown, a cell of a table among them.

    Example:
        >>> print(markdown_text("<b>a|b</b> *c* file_name"))
        \<b\>a\|b\</b\> \*c\* file_name
    """
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table; every cell is escaped.

    Raises:
        ValueError: if a row is not as long as the header.
    """
    lines = ["| " + " | ".join(map(markdown_text, header)) + " |", "|" + " --- |" * len(header)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}")
        lines.append("| " + " | ".join(map(markdown_text, row)) + " |")
    return lines
