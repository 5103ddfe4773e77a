"""The ROC curve with its band and the operating point, drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from shared.report.curve_points import read_columns
from shared.report.measures import Estimate, read_number, read_table
from shared.report.sources import Sources
from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = ["RocCurve", "read_roc_curve", "roc_figure"]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class RocCurve:
    """A ROC curve.

    Attributes:
        curve: false- and true-positive rates of its corners, ``(2, N)``.
        band: false-positive rates, lower and upper bound of the true-positive rate, ``(3, G)``.
        point: false- and true-positive rate of the decisions.
        threshold: probability above which they are positive.
    """

    curve: Points
    band: Points
    point: tuple[float, float]
    threshold: float


def read_roc_curve(sources: Sources) -> RocCurve | None:
    """Read ``roc_curve`` of the metrics; ``None`` if there is none.

    Raises:
        DataError: if it is malformed.
    """
    table, where = sources.measured("roc_curve")
    if not table:
        return None
    rates = ("false_positive_rate", "true_positive_rate")
    point = read_table(table.get("operating_point"), f"{where}.operating_point")
    false_rate, true_rate, threshold = (
        read_number(point.get(key), f"{where}.operating_point.{key}") for key in (*rates, "threshold")
    )
    return RocCurve(
        curve=read_columns(table, rates, where),
        band=read_columns(read_table(table.get("band"), f"{where}.band"), (rates[0], "low", "high"), f"{where}.band"),
        point=(false_rate, true_rate),
        threshold=threshold,
    )


def roc_figure(roc: RocCurve, area: Estimate | None, positive: str, name: str) -> str:
    """Draw a ROC curve.

    Args:
        roc: the curve.
        area: the area under it, for its name.
        positive: the class to be found.
        name: unique in the page.
    """
    label = "this model" if area is None or area.value is None else f"this model, area {area.value:.3f}"
    with style():
        figure = plain(4.3, 4.6)
        axes = figure.add_subplot()
        axes.fill_between(*roc.band, color=COLOURS["band"], alpha=0.7, linewidth=0, label="95 % band, at each rate")
        axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle=(0, (1, 2)), label="chance")
        axes.plot(*roc.curve, color=COLOURS["right"], linewidth=2, label=label)
        axes.plot(
            *roc.point,
            "D",
            color=COLOURS["wrong"],
            markersize=8,
            clip_on=False,
            zorder=4,
            label=f"at a probability of {roc.threshold:g}",
        )
        axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
        axes.set(
            xlabel=f"false alarms: others called {plain_text(positive)}",
            ylabel=f"found: share of {plain_text(positive)}",
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    text = (
        f"ROC curve for {plain_text(positive)}: {label}; at the threshold {100 * roc.point[1]:.0f} % are found, with "
    )
    return inline_svg(figure, name, f"{text}{100 * roc.point[0]:.0f} % false alarms.")
