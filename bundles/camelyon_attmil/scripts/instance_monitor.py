"""In TensorBoard while a network trains: where on two validation slides it looks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.handlers import TensorBoardHandler
from numpy.typing import NDArray

from scripts.feature_bags import LoadFeatureBagd
from scripts.heat_map import TileGrid
from scripts.networks import BagClassifier
from shared.mil.levels import InstanceLevel
from shared.mil.pooling.base import WeightedPooling
from shared.mil.pooling.mean import MeanPooling
from shared.saliency.base import evaluation_mode

__all__ = ["InstanceMonitor", "instance_picture"]

TAG = "instances"
PANEL_INCHES = 2.6
DPI = 100
WITHOUT_TISSUE = "lightsteelblue"


class InstanceMonitor(TensorBoardHandler):
    """Ignite handler that writes a picture of some slides of the validation section, tile by tile.

    Shown are the weights of the tiles (times their number, so that 1 is an even share), or, of a network that
    classifies each tile, their logits; beside them the share of each tile that is tumour, where that is known. A
    network that does neither has nothing to show. Of several processes only the first one writes.

    Args:
        network: the network that is trained, not wrapped.
        load: reads slides.
        records: of the slides, with ``label``; see :func:`shared.saliency.case_selection.watched_records`: explaining
            shows the same ones.
        classes: class names, for the captions.
        log_dir: TensorBoard's folder.
        interval: number of epochs from one picture to the next.
    """

    def __init__(
        self,
        network: BagClassifier,
        load: LoadFeatureBagd,
        records: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        log_dir: str | os.PathLike[str],
        interval: int = 10,
    ) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1, found {interval}")
        super().__init__(log_dir=str(log_dir))
        self.network, self.load, self.classes, self.interval = network, load, list(classes), interval
        self.records = list(records)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if idist.get_rank() == 0 and self.records and shown_values(self.network) is not None:
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self)
            engine.add_event_handler(Events.COMPLETED | Events.EXCEPTION_RAISED, self.finish)

    def finish(self, _: Engine, error: Exception | None = None) -> None:
        """Close the file."""
        self.close()
        if error is not None:
            raise error

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Write the picture of an epoch."""
        rows = []
        for record in self.records:
            bag = self.load.read(record)
            device = next(self.network.parameters()).device
            features = torch.from_numpy(bag.features.astype(np.float32)).to(device)
            with evaluation_mode(self.network):
                logit = float(self.network(features, torch.tensor([len(features)], device=device)))
                values = tile_values(self.network, features).cpu().numpy()
            side = bag.attributes.level0_tile_size or _spacing(bag.coords)
            grid = TileGrid(bag.coords, side, bag.attributes.slide_size)
            maps = [grid.heat_map(values).values]
            if bag.tile_label is not None and np.isfinite(bag.tile_label).all():
                maps.append(grid.heat_map(bag.tile_label).values)
            caption = f"{record['id']}: {self.classes[record['label']]}, p = {1 / (1 + np.exp(-logit)):.2f}"
            rows.append((caption, maps))
        name = shown_values(self.network) or ""
        self._writer.add_image(TAG, instance_picture(rows, name), engine.state.epoch, dataformats="HWC")


def shown_values(network: BagClassifier) -> str | None:
    """Return what a network tells of single instances, in words; None if nothing."""
    if isinstance(network.level, InstanceLevel):
        return "logit of the tile"
    weighted = isinstance(network.level.pooling, WeightedPooling) and not isinstance(network.level.pooling, MeanPooling)
    return "weight times number of tiles" if weighted else None


def tile_values(network: BagClassifier, features: torch.Tensor) -> torch.Tensor:
    """Return what :func:`shown_values` names of the tiles of one slide, ``(N,)``, from features ``(N, E)``."""
    lengths = torch.tensor([len(features)], device=features.device)
    if isinstance(network.level, InstanceLevel):
        return network.instance_logits(features, lengths)[:, 0]
    return network.instance_weights(features, lengths) * len(features)


def instance_picture(rows: Sequence[tuple[str, Sequence[NDArray[np.float64]]]], name: str) -> NDArray[np.uint8]:
    """Draw maps of slides, one slide in a row, and return the picture ``(H, W, 3)``.

    Args:
        rows: caption, and the map of the values and perhaps that of the truth, ``(R, C)`` with NaN where no tile is.
        name: what the values are.
    """
    columns = max(len(maps) for _, maps in rows)
    figure = Figure(figsize=(columns * PANEL_INCHES * 1.3, len(rows) * PANEL_INCHES), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for (caption, maps), line in zip(rows, axes, strict=True):
        for place, axis in enumerate(line):
            axis.set_axis_off()
            if place >= len(maps):
                continue
            truth = place == 1
            colours = colormaps["Greys" if truth else "magma"].with_extremes(bad=WITHOUT_TISSUE)
            limits = (0, 1) if truth else (None, None)
            shown = axis.imshow(maps[place], cmap=colours, vmin=limits[0], vmax=limits[1])
            axis.set_title("share of tumour" if truth else caption, fontsize=7)
            figure.colorbar(shown, ax=axis).ax.tick_params(labelsize=6)
        line[0].text(0, -0.03, name, fontsize=6, transform=line[0].transAxes, va="top")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _spacing(coords: NDArray[np.int64]) -> float:
    """Return the least distance of two columns of tiles, where the file does not say how large they are."""
    steps = np.diff(np.unique(coords[:, 0]))
    return float(steps.min()) if steps.size else 1.0
