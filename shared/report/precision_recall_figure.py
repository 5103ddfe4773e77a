"""The precision–recall curve with its band, the precision of chance and the operating point, drawn."""

from __future__ import annotations

from matplotlib.ticker import PercentFormatter

from shared.report.curve_points import read_columns
from shared.report.measures import Estimate, read_number, read_table
from shared.report.sources import Sources
from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = ["precision_recall_figure"]


def precision_recall_figure(sources: Sources, area: Estimate | None, positive: str, name: str) -> str | None:
    """Draw ``precision_recall_curve`` of the metrics.

    Args:
        sources: the files.
        area: average precision, for the curve's name.
        positive: the class to be found.
        name: unique in the page.

    Returns:
        ``None`` if it was not measured.

    Raises:
        DataError: if it is malformed.
    """
    table, where = sources.measured("precision_recall_curve")
    if not table:
        return None
    curve = read_columns(table, ("recall", "precision"), where)
    band = read_columns(read_table(table.get("band"), f"{where}.band"), ("recall", "low", "high"), f"{where}.band")
    chance = read_number(table.get("prevalence"), f"{where}.prevalence")
    place = f"{where}.operating_point"
    point = read_table(table.get("operating_point"), place)
    threshold, recall = (read_number(point.get(key), f"{place}.{key}") for key in ("threshold", "recall"))
    precision = None if point.get("precision") is None else read_number(point["precision"], f"{place}.precision")
    label = "this model"
    if area is not None and area.value is not None:
        label += f", area {area.value:.3f}"
    with style():
        figure = plain(4.3, 4.6)
        axes = figure.add_subplot()
        axes.fill_between(
            band[0],
            band[1],
            band[2],
            step="pre",
            color=COLOURS["band"],
            alpha=0.7,
            linewidth=0,
            label="95 % band, at each share",
        )
        axes.axhline(
            chance, color=COLOURS["muted"], linewidth=1, linestyle=(0, (1, 2)), label=f"chance: {100 * chance:.0f} %"
        )
        axes.step(*curve, where="pre", color=COLOURS["right"], linewidth=2, label=label)
        if precision is not None:
            axes.plot(
                recall,
                precision,
                "D",
                color=COLOURS["wrong"],
                markersize=8,
                clip_on=False,
                zorder=4,
                label=f"at a probability of {threshold:g}",
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
        axes.set(
            xlabel=f"found: share of {plain_text(positive)}",
            ylabel=f"right among those called {plain_text(positive)}",
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    text = f"Precision-recall curve for {plain_text(positive)}: {label}; chance {100 * chance:.0f} %"
    if precision is not None:
        text += f"; at the threshold {100 * recall:.0f} % are found, and {100 * precision:.0f} % of the calls are right"
    return inline_svg(figure, name, f"{text}.")
