"""The picture of the study of sparse evidence: how well each network finds metastases of each size."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scripts.study.bag_parts import phantom_slides
from scripts.study.phantom_slides import KINDS
from scripts.study.results import BagResults
from scripts.study.slide_table import TITLES, by_kind
from shared.data.files import atomic_path
from shared.study.table import Picture

__all__ = ["write_pictures"]

COLOURS = {"macro": "#0072b2", "micro": "#d55e00", "itc": "#009e73"}
OFFSET = 0.2


def write_pictures(folder: Path, results: BagResults) -> list[Picture]:
    """Draw the areas by the size of the metastases; nothing if no repeat is done as a whole.

    Args:
        folder: to write to.
        results: of the phantom slides.
    """
    if not results.found:
        return []
    settings = results.workshop.settings
    names = [model for model in settings.models if any(other == model for _, other in results.found)]
    figure = Figure(figsize=(7.5, 0.5 * len(names) + 1.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (condition, model), found in results.found.items():
        kinds = phantom_slides(settings, results.workshop.data, condition).kinds
        for place, kind in enumerate(KINDS):
            area = by_kind(found, kinds, kind, settings.resamples)
            height = names.index(model) + OFFSET * (place - 1)
            axes.plot([area.low, area.high], [height, height], color=COLOURS[kind])
            label = TITLES[kind] if model == names[0] else None
            axes.plot(area.value, height, "o", color=COLOURS[kind], markersize=5, label=label)
    axes.axvline(0.5, color="grey", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(names)), [settings.models[name]["title"] for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("ROC AUC against the normal slides")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    path = folder / "lesion_sizes.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return [Picture(path.name, "Area under the ROC curve on held-out phantom slides with its 95 % interval, by size.")]
