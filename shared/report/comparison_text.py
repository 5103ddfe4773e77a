"""A comparison of two runs as Markdown, as a page, or for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.report.card.model_card import estimate_text
from shared.report.comparison import ComparedRow, Comparison
from shared.report.formats import number, signed
from shared.report.markdown import markdown_table, markdown_text

__all__ = ["comparison_html", "comparison_markdown", "comparison_terminal"]

HEADER = ("section", "measure", "first", "second", "second less first", "verdict")


def _cells(row: ComparedRow) -> tuple[str, ...]:
    return (row.section, row.title, _number(row.first), _number(row.second), _difference(row), row.verdict)


def _number(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "not measured"
    return estimate_text({key: entry[key] for key in ("value", "ci95", "interval", "reason") if key in entry})


def _difference(row: ComparedRow) -> str:
    if row.difference is None:
        return ""
    ends = "" if row.interval is None else f" [{number(row.interval[0])}, {number(row.interval[1])}]"
    return f"{signed(row.difference)}{ends}{' paired' if ends and row.paired is not None else ''}"


def _summary(comparison: Comparison) -> str:
    found, compared = len(comparison.exceeding), comparison.compared
    return (
        f"{found} of {compared} differences exceed their 95 % intervals; about {compared / 20:.0f} would by chance, if "
        "there were no difference at all."
    )


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown: the differences that exceed their intervals, then all numbers."""
    lines = ["# Two runs", "", f"- first: {markdown_text(comparison.first.name)}"]
    lines += [f"- second: {markdown_text(comparison.second.name)}", "", _summary(comparison)]
    lines += [f"\n{markdown_text(note)}" for note in comparison.notes]
    lines += [f"\n**Warning.** {markdown_text(warning)}" for warning in comparison.warnings]
    parts: list[tuple[str, Sequence[ComparedRow]]] = [
        ("What exceeds its interval", comparison.exceeding),
        ("All numbers", comparison.rows),
    ]
    for title, rows in parts:
        lines += ["", f"## {title}", ""]
        lines += markdown_table(HEADER, map(_cells, rows)) if rows else ["None."]
    return "\n".join(lines) + "\n"


def comparison_terminal(comparison: Comparison, all_rows: bool = False) -> str:
    """Return the comparison as lines of text.

    Args:
        comparison: of two runs.
        all_rows: whether to list every number, or those only whose difference exceeds its interval.
    """
    lines = [f"first:  {comparison.first.name}", f"second: {comparison.second.name}", "", *comparison.notes, ""]
    lines += [*(f"Warning: {warning}" for warning in comparison.warnings), ""] if comparison.warnings else []
    lines.append(_summary(comparison))
    rows = comparison.rows if all_rows else comparison.exceeding
    if rows:
        cells = [HEADER, *map(_cells, rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
        lines.append("")
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
    return _printable("\n".join(lines)) + "\n"


def _printable(text: str) -> str:
    """Leave out control characters: a name from a file must not steer the terminal."""
    return "".join(character for character in text if character == "\n" or character.isprintable())


def comparison_html(comparison: Comparison) -> str:
    """Return the comparison as one self-contained page; every text is escaped."""
    environment = Environment(
        loader=PackageLoader("shared.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    stylesheet = environment.loader.get_source(environment, "report.css")[0]  # type: ignore[union-attr]
    return environment.get_template("comparison.html.j2").render(
        css=Markup(stylesheet),
        comparison=comparison,
        summary=_summary(comparison),
        header=HEADER,
        exceeding=[(_cells(row), True) for row in comparison.exceeding],
        rows=[(_cells(row), row.exceeds) for row in comparison.rows],
    )
