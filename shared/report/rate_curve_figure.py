"""A curve of two rates with its band, its chance line and the operating point, drawn: ROC, precision over recall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from shared.report.curve_points import read_columns
from shared.report.measures import Estimate, read_number, read_table
from shared.report.sources import Sources
from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = ["RateCurve", "precision_recall_figure", "read_rate_curve", "roc_figure"]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class RateCurve:
    """A curve of one rate over another.

    Attributes:
        table: what the file says of it.
        points: both rates at its corners, ``(2, N)``.
        band: first rate, lower and upper bound of the second, ``(3, G)``.
        point: both rates of the decisions; ``None`` where the second is not defined.
        threshold: probability from which on they are positive.
    """

    table: Mapping[str, Any]
    points: Points
    band: Points
    point: tuple[float, float] | None
    threshold: float


def read_rate_curve(sources: Sources, key: str, rates: tuple[str, str]) -> RateCurve | None:
    """Read a curve of the metrics; ``None`` if it was not measured.

    Args:
        sources: the files.
        key: of the metrics file: ``roc_curve`` or ``precision_recall_curve``.
        rates: names of the horizontal and the vertical rate.

    Raises:
        DataError: if it is malformed.
    """
    table, where = sources.measured(key)
    if not table:
        return None
    place = f"{where}.operating_point"
    at = read_table(table.get("operating_point"), place)
    threshold, first = (read_number(at.get(name), f"{place}.{name}") for name in ("threshold", rates[0]))
    # nothing was called positive: there is no share of right calls
    second = None if at.get(rates[1], 0) is None else read_number(at.get(rates[1]), f"{place}.{rates[1]}")
    return RateCurve(
        table=table,
        points=read_columns(table, rates, where),
        band=read_columns(read_table(table.get("band"), f"{where}.band"), (rates[0], "low", "high"), f"{where}.band"),
        point=None if second is None else (first, second),
        threshold=threshold,
    )


def roc_figure(sources: Sources, area: Estimate | None, positive: str, name: str) -> str | None:
    """Draw the ROC curve; ``None`` if it was not measured.

    Args:
        sources: the files.
        area: the area under it, for its name.
        positive: the class to be found.
        name: unique in the page.

    Raises:
        DataError: if it is malformed.
    """
    curve = read_rate_curve(sources, "roc_curve", ("false_positive_rate", "true_positive_rate"))
    if curve is None:
        return None
    titles = f"false alarms: others called {plain_text(positive)}", f"found: share of {plain_text(positive)}"
    text = "the threshold reaches nothing"
    if curve.point is not None:
        false_alarms, found = (100 * rate for rate in curve.point)
        text = f"at the threshold {found:.0f} % are found, with {false_alarms:.0f} % false alarms"
    return _draw(curve, area, titles, ("chance", 0.0, 1.0), "rate", f"ROC curve for {plain_text(positive)}", text, name)


def precision_recall_figure(sources: Sources, area: Estimate | None, positive: str, name: str) -> str | None:
    """Draw precision over recall; ``None`` if it was not measured.

    Args:
        sources: the files.
        area: average precision, for the curve's name.
        positive: the class to be found.
        name: unique in the page.

    Raises:
        DataError: if it is malformed.
    """
    curve = read_rate_curve(sources, "precision_recall_curve", ("recall", "precision"))
    if curve is None:
        return None
    chance = read_number(curve.table.get("prevalence"), f"{sources.measured('precision_recall_curve')[1]}.prevalence")
    titles = f"found: share of {plain_text(positive)}", f"right among those called {plain_text(positive)}"
    text = f"chance {100 * chance:.0f} %"
    if curve.point is not None:
        found, right = (100 * rate for rate in curve.point)
        text += f"; at the threshold {found:.0f} % are found, and {right:.0f} % of the calls are right"
    line = f"chance: {100 * chance:.0f} %", chance, chance
    return _draw(curve, area, titles, line, "share", f"Precision-recall curve for {plain_text(positive)}", text, name)


def _draw(
    curve: RateCurve,
    area: Estimate | None,
    titles: tuple[str, str],
    chance: tuple[str, float, float],
    rate: str,
    what: str,
    text: str,
    name: str,
) -> str:
    """Draw a curve.

    Args:
        curve: as measured.
        area: under it, for its name.
        titles: of the horizontal and the vertical axis.
        chance: name and heights at both ends of the line of chance.
        rate: word for what the band holds at.
        what: what is drawn, for readers who do not see it.
        text: further words for them.
        name: unique in the page.
    """
    label = "this model" if area is None or area.value is None else f"this model, area {area.value:.3f}"
    # precision falls in steps between the corners; a line would promise what is not reached
    steps = "steps-pre" if rate == "share" else "default"
    with style():
        figure = plain(4.3, 4.6)
        axes = figure.add_subplot()
        axes.fill_between(
            curve.band[0],
            curve.band[1],
            curve.band[2],
            step="pre" if rate == "share" else None,
            color=COLOURS["band"],
            alpha=0.7,
            linewidth=0,
            label=f"95 % band, at each {rate}",
        )
        axes.plot([0, 1], chance[1:], color=COLOURS["muted"], linewidth=1, linestyle=(0, (1, 2)), label=chance[0])
        axes.plot(*curve.points, drawstyle=steps, color=COLOURS["right"], linewidth=2, label=label)
        if curve.point is not None:
            axes.plot(
                *curve.point,
                "D",
                color=COLOURS["wrong"],
                markersize=8,
                clip_on=False,
                zorder=4,
                label=f"at a probability of {curve.threshold:g}",
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal", xlabel=titles[0], ylabel=titles[1])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return inline_svg(figure, name, f"{what}: {label}; {text}.")
