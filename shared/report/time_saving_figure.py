"""Wrong answers that nobody looks at over the reading time saved, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import PercentFormatter

from shared.report.curves import RiskCoverage, oracle_risk
from shared.report.svg import COLOURS, inline_svg, plain, style

__all__ = ["SavingPoint", "time_saving_figure"]


@dataclass(frozen=True)
class SavingPoint:
    """Share of the time saved and accepted wrong answers (per so many cases) of one way to accept, and its name."""

    share: float
    wrong: float
    label: str


def time_saving_figure(
    curve: RiskCoverage, taken: SavingPoint, points: Sequence[SavingPoint], cases: int, hours: float, name: str
) -> str:
    """Draw what accepting more answers costs.

    Args:
        curve: risk over coverage; every accepted case saves the same time, so that coverage is the share saved.
        taken: the decisions as taken.
        points: other confidences that were fitted on validation samples.
        cases: number of cases that errors are counted for.
        hours: a person's time for them.
        name: unique in the page.
    """
    full = float(curve.risk[-1])
    wrong = cases * curve.coverage * curve.risk
    with style():
        figure = plain(5.6, 4.1)
        axes = figure.add_subplot()
        x = np.linspace(0.002, 1, 400)
        axes.plot(
            x,
            cases * x * oracle_risk(x, full),
            color=COLOURS["muted"],
            linewidth=1,
            linestyle="--",
            label="perfect ranking",
        )
        axes.plot(curve.coverage, wrong, color=COLOURS["right"], linewidth=2, label="this model, by its confidence")
        if points:
            axes.plot(
                [point.share for point in points],
                [point.wrong for point in points],
                "o",
                color=COLOURS["right"],
                markersize=7,
                markerfacecolor="none",
                markeredgewidth=1.6,
                clip_on=False,
                label="confidence fitted for this error rate",
            )
        for point in _apart(points):
            axes.annotate(
                point.label, (point.share, point.wrong), (-6, 7), textcoords="offset points", ha="right", fontsize=8.5
            )
        axes.plot(
            taken.share, taken.wrong, "D", color=COLOURS["wrong"], markersize=8, clip_on=False, zorder=4,
            label=taken.label,
        )  # fmt: skip
        top = max(float(wrong.max()), taken.wrong, *(point.wrong for point in points), 1e-9)
        axes.set(xlim=(0, 1), ylim=(0, 1.12 * top))
        axes.set(
            xlabel=f"reading time saved (share of {hours:.3g} h for {cases} cases)",
            ylabel=f"wrong and seen by nobody, per {cases} cases",
        )
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    text = (
        f"Wrong answers that nobody looks at over the reading time saved. As decided: {100 * taken.share:.0f} % of the "
        f"time saved, {taken.wrong:.1f} wrong per {cases} cases."
    )
    return inline_svg(figure, name, text)


def _apart(points: Sequence[SavingPoint]) -> list[SavingPoint]:
    """Return one label for each place: points that coincide are named together."""
    places: dict[tuple[float, float], list[str]] = {}
    for point in points:
        places.setdefault((round(point.share, 2), round(point.wrong, 1)), []).append(point.label)
    first = {(round(p.share, 2), round(p.wrong, 1)): p for p in reversed(points)}
    return [SavingPoint(first[place].share, first[place].wrong, ", ".join(names)) for place, names in places.items()]
