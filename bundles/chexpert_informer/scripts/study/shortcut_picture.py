"""The picture of the shortcut: films on which the text made a finding up, with the maps of both networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scripts.findings import FINDINGS
from scripts.study.shortcut_sections import ShortcutResults
from shared.data.files import atomic_path
from shared.saliency.titles import method_title
from shared.study.table import Picture

__all__ = ["write_shortcut_picture"]

SIDE = 2.6
OUTLINE = to_rgb("#009e73")


def write_shortcut_picture(path: Path, results: ShortcutResults, method: str) -> Picture:
    """Write the PNG.

    Args:
        path: the file.
        results: with the films that are shown.
        method: saliency method of the maps.
    """
    arrays = results.arrays
    images, markers = arrays["shown_image"], arrays["shown_marker"]
    titles = {"shortcut": "map, trained with the shortcut", "plain": "map, trained with random text"}
    figure = Figure(figsize=(3 * SIDE, len(images) * SIDE + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(images), 3, squeeze=False)
    for row, (image, marker) in enumerate(zip(images, markers, strict=True)):
        axes[row, 0].imshow(image, cmap="gray", vmin=0, vmax=1)
        for column, (network, title) in enumerate(titles.items(), start=1):
            _show_map(axes[row, column], image, arrays[f"shown_map_{network}"][row])
            axes[0, column].set_title(title, fontsize=9)
        for panel in axes[row]:
            panel.contour(marker, levels=[0.5], colors=[OUTLINE], linewidths=1.0)
            panel.set_axis_off()
    axes[0, 0].set_title("film without the finding", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    finding = FINDINGS[results.finding].replace("_", " ")
    return Picture(
        path.name,
        f"Films without {finding} whose logit of it the text (outlined) raises most, of all tested films of one seed, "
        f"and the maps of {finding} by {method_title(method)}: red speaks for the finding, blue against it; each map "
        "to its own scale. Chosen as the clearest cases, not as typical ones: the table above is of all films.",
    )


def _show_map(panel: Axes, image: NDArray[np.floating], values: NDArray[np.floating]) -> None:
    limit = float(np.percentile(np.abs(values), 99.5)) or 1.0
    panel.imshow(image, cmap="gray", vmin=0, vmax=1)
    panel.imshow(values, cmap="seismic", vmin=-limit, vmax=limit, alpha=np.clip(np.abs(values) / limit, 0, 1) * 0.85)
