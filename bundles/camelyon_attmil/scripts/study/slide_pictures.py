"""The picture of the study of sparse evidence: how well each network finds metastases of each size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scripts.study.phantom_slides import KINDS
from scripts.study.results import BagResults
from scripts.study.slide_table import TITLES, by_kind, shown_kinds
from shared.data.files import atomic_path
from shared.study.table import Picture

__all__ = ["write_pictures"]

COLOURS = {"macro": "#0072b2", "micro": "#d55e00", "itc": "#009e73"}
MARKERS = {"macro": "o", "micro": "s", "itc": "^"}
OFFSET = 0.2


def write_pictures(folder: Path, slides: Sequence[BagResults]) -> list[Picture]:
    """Draw the areas by the size of the metastases, a panel for each set; nothing if no repeat is done as a whole.

    Args:
        folder: to write to.
        slides: of each set of phantom slides.
    """
    shown = [results for results in slides if results.found]
    if not shown:
        return []
    names = list(dict.fromkeys(model for results in shown for _, model in results.found))
    titles = {model: item["title"] for results in shown for model, item in results.workshop.settings.models.items()}
    figure = Figure(figsize=(4.6 * len(shown) + 3.0, 0.5 * len(names) + 1.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
    for axes, results in zip(panels, shown, strict=True):
        _panel(axes, results, names)
    panels[0].set_yticks(range(len(names)), [titles[name] for name in names])
    panels[0].invert_yaxis()
    legends = [dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True)) for axes in panels]
    handles = {label: handle for legend in legends for label, handle in legend.items()}
    panels[-1].legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    path = folder / "lesion_sizes.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return [Picture(path.name, "Area under the ROC curve on held-out phantom slides with its 95 % interval, by size.")]


def _panel(axes: Axes, results: BagResults, names: list[str]) -> None:
    """Draw one set; networks that it lacks stay empty."""
    settings, kinds = results.workshop.settings, shown_kinds(results)
    labelled: set[str] = set()
    for (_, model), found in results.found.items():
        for place, kind in enumerate(KINDS):
            if not (kinds == kind).any():
                continue
            area = by_kind(found, kinds, kind, settings.resamples)
            height = names.index(model) + OFFSET * (place - 1)
            axes.plot([area.low, area.high], [height, height], color=COLOURS[kind])
            label = None if kind in labelled else TITLES[kind]
            axes.plot(area.value, height, MARKERS[kind], color=COLOURS[kind], markersize=5, label=label)
            labelled.add(kind)
    axes.axvline(0.5, color="grey", linestyle=":", linewidth=1)
    axes.set_title(next(iter(settings.conditions.values()))["title"], fontsize=9)
    axes.set_xlabel("ROC AUC against the normal slides")
    axes.grid(axis="x", alpha=0.3)
