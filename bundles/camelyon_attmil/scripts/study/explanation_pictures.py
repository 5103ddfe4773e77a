"""The pictures of the study of explanations: methods side by side, and curves of dropped and added instances."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scripts.study.explanation_results import ExplanationResults
from shared.data.files import atomic_path
from shared.saliency.bags.quality.bag_quality import CONTROL
from shared.saliency.titles import method_title
from shared.study.table import Picture

__all__ = ["write_pictures"]

PANELS = {"aupc_drop": "AUPC drop (low is good)", "aopc_r": "AOPC-R", "instance_ndcg": "NDCG@n", "instance_ap": "AP"}
BLUE, ORANGE = "#0072b2", "#d55e00"
#: colour, style and word of the curves of a kind, told apart without colours, too
CURVES = {"drop": (BLUE, "-", "dropped"), "add": (ORANGE, "--", "added")}


def write_pictures(folder: Path, results: ExplanationResults) -> list[Picture]:
    """Draw what is there.

    Args:
        folder: to write to.
        results: of the study.
    """
    if not results.found:
        return []
    _methods(folder / "methods.png", results)
    _curves(folder / "curves.png", results)
    return [
        Picture(
            "methods.png",
            "Positive bags, one row for each set: mean over the training runs, bars of one standard deviation; the "
            "dashed line is what a random order gets.",
        ),
        Picture(
            "curves.png",
            "Positive bags, one row for each method: mean probability as instances are dropped (blue) and added "
            "(orange, dashed), the most relevant first; grey: in random order. A faithful method falls and rises "
            "sooner than grey.",
        ),
    ]


def _methods(path: Path, results: ExplanationResults) -> None:
    most = max(len(found.methods) for found in results.found.values())
    figure = _figure(13.0, len(results.found) * (0.24 * most + 1.0))
    axes = figure.subplots(len(results.found), len(PANELS), squeeze=False)
    for row, (name, found) in zip(axes, results.found.items(), strict=True):
        shown = [method for method in found.methods if method != CONTROL]
        for panel, (measure, title) in zip(row, PANELS.items(), strict=True):
            for place, method in enumerate(shown):
                estimate = found.estimate("positive", method, measure)
                if estimate is not None:
                    panel.errorbar(
                        estimate.value, place, xerr=estimate.repeat_sd or 0.0, fmt="o", color=BLUE, capsize=2
                    )
            control = found.estimate("positive", CONTROL, measure)
            if control is not None:
                panel.axvline(control.value, color=ORANGE, linestyle="--", linewidth=1)
            panel.set_title(title, fontsize=9)
            panel.set_yticks(range(len(shown)), [method_title(method) for method in shown], fontsize=8)
            panel.set_ylim(len(shown) - 0.5, -0.5)
            panel.grid(axis="x", alpha=0.3)
            if panel is not row[0]:
                panel.tick_params(labelleft=False)
        row[0].set_ylabel(results.workshop.settings.sets[name].title, fontsize=9)
    _save(figure, path)


def _curves(path: Path, results: ExplanationResults) -> None:
    """Draw each method in panels of its own: a dozen curves in one cannot be told apart."""
    known = dict.fromkeys(method for found in results.found.values() for method in found.methods)
    methods = [method for method in known if method != CONTROL]
    figure = _figure(1.6 + 2.5 * len(results.found), 1.0 + 1.15 * len(methods))
    axes = figure.subplots(len(methods), len(results.found), squeeze=False, sharex=True, sharey="col")
    share = np.linspace(0, 100, 101)
    for column, (name, found) in zip(axes.T, results.found.items(), strict=True):
        for panel, method in zip(column, methods, strict=True):
            panel.grid(alpha=0.3)
            panel.tick_params(labelsize=7)
            if method not in found.methods:
                panel.text(0.5, 0.5, "does not apply", ha="center", va="center", transform=panel.transAxes, fontsize=7)
                continue
            place, control = found.methods.index(method), found.methods.index(CONTROL)
            for kind, (colour, style, word) in CURVES.items():
                curves = found.curves[kind].mean(axis=0)  # (M, 101)
                panel.plot(share, curves[control], color="grey", linestyle=style, linewidth=1, label=f"{word}, random")
                panel.plot(share, curves[place], color=colour, linestyle=style, linewidth=1.8, label=word)
        column[0].set_title("\n".join(wrap(results.workshop.settings.sets[name].title, 24)), fontsize=9)
        column[-1].set_xlabel("share of the instances, %", fontsize=8)
    for row, method in zip(axes, methods, strict=True):
        title = "\n".join(wrap(method_title(method), 18))
        row[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
    handles = next(panel for panel in axes.flat if panel.lines).get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, fontsize=8)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
