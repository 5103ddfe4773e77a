"""What becomes of the probability when instances are dropped or added in the order of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style

__all__ = ["perturbation_figure"]

PANELS = {"drop": ("most relevant dropped first", "dropped"), "add": ("most relevant added first", "added")}
#: that lines are told apart by, also in grey: colours for all forms of colour vision, and dashes
LINES = [
    (COLOURS[colour], dashes)
    for dashes in ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
    for colour in ("right", "wrong", "good", "outlier")
]
CONTROL = (COLOURS["ink"], (0, (2, 1.5)))


def perturbation_figure(curves: Mapping[str, Mapping[str, Sequence[float]]], name: str) -> str:
    """Draw the mean perturbation curves of several methods, the random order in black.

    Args:
        curves: by title of the method, ``drop`` and ``add``, probabilities at shares of the instances from 0 to 1.
        name: unique in the page.
    """
    handles: list[Line2D] = []
    with style():
        figure = plain(7.6, 3.1)
        axes = figure.subplots(1, 2, sharey=True)
        for panel, (kind, (title, done)) in zip(axes, PANELS.items(), strict=True):
            for place, (method, kinds) in enumerate(curves.items()):
                colour, dashes = CONTROL if place == len(curves) - 1 else LINES[place % len(LINES)]
                points = kinds.get(kind, ())
                (line,) = panel.plot(
                    np.linspace(0, 1, len(points)), points, color=colour, linestyle=dashes, linewidth=1.6
                )
                if panel is axes[0]:
                    line.set_label(plain_text(method))
                    handles.append(line)
            panel.set_title(title, loc="left")
            panel.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=f"share of tiles {done}")
            panel.xaxis.set_major_formatter(PercentFormatter(1.0))
            panel.grid(linewidth=0.6)
        axes[0].set_ylabel("probability")
        figure.legend(handles=handles, loc="outside right upper", fontsize=8.5)
    methods = ", ".join(plain_text(method) for method in curves)
    return inline_svg(figure, name, f"Probability over the share of tiles dropped or added, by {methods}.")
