"""Figures of alarms: bootstrapped test sets as boxes, risk over coverage of several alarms, decision curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from shared.report.curves import RiskCoverage
from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = ["DecisionCurve", "bootstrapped_sets_figure", "decision_curves_figure", "risk_of_alarms_figure"]

#: colour and line of each alarm, so that they are told apart in print as well
LOOKS = (
    ("right", "-"),
    ("wrong", "--"),
    ("good", "-."),
    ("outlier", ":"),
    ("ink", (0, (6, 1.5))),
    ("muted", (0, (1, 1))),
    ("right", (0, (3, 1, 1, 1))),
)
COLUMNS = 3


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit ``(P,)`` over threshold probabilities ``(P,)``, with its band and that of acting on all."""

    threshold: NDArray[np.float64]
    net_benefit: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    treat_all: NDArray[np.float64]


def bootstrapped_sets_figure(sets: Mapping[str, Sequence[float]], acting: str, name: str) -> str:
    """Draw a box for each alarm: its mean F1 on the bootstrapped test sets.

    Args:
        sets: title of the alarm to its means.
        acting: title of the alarm that acts, whose box is filled.
        name: unique in the page.
    """
    titles = list(sets)
    with style():
        figure = plain(6.8, 1.0 + 0.36 * len(titles))
        axes = figure.add_subplot()
        boxes = axes.boxplot(
            [list(sets[title]) for title in titles],
            orientation="horizontal",
            positions=range(len(titles)),
            widths=0.6,
            patch_artist=True,
            medianprops={"color": COLOURS["ink"], "linewidth": 1.6},
            flierprops={"marker": "o", "markersize": 3.5, "markeredgecolor": COLOURS["muted"]},
            whiskerprops={"color": COLOURS["muted"]},
            capprops={"color": COLOURS["muted"]},
        )
        for title, box in zip(titles, boxes["boxes"], strict=True):
            box.set(facecolor=COLOURS["right"] if title == acting else COLOURS["band"], edgecolor=COLOURS["muted"])
        axes.set_yticks(range(len(titles)), [plain_text(title, 44) for title in titles], parse_math=False)
        axes.set_ylim(len(titles) - 0.4, -0.6)
        axes.set_xlabel("mean F1 over the findings, flagged predictions swapped")
        axes.grid(axis="x", linewidth=0.6)
        axes.set_axisbelow(True)
    medians = ", ".join(f"{plain_text(title, 44)} {np.median(values):.3f}" for title, values in sets.items())
    return inline_svg(figure, name, f"Mean F1 on bootstrapped test sets, medians: {medians}.")


def risk_of_alarms_figure(curves: Mapping[str, Mapping[str, RiskCoverage]], name: str) -> str:
    """Draw risk over coverage when the most doubtful predictions are left to a person, a panel for each finding.

    Args:
        curves: by finding and title of the alarm.
        name: unique in the page.
    """
    with style():
        figure, panels = _panels(list(curves))
        for axes, (finding, of_finding) in zip(panels, curves.items(), strict=True):
            for (title, curve), (colour, line) in zip(of_finding.items(), _looks(len(of_finding)), strict=True):
                axes.plot(curve.coverage, curve.risk, color=COLOURS[colour], linestyle=line, linewidth=1.5, label=title)
            axes.set(xlim=(0, 1.02), xlabel="coverage", title=plain_text(finding))
            axes.set_ylim(bottom=0)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(PercentFormatter(1.0))
        panels[0].set_ylabel("risk (errors among the answered)")
        _legend(figure, panels[0])
    return inline_svg(figure, name, f"Curves of risk over coverage of alarms for {len(curves)} findings.")


def decision_curves_figure(curves: Mapping[str, DecisionCurve], name: str) -> str:
    """Draw the net benefit of acting on the calibrated probability, a panel for each finding.

    Args:
        curves: by finding.
        name: unique in the page.
    """
    with style():
        figure, panels = _panels(list(curves))
        for axes, (finding, curve) in zip(panels, curves.items(), strict=True):
            x = curve.threshold
            axes.fill_between(x, curve.low, curve.high, color=COLOURS["band"], alpha=0.6, linewidth=0)
            axes.plot(x, curve.net_benefit, color=COLOURS["right"], linewidth=1.8, label="model, with 95 % band")
            axes.plot(x, curve.treat_all, color=COLOURS["wrong"], linestyle="--", linewidth=1.2, label="act on all")
            axes.axhline(0, color=COLOURS["ink"], linestyle=":", linewidth=1.1, label="act on none")
            top = float(np.nanmax([curve.high.max(), curve.treat_all.max(), 0.01]))
            axes.set(xlim=(0, 1), ylim=(-0.25 * top, 1.08 * top), xlabel="threshold probability")
            axes.set_title(plain_text(finding))
        panels[0].set_ylabel("net benefit")
        _legend(figure, panels[0])
    return inline_svg(figure, name, f"Decision curves of {len(curves)} findings.")


def _panels(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = plain(3.1 * columns, 2.7 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    for axes in grid[: len(names)]:
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, list(grid[: len(names)])


def _looks(count: int) -> list[tuple[str, object]]:
    return [LOOKS[index % len(LOOKS)] for index in range(count)]


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    labels = [plain_text(text, 44) for text in names]
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8.5)
