"""Result against the quality of explanations, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.report.formats import number
from shared.report.markdown import markdown_table, markdown_text
from shared.report.trade_off import Point, TradeOff
from shared.report.trade_off_figure import trade_off_figure

__all__ = ["trade_off_header", "trade_off_html", "trade_off_markdown", "trade_off_rows"]

NOT_MEASURED = "not measured"


def trade_off_rows(trade_off: TradeOff) -> list[tuple[str, str, str, str]]:
    """Return a row for each model: name, result, method with the best explanations, their quality."""
    rows = []
    for model in sorted(trade_off.models, key=lambda model: -model.result.value):
        quality = NOT_MEASURED if model.best is None else _written(model.qualities[model.best])
        rows.append((model.name, _written(model.result), model.best or "", quality))
    return rows


def trade_off_header(trade_off: TradeOff) -> tuple[str, str, str, str]:
    """Return the names of their columns."""
    return ("model", trade_off.result, "best explanation", trade_off.quality)


def _written(point: Point) -> str:
    ends = "" if point.interval is None else f" [{number(point.interval[0])}, {number(point.interval[1])}]"
    return f"{number(point.value)}{ends}"


def trade_off_markdown(parts: Sequence[TradeOff]) -> str:
    """Return a table for each problem."""
    lines = ["# Result against quality of explanations"]
    for part in parts:
        lines += ["", f"## {markdown_text(part.title)}", ""]
        lines += markdown_table(trade_off_header(part), trade_off_rows(part))
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
    drawn = [trade_off_figure(part, f"tradeoff{i}") for i, part in enumerate(parts)]
    return environment.get_template("trade_off_page.html.j2").render(
        css=Markup(stylesheet),
        parts=[
            {
                "title": part.title,
                "figure": drawing,
                "header": trade_off_header(part),
                "rows": trade_off_rows(part),
            }
            for part, drawing in zip(parts, drawn, strict=True)
        ],
    )
