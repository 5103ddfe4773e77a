"""The report's figures as inline SVG: what `curves` computed, drawn so that it can be read printed and without colour.

Every figure carries a text for screen readers; the page puts the same numbers in a table beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from shared.report.curves import OperatingPoint, ReliabilityBin, RiskCoverage, oracle_risk, row_shares
from shared.report.measures import Estimate
from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = [
    "confidence_figure",
    "confusion_figure",
    "outlier_figure",
    "quality_figure",
    "reliability_figure",
    "risk_coverage_figure",
]

GROUPS = {"right": "right answers", "wrong": "wrong answers", "outlier": "outliers"}


def confusion_figure(counts: NDArray[np.int64], classes: Sequence[str], name: str) -> str:
    """Draw a confusion matrix: count and share of its row in each cell, darker for a larger share.

    Args:
        counts: ``(K, K)``, rows the true classes.
        classes: K names.
        name: unique in the page.
    """
    k, shares = len(classes), row_shares(counts)
    labels = [plain_text(label, 16) for label in classes]
    with style():
        figure = plain(1.6 + 0.85 * k, 1.1 + 0.66 * k)
        axes = figure.add_subplot()
        for row in range(k):
            for column in range(k):
                share = float(np.nan_to_num(shares[row, column]))
                # own colours, not the page's: text and cell keep their contrast on a dark page and on paper
                cell = Rectangle((column, row), 1, 1, facecolor=_shade(share), edgecolor="#ffffff", linewidth=1.5)
                cell.set_gid(f"cell-{row}-{column}")
                axes.add_patch(cell)
                ink = "#ffffff" if share > 0.5 else "#15191f"
                axes.text(
                    column + 0.5,
                    row + 0.41,
                    f"{counts[row, column]}",
                    ha="center",
                    va="center",
                    color=ink,
                    fontsize=11,
                    fontweight="bold" if row == column else "normal",
                )
                percent = "no sample" if np.isnan(shares[row, column]) else f"{100 * share:.0f} %"
                axes.text(column + 0.5, row + 0.7, percent, ha="center", va="center", color=ink, fontsize=8.5)
        axes.set(xlim=(0, k), ylim=(k, 0), xlabel="predicted", ylabel="true")
        axes.set_xticks(np.arange(k) + 0.5, labels, parse_math=False, rotation=25 if k > 3 else 0)
        axes.set_yticks(
            np.arange(k) + 0.5,
            [f"{label}\nn = {total}" for label, total in zip(labels, counts.sum(axis=1), strict=True)],
            parse_math=False,
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    right, total = int(np.trace(counts)), int(counts.sum())
    return inline_svg(figure, name, f"Confusion matrix of {k} classes: {right} of {total} samples on the diagonal.")


def _shade(share: float) -> str:
    """Light grey-blue to dark blue; monotone in lightness, so that a grey print keeps the order."""
    low, high = np.array([0xEE, 0xF2, 0xF6]), np.array([0x00, 0x4A, 0x7C])
    return "#" + "".join(f"{round(value):02x}" for value in low + (high - low) * share)


def reliability_figure(panels: Mapping[str, Sequence[ReliabilityBin]], name: str) -> str:
    """Draw reliability diagrams side by side, the bin counts below each.

    Args:
        panels: title (``"before calibration"``) to bins.
        name: unique in the page.
    """
    with style():
        figure = plain(3.7 * len(panels), 5.6)
        grid = figure.subplots(2, len(panels), sharex=True, squeeze=False, height_ratios=[4, 1])
        tallest = max((b.count for bins in panels.values() for b in bins), default=1)
        for column, (title, bins) in enumerate(panels.items()):
            n = sum(b.count for b in bins)
            _reliability_panel(grid[0, column], bins)
            # shared axes lose the labels of the upper one, which is the one that is read
            grid[0, column].tick_params(labelbottom=True)
            for row, part in enumerate(("observed", "samples")):
                grid[row, column].patch.set_gid(f"{part}-{column}")
            grid[0, column].set_title(f"{title}\nN = {n}, {len(bins)} filled bins")
            x = [b.confidence for b in bins]
            grid[1, column].vlines(x, 0, [b.count for b in bins], color=COLOURS["muted"], linewidth=5)
            grid[1, column].set(ylim=(0, 1.1 * tallest), xlabel="stated probability (bin mean)")
            grid[1, column].yaxis.set_major_locator(MaxNLocator(2, integer=True))
        grid[0, 0].set_ylabel("observed frequency")
        grid[1, 0].set_ylabel("samples")
        handles, names = grid[0, -1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8.5)
    gaps = [
        f"{title}: mean gap {_gap(bins):.3f} over {sum(b.count for b in bins)} samples"
        for title, bins in panels.items()
    ]
    return inline_svg(figure, name, "Reliability diagram. " + "; ".join(gaps) + ".")


def _gap(bins: Sequence[ReliabilityBin]) -> float:
    n = sum(b.count for b in bins)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / n if n else 0.0


def _reliability_panel(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    axes.plot([0, 1], [0, 1], color=COLOURS["ink"], linewidth=0.9, linestyle=(0, (4, 3)), label="perfect")
    x, y = np.array([b.confidence for b in bins]), np.array([b.accuracy for b in bins])
    null, interval = np.array([b.null for b in bins]), np.array([b.interval for b in bins])
    if len(bins):
        axes.vlines(x, null[:, 0], null[:, 1], color=COLOURS["band"], linewidth=9, label="95 % null band", zorder=1)
        error = np.maximum(np.abs(interval.T - y), 0.0)
        axes.errorbar(
            x,
            y,
            yerr=error,
            fmt="o",
            color=COLOURS["right"],
            markersize=5,
            capsize=2.5,
            linewidth=1.3,
            label="observed, 95 % interval",
            zorder=3,
        )
    # no equal aspect: it would narrow the panel, and its points would stand beside their bars of the histogram
    axes.set(xlim=(-0.02, 1.04), ylim=(-0.02, 1.02), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)


def risk_coverage_figure(curve: RiskCoverage, point: OperatingPoint | None, target: float | None, name: str) -> str:
    """Draw risk over coverage between the curve of a perfect ranking and the risk without any ranking.

    Args:
        curve: as measured.
        point: decisions as taken; not drawn if ``None``.
        target: risk that the threshold was chosen for; not drawn if ``None``.
        name: unique in the page.
    """
    full = float(curve.risk[-1])
    shown = np.unique(np.linspace(0, len(curve.coverage) - 1, 400).round().astype(int))
    with style():
        figure = plain(5.2, 3.9)
        axes = figure.add_subplot()
        axes.axhline(full, color=COLOURS["muted"], linewidth=1, linestyle=(0, (1, 2)), label="no ranking")
        x = np.linspace(0.005, 1, 200)
        axes.plot(x, oracle_risk(x, full), color=COLOURS["muted"], linewidth=1, linestyle="--", label="perfect ranking")
        axes.plot(curve.coverage[shown], curve.risk[shown], color=COLOURS["right"], linewidth=2, label="this model")
        if target is not None:
            axes.axhline(
                target, color=COLOURS["good"], linewidth=1.2, linestyle="-.", label=f"target risk {target:.3g}"
            )
        top = max(float(curve.risk.max()), full, target or 0.0)
        if point is not None:
            error = [[max(point.risk - point.interval[0], 0.0)], [max(point.interval[1] - point.risk, 0.0)]]
            axes.errorbar(
                [point.coverage],
                [point.risk],
                yerr=error,
                fmt="D",
                color=COLOURS["wrong"],
                markersize=7,
                capsize=3,
                label="accepted, 95 % interval",
                zorder=4,
            )
            top = max(top, point.interval[1])
        axes.set(xlim=(0, 1.02), ylim=(0, 1.08 * top if top > 0 else 0.05))
        axes.set(xlabel="coverage (share answered)", ylabel="risk (errors among the answered)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=3, fontsize=8.5)
    at = "" if point is None else f" Accepted: coverage {point.coverage:.3f}, risk {point.risk:.3f}."
    return inline_svg(figure, name, f"Curve of risk over coverage; risk {full:.3f} when all are answered.{at}")


def confidence_figure(counts: Mapping[str, NDArray[np.int64]], thresholds: Mapping[str, float], name: str) -> str:
    """Draw one histogram of confidence for each group, above one another on one axis.

    Args:
        counts: group (right, wrong, outlier) to counts in equal bins of [0, 1], as `confidence_histogram` gives them.
        thresholds: label to confidence, at most two, the lower first.
        name: unique in the page.
    """
    with style():
        figure = plain(6.2, 0.9 + 0.85 * len(counts))
        rows = figure.subplots(len(counts), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (group, values) in zip(rows, counts.items(), strict=True):
            edges = np.linspace(0, 1, len(values) + 1)
            axes.bar(edges[:-1], values, np.diff(edges), align="edge", color=COLOURS[group], edgecolor="none")
            axes.text(
                1.02, 0.5, f"{GROUPS[group]}\nn = {values.sum()}", transform=axes.transAxes, va="center", fontsize=9
            )
            axes.set(xlim=(0, 1), ylim=(0, 1.08 * values.max()))
            axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
            for value in thresholds.values():
                axes.axvline(value, color=COLOURS["ink"], linewidth=1.1, linestyle=(0, (4, 2)))
        for side, (label, value) in zip(("right", "left"), thresholds.items(), strict=False):
            at = {"xy": (value, 1), "xycoords": ("data", "axes fraction"), "xytext": (0, 3), "ha": side}
            rows[0].annotate(f"{label} {value:.2f}", textcoords="offset points", fontsize=8.5, **at)
        rows[-1].set_xlabel("confidence (0 = chance level, 1 = certain)")
        figure.supylabel("samples", fontsize=10)
    totals = ", ".join(f"{values.sum()} {GROUPS[group]}" for group, values in counts.items())
    return inline_svg(figure, name, f"Histograms of confidence: {totals}.")


def outlier_figure(caught: Sequence[Estimate], goal: float, name: str) -> str:
    """Draw the caught share of each kind of outlier with its 95 % interval.

    Args:
        caught: one per kind, ``name`` being the kind.
        goal: share that should be caught.
        name: unique in the page.
    """
    with style():
        figure = plain(5.4, 0.9 + 0.36 * len(caught))
        axes = figure.add_subplot()
        _dots(axes, caught, COLOURS["outlier"])
        label = f"goal: at least {100 * goal:.0f} %"
        axes.axvline(goal, color=COLOURS["good"], linewidth=1.2, linestyle="-.", label=label, zorder=0)
        figure.legend(loc="outside upper right", fontsize=8.5)
        axes.set(xlim=(0, 1.03), xlabel="caught (rejected, or confidence below the rejection threshold)")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    shares = ", ".join(f"{plain_text(e.name)} {100 * e.value:.0f} %" for e in caught if e.value is not None)
    return inline_svg(figure, name, f"Outliers caught per kind: {shares}; the goal is {100 * goal:.0f} %.")


def quality_figure(measure: str, estimates: Sequence[Estimate], name: str) -> str:
    """Draw one quality measure of several explanation methods, with intervals and chance levels.

    Args:
        measure: title of the measure.
        estimates: one per method, ``name`` being the method.
        name: unique in the page.
    """
    with style():
        figure = plain(4.4, 0.9 + 0.3 * len(estimates))
        axes = figure.add_subplot()
        _dots(axes, estimates, COLOURS["right"])
        for row, estimate in enumerate(estimates):
            if estimate.chance is not None:
                axes.plot(
                    [estimate.chance] * 2,
                    [row - 0.4, row + 0.4],
                    color=COLOURS["ink"],
                    linewidth=1.4,
                    linestyle=(0, (2, 1.5)),
                    label="chance level" if row == 0 else None,
                )
        axes.set_title(plain_text(measure, 40), loc="left", parse_math=False)
        ends = [v for e in estimates for v in (e.value, e.chance, *(e.interval or ())) if v is not None]
        if ends and min(ends) >= 0 and max(ends) <= 1:
            axes.set_xlim(0, 1.03)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower right", fontsize=8.5)
    values = ", ".join(f"{plain_text(e.name)} {e.value:.3f}" for e in estimates if e.value is not None)
    return inline_svg(figure, name, f"{plain_text(measure, 40)} per method: {values}.")


def _dots(axes: Axes, estimates: Sequence[Estimate], colour: str) -> None:
    for row, estimate in enumerate(estimates):
        if estimate.value is None:
            continue
        if estimate.interval is not None:
            axes.hlines(row, *estimate.interval, color=colour, linewidth=2)
        axes.plot(estimate.value, row, "o", color=colour, markersize=6.5)
    axes.set_yticks(range(len(estimates)), [plain_text(e.name, 44) for e in estimates], parse_math=False)
    axes.set_ylim(len(estimates) - 0.4, -0.6)
    axes.grid(axis="x", linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
