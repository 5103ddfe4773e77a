"""The pictures of the study of explanations: methods side by side, and curves of dropped and added instances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
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
            "Positive bags: mean probability as the share of instances that is dropped (left) or added (right) grows, "
            "the most relevant first.",
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
    figure = _figure(10.0, 3.2 * len(results.found))
    axes = figure.subplots(len(results.found), 2, squeeze=False, sharey="row")
    share = np.linspace(0, 100, 101)
    # a method has the same colour in every panel, whichever others a set lacks
    known = list(dict.fromkeys(method for found in results.found.values() for method in found.methods))
    for row, (name, found) in zip(axes, results.found.items(), strict=True):
        for panel, kind in zip(row, ("drop", "add"), strict=True):
            for place, method in enumerate(found.methods):
                control = method == CONTROL
                panel.plot(
                    share,
                    found.curves[kind][:, place].mean(axis=0),
                    color="black" if control else colormaps["tab20"](known.index(method)),
                    linestyle="--" if control else "-",
                    label=method_title(method),
                )
            panel.set_xlabel(f"instances {'dropped' if kind == 'drop' else 'added'}, %")
            panel.grid(alpha=0.3)
        row[0].set_ylabel("probability")
        row[0].set_title(results.workshop.settings.sets[name].title, fontsize=9, loc="left")
        row[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
