"""Figures of models that judge from many instances: how experts share a decision, and how values are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from shared.report.bags import ExpertSplit
from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = ["expert_scatter_figure", "expert_split_figure"]

#: Colour and marker of each of two experts, and of both together.
PARTS = {"image": ("right", "o", "images"), "attributes": ("wrong", "s", "attributes"), "whole": ("ink", "D", "both")}


def expert_split_figure(split: ExpertSplit, positive: str, name: str) -> str:
    """Draw one decision: a bar for whom the gate believed, and an axis with what each expert says.

    Args:
        split: the experts' probabilities and the gate.
        positive: the class whose probability is drawn.
        name: unique in the page.
    """
    with style():
        figure = plain(5.6, 1.65)
        bar, axis = figure.subplots(2, 1, height_ratios=[0.7, 1.5])
        _gate_bar(bar, split.gate)
        axis.axvline(0.5, color=COLOURS["muted"], linewidth=0.9, linestyle=(0, (4, 3)))
        axis.axhline(0, color=COLOURS["grid"], linewidth=1, zorder=0)
        for key, (colour, marker, _) in PARTS.items():
            size = 10 if key == "whole" else 8
            axis.plot(
                getattr(split, key),
                0,
                marker,
                color=COLOURS[colour],
                markersize=size,
                clip_on=False,
                zorder=3,
                alpha=0.9,
            )
        # names stand beside each other above the axis, whatever lies on one another
        shown = sorted(PARTS, key=lambda key: getattr(split, key))
        for place, key in zip(_apart([getattr(split, key) for key in shown], 0.2), shown, strict=True):
            colour, _, title = PARTS[key]
            axis.annotate(
                f"{title} {100 * getattr(split, key):.0f} %",
                (getattr(split, key), 0.1),
                xytext=(place, 0.75),
                ha="center",
                va="bottom",
                fontsize=8.5,
                color=COLOURS[colour],
                arrowprops={"arrowstyle": "-", "color": COLOURS["muted"], "linewidth": 0.6},
            )
        axis.set(xlim=(0, 1), ylim=(-0.5, 1.7), xlabel=f"probability of {plain_text(positive)}")
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
    said = ", ".join(f"{title} {100 * getattr(split, key):.0f} %" for key, (_, _, title) in PARTS.items())
    weight = f"The gate gives the expert on images {100 * split.gate:.0f} % of the weight."
    return inline_svg(figure, name, f"Probability of {plain_text(positive)}: {said}. {weight}")


def _gate_bar(axes: Axes, gate: float) -> None:
    for left, width, key in ((0.0, gate, "image"), (gate, 1 - gate, "attributes")):
        colour = COLOURS[PARTS[key][0]]
        axes.add_patch(Rectangle((left, 0), width, 1, facecolor=colour, edgecolor="none", alpha=0.85))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    shares = f"images {100 * gate:.0f} %, attributes {100 * (1 - gate):.0f} %"
    axes.set_title(f"whom the gate believed: {shares}", loc="left", fontsize=9)
    axes.set_axis_off()


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Move ascending places in [0, 1] apart, as little as may be, so that neighbours are ``least`` apart."""
    lefts = np.arange(len(places)) * least
    # isotonic: each is at least the one before it plus the distance
    moved = np.maximum.accumulate(np.asarray(places) - lefts) + lefts
    beyond = np.minimum(1 - least / 2 - (lefts[-1] - lefts), moved)
    return np.maximum(beyond, least / 2 + lefts).tolist()


def expert_scatter_figure(splits: Sequence[ExpertSplit], classes: Sequence[str], positive: str, name: str) -> str:
    """Draw both experts' probabilities of all bags, and the gate of each class.

    Args:
        splits: of all bags.
        classes: true classes; bags of none of them are drawn as unknown.
        positive: the class whose probability is drawn.
        name: unique in the page.
    """
    groups = {label: [split for split in splits if split.label == label] for label in classes}
    groups["unknown"] = [split for split in splits if split.label not in classes]
    looks = dict(zip(groups, (("good", "o"), ("outlier", "^")), strict=False))
    ring = {"facecolors": "none", "edgecolors": COLOURS["ink"], "linewidths": 1.1, "clip_on": False}
    with style():
        figure = plain(9.2, 4.3)
        left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
        for label, members in groups.items():
            if not members:
                continue
            colour, marker = looks.get(label, ("muted", "X"))
            x, y, gate, whole = np.array([[s.image, s.attributes, s.gate, s.whole] for s in members]).T
            text = f"{plain_text(label)} (n = {len(members)})"
            options = {"color": COLOURS[colour], "marker": marker, "s": 38, "alpha": 0.8, "linewidths": 1.2}
            left.scatter(x, y, label=text, clip_on=False, **options)
            right.scatter(gate, whole, clip_on=False, **options)
            if label in classes:
                wrong = (whole > 0.5) != (label == positive)
                left.scatter(x[wrong], y[wrong], s=130, **ring)
                right.scatter(gate[wrong], whole[wrong], s=130, **ring)
        left.scatter([], [], s=90, label="both together wrong", **ring)
        left.plot([0, 1], [0, 1], color=COLOURS["grid"], linewidth=0.9, zorder=0)
        for axes in (left, right):
            axes.axhline(0.5, color=COLOURS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
            axes.set(xlim=(0, 1), ylim=(0, 1))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(PercentFormatter(1.0))
        left.axvline(0.5, color=COLOURS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        of = f"probability of {plain_text(positive)}"
        left.set(xlabel=f"{of} by images", ylabel=f"{of} by attributes", title="what each expert says")
        right.set(xlabel="weight of the expert on images", ylabel=f"{of} by both", title="whom the gate believed")
        figure.legend(loc="outside lower center", ncols=4, fontsize=8.5)
    apart = sum((s.image > 0.5) != (s.attributes > 0.5) for s in splits)
    return inline_svg(figure, name, f"Both experts' probabilities of {len(splits)} bags; they disagree on {apart}.")
