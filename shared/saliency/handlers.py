"""Explained validation samples in TensorBoard while a network trains."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.handlers import TensorBoardHandler
from numpy.typing import NDArray
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from shared.saliency.base import Attribution, evaluation_mode
from shared.saliency.colours import blend, grey_levels

__all__ = ["SaliencyTensorBoardHandler", "preserved_random_state", "saliency_grid"]

PANEL_INCHES = 1.9
CAPTION_INCHES = 0.45
DPI = 100
#: letters of a caption that fit over a panel
CAPTION_WIDTH = 32


class SaliencyTensorBoardHandler(TensorBoardHandler):
    """Write a picture of a few fixed samples and their attribution maps at chosen epochs.

    Images stand in the upper row, overlays below, each with limits of its own that are symmetric about 0 (red speaks
    for the explained class, blue against it). Training is the same with and without this handler: the mode of every
    module and the state of all global random generators are given back as they were found.

    Attach it to the trainer, or to the validator with ``global_epoch_transform``; on one process only.

    Args:
        method: attribution method on the network in training.
        dataset: data set of dictionaries with an image ``(C, H, W)``, deterministic; channels are averaged for display
            and maps summed over them.
        indices: which of its samples are shown.
        classes: class names, for the captions.
        summary_writer: TensorBoard writer; by default one that writes to ``log_dir`` and is closed by :meth:`close`.
        log_dir: folder of the default writer.
        interval: number of epochs from one picture to the next; the first is written at that epoch.
        target: class index that is explained, of all samples or of each; by default the predicted class of each.
        tag: name of the picture in TensorBoard.
        image_key: key of the image.
        label_key: key of the class index, or of one 0 or 1 for each class where several may be true (NaN where it is
            not known); captions have no truth for samples without it.
        percentile: percentile of the magnitude at which the colours saturate.
        global_epoch_transform: returns the trainer's epoch; by default the epoch of the engine attached to.

    Raises:
        ValueError: if no sample is chosen, an index is not in the data set or the interval is not positive.
    """

    def __init__(
        self,
        method: Attribution,
        dataset: Sequence[Mapping[str, Any]],
        indices: Sequence[int],
        classes: Sequence[str],
        summary_writer: SummaryWriter | None = None,
        log_dir: str = "./runs",
        interval: int = 1,
        target: int | Sequence[int] | None = None,
        tag: str = "saliency",
        image_key: str = "image",
        label_key: str = "label",
        percentile: float = 99.0,
        global_epoch_transform: Callable[[], int] | None = None,
    ) -> None:
        if not indices or min(indices) < 0 or max(indices) >= len(dataset):
            raise ValueError(f"indices must name samples from 0 to {len(dataset) - 1}, found {list(indices)}")
        if interval < 1:
            raise ValueError(f"interval must be at least 1 epoch, found {interval}")
        if isinstance(target, Sequence) and len(target) != len(indices):
            raise ValueError(f"target must be one class for each of the {len(indices)} samples, found {len(target)}")
        super().__init__(summary_writer=summary_writer, log_dir=log_dir)
        self.method = method
        self.dataset = dataset
        self.indices = list(indices)
        self.classes = list(classes)
        self.interval = interval
        self.target = target
        self.tag = tag
        self.image_key = image_key
        self.label_key = label_key
        self.percentile = percentile
        self.global_epoch_transform = global_epoch_transform
        self._samples: tuple[torch.Tensor, list[str | None]] | None = None

    def attach(self, engine: Engine) -> None:
        """Register on the end of the engine's epochs, once.

        Args:
            engine: trainer or validator.
        """
        if not engine.has_event_handler(self, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the picture if the epoch is due.

        Args:
            engine: trainer or validator.
        """
        epoch = engine.state.epoch if self.global_epoch_transform is None else self.global_epoch_transform()
        if epoch % self.interval:
            return
        network = self.method.network
        with preserved_random_state(network), evaluation_mode(network):
            images, truths = self._load_samples()
            images = images.to(next(network.parameters()).device)
            with torch.no_grad():
                explained = network(images).argmax(dim=1)
            if self.target is not None:
                explained[:] = torch.as_tensor(self.target)
            maps = self.method.attribute(images, explained)
        captions = [
            f"explained: {self.classes[shown]}"
            + ("" if truth is None else "\n" + textwrap.fill(f"truth: {truth}", CAPTION_WIDTH))
            for shown, truth in zip(explained.tolist(), truths, strict=True)
        ]
        picture = saliency_grid(
            images.mean(dim=1).cpu().numpy(), maps.sum(dim=1).cpu().numpy(), captions, self.percentile
        )
        self._writer.add_image(self.tag, picture, global_step=epoch, dataformats="HWC")
        self._writer.flush()

    def _load_samples(self) -> tuple[torch.Tensor, list[str | None]]:
        """Return images ``(B, C, H, W)`` and what is true of them in words, read from the data set once."""
        if self._samples is None:
            samples = [self.dataset[index] for index in self.indices]
            images = torch.stack([torch.as_tensor(sample[self.image_key]).float() for sample in samples])
            truths = [
                _truth(sample[self.label_key], self.classes) if self.label_key in sample else None for sample in samples
            ]
            self._samples = images.as_subclass(torch.Tensor), truths
        return self._samples


def _truth(label: Any, classes: Sequence[str]) -> str:
    """Name the true class, or all that are true."""
    values = np.asarray(label)
    if values.ndim == 0:
        return classes[int(values)]
    return ", ".join(name for name, value in zip(classes, values, strict=True) if value == 1) or "none of them"


def saliency_grid(
    images: NDArray[np.floating], maps: NDArray[np.floating], captions: Sequence[str], percentile: float = 99.0
) -> NDArray[np.uint8]:
    """Draw images in one row and their overlays below.

    Args:
        images: ``(B, H, W)``.
        maps: signed attributions ``(B, H, W)``.
        captions: one for each image, at most four lines.
        percentile: percentile of the magnitude at which the colours saturate.

    Returns:
        Red, green and blue ``(height, width, 3)``.
    """
    columns = len(images)
    size = columns * PANEL_INCHES, 2 * PANEL_INCHES + CAPTION_INCHES
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    panel = 1 / columns, PANEL_INCHES / size[1]
    for column, (image, attribution, caption) in enumerate(zip(images, maps, captions, strict=True)):
        grey = np.repeat(grey_levels(image)[..., None], 3, axis=2)
        for row, shown in enumerate((blend(image, attribution, percentile), grey)):
            box = (column * panel[0] + 0.02 / columns, row * panel[1], 0.96 / columns, panel[1] * 0.97)
            axes = figure.add_axes(box)
            axes.set_axis_off()
            axes.imshow(shown)
        place = ((column + 0.5) / columns, 2 * panel[1])
        figure.text(*place, caption, ha="center", va="bottom", fontsize=7.5, linespacing=1.0, parse_math=False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@contextmanager
def preserved_random_state(network: nn.Module) -> Iterator[None]:
    """Give back the state of Python's, NumPy's and torch's global random generators as it was on entry.

    Args:
        network: its CUDA devices are the ones whose generators are kept besides the CPU's.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - this is the generator to be kept
    devices = sorted({parameter.device.index for parameter in network.parameters() if parameter.is_cuda})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
