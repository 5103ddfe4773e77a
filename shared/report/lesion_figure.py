"""The probability of each case with lesions over the size of its largest one, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = ["LesionPoint", "lesion_figure"]

#: greatest extents that part the kinds of metastases (TNM), mm
BORDERS_MM = (0.2, 2.0)
KINDS = ("isolated cells", "micrometastasis", "macrometastasis")


@dataclass(frozen=True)
class LesionPoint:
    """Greatest extent of the largest lesion in mm, calibrated probability, whether it was found, and accepted."""

    largest_mm: float
    probability: float
    found: bool
    accepted: bool


def lesion_figure(points: Sequence[LesionPoint], positive: str, threshold: float | None, name: str) -> str:
    """Draw cases by size and probability.

    Args:
        points: at least one.
        positive: the class to be found.
        threshold: that of the wanted sensitivity, if there is one.
        name: unique in the page.
    """
    groups = {
        "found": ([p for p in points if p.found], "o", "right"),
        "missed, left to a person": ([p for p in points if not p.found and not p.accepted], "s", "good"),
        "missed, seen by nobody": ([p for p in points if not p.found and p.accepted], "X", "wrong"),
    }
    sizes = [point.largest_mm for point in points]
    low, high = min(0.08, min(sizes) / 1.4), max(5.0, max(sizes) * 1.4)
    with style():
        figure = plain(6.4, 4.2)
        axes = figure.add_subplot()
        axes.axhline(
            0.5,
            color=COLOURS["muted"],
            linewidth=1,
            linestyle="--",
            label=f"from here on called {plain_text(positive)}",
        )
        if threshold is not None:
            axes.axhline(
                threshold,
                color=COLOURS["good"],
                linewidth=1.2,
                linestyle="-.",
                label="from here on never accepted as other",
            )
        for title, (members, marker, colour) in groups.items():
            if members:
                axes.plot(
                    [p.largest_mm for p in members],
                    [p.probability for p in members],
                    marker,
                    color=COLOURS[colour],
                    markersize=7,
                    alpha=0.85,
                    clip_on=False,
                    label=title,
                )
        axes.set(xscale="log", xlim=(low, high), ylim=(0, 1))
        edges = (low, *BORDERS_MM, high)
        for border in BORDERS_MM:
            axes.axvline(border, color=COLOURS["muted"], linewidth=0.9)
        for kind, left, right in zip(KINDS, edges, edges[1:], strict=False):
            axes.text((left * right) ** 0.5, 1.02, kind, ha="center", va="bottom", fontsize=8.5, color=COLOURS["muted"])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="greatest extent of the largest lesion, mm", ylabel=f"probability of {plain_text(positive)}")
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    counts = ", ".join(f"{len(members)} {title}" for title, (members, _, _) in groups.items())
    return inline_svg(figure, name, f"Probability of {plain_text(positive)} over lesion size: {counts}.")
