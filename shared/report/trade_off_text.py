"""Result against the quality of explanations, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.report.formats import number
from shared.report.markdown import markdown_table, markdown_text
from shared.report.trade_off import Point, TradeOff
from shared.report.trade_off_figure import trade_off_figure

__all__ = ["trade_off_header", "trade_off_html", "trade_off_markdown", "trade_off_part", "trade_off_rows"]

NOT_MEASURED = "not measured"


def trade_off_rows(trade_off: TradeOff) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each model: name, result, method with the best explanations, their quality, what to know."""
    rows = []
    for model in sorted(trade_off.models, key=lambda model: -model.result.value):
        shown = model.shown
        quality = NOT_MEASURED if shown is None else _written(model.qualities[shown])
        rows.append((model.name, _written(model.result), shown or "", quality, "; ".join(model.caveats)))
    return rows


def trade_off_header(trade_off: TradeOff) -> tuple[str, str, str, str, str]:
    """Return the names of their columns."""
    return ("model", trade_off.result, "best explanation", trade_off.quality, "to know")


def _written(point: Point) -> str:
    ends = "" if point.interval is None else f" [{number(point.interval[0])}, {number(point.interval[1])}]"
    chance = "" if point.chance is None else f", chance {number(point.chance)}"
    n = "" if point.n is None else f", N = {point.n}"
    return f"{number(point.value)}{ends}{chance}{n}"


def trade_off_part(trade_off: TradeOff, name: str) -> dict[str, Any]:
    """Return what the template ``trade_off_parts.html.j2`` shows of one problem; ``name`` is unique in the page."""
    return {
        "title": trade_off.title,
        "figure": trade_off_figure(trade_off, name),
        "header": trade_off_header(trade_off),
        "rows": trade_off_rows(trade_off),
        "notes": trade_off.notes,
    }


def trade_off_markdown(parts: Sequence[TradeOff]) -> str:
    """Return a table for each problem."""
    lines = ["# Result against quality of explanations"]
    for part in parts:
        lines += ["", f"## {markdown_text(part.title)}", ""]
        lines += markdown_table(trade_off_header(part), trade_off_rows(part))
        lines += [f"\n{markdown_text(note)}" for note in part.notes]
    return "\n".join(lines) + "\n"


def trade_off_html(parts: Sequence[TradeOff]) -> str:
    """Return one self-contained page; every text is escaped."""
    environment = Environment(
        loader=PackageLoader("shared.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["drawing"] = Markup
    stylesheet = environment.loader.get_source(environment, "report.css")[0]  # type: ignore[union-attr]
    return environment.get_template("trade_off_page.html.j2").render(
        css=Markup(stylesheet), parts=[trade_off_part(part, f"tradeoff{i}") for i, part in enumerate(parts)]
    )
