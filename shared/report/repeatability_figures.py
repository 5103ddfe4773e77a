"""Figures of the repeatability: accuracy against the number of instances, and attention weights against bag size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import NullFormatter, PercentFormatter, ScalarFormatter

from shared.report.measures import Estimate
from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style
from shared.report.wording import measure_title

__all__ = ["instance_number_figure", "weight_skew_figure"]

LOOKS = (("right", "o", "-"), ("wrong", "s", "--"), ("good", "D", "-."), ("outlier", "^", ":"))


def instance_number_figure(
    curves: Mapping[str, Sequence[tuple[int, Mapping[str, Estimate]]]],
    measures: Sequence[str],
    instance: str,
    name: str,
) -> str:
    """Draw measures over the number of instances, with intervals.

    Args:
        curves: model to (number of instances, measures).
        measures: one panel each.
        instance: what an instance is called.
        name: unique in the page.
    """
    with style():
        figure = plain(4.6 * len(measures), 4.0)
        panels = figure.subplots(1, len(measures), squeeze=False)[0]
        for axes, measure in zip(panels, measures, strict=True):
            for (title, rows), (colour, marker, line) in zip(curves.items(), LOOKS, strict=False):
                known = [(number, row[measure]) for number, row in rows if row[measure].value is not None]
                x = [number for number, _ in known]
                y = [estimate.value for _, estimate in known]
                ends = np.array([e.interval or (e.value, e.value) for _, e in known], dtype=np.float64)
                if len(ends):
                    axes.fill_between(x, ends[:, 0], ends[:, 1], color=COLOURS[colour], alpha=0.14, linewidth=0)
                axes.plot(
                    x, y, marker=marker, linestyle=line, color=COLOURS[colour], markersize=5, label=plain_text(title)
                )
            axes.set(xscale="log", xlabel=f"{plain_text(instance)}s looked at", title=measure_title(measure))
            numbers = sorted({number for rows in curves.values() for number, _ in rows})
            axes.set_xticks(numbers, [str(number) for number in numbers])
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_minor_locator(axes.xaxis.get_major_locator())
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.grid(linewidth=0.6)
            axes.set_axisbelow(True)
        handles, titles = panels[0].get_legend_handles_labels()
        figure.legend(handles, titles, loc="outside lower center", ncols=4, fontsize=8.5)
    ends_of = [
        f"{title}: {rows[-1][1][measures[0]].value:.3f} with {rows[-1][0]}"
        for title, rows in curves.items()
        if rows and rows[-1][1][measures[0]].value is not None
    ]
    return inline_svg(
        figure, name, f"{measure_title(measures[0])} over the number of {instance}s. {'; '.join(ends_of)}."
    )


def weight_skew_figure(bags: Sequence[Mapping[str, Any]], words: Mapping[str, str], name: str) -> str:
    """Draw the effective number of instances of each bag over its size.

    Args:
        bags: with ``instances`` and ``effective_instances``.
        words: what a bag and an instance are called.
        name: unique in the page.
    """
    size = np.array([bag["instances"] for bag in bags], dtype=np.float64)
    effective = np.array([bag["effective_instances"] for bag in bags], dtype=np.float64)
    with style():
        figure = plain(4.6, 4.0)
        axes = figure.add_subplot()
        top = 1.05 * size.max()
        axes.plot([0, top], [0, top], color=COLOURS["muted"], linewidth=1, linestyle="--", label="equal weights")
        axes.plot(size, effective, "o", color=COLOURS["right"], markersize=6, alpha=0.8, label=words["bag"])
        axes.set(xlim=(0, top), ylim=(0, top))
        axes.set(
            xlabel=f"{words['instance']}s of the {words['bag']}", ylabel=f"effective number of {words['instance']}s"
        )
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    share = float(np.mean(effective / size))
    text = f"Effective number of {words['instance']}s over their number; on average {100 * share:.0f} % of it."
    return inline_svg(figure, name, text)
