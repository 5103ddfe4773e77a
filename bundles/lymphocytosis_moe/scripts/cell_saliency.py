"""A few explained cells in TensorBoard while a network trains."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine
from torch import nn

from scripts.experts import ImageClassifier
from scripts.networks import TwoExperts
from scripts.one_cell import OneCell
from shared.saliency.guided_backpropagation_x_input import GuidedBackpropagationXInput
from shared.saliency.handlers import SaliencyTensorBoardHandler

__all__ = ["CellSaliencyHandler", "CentredCells"]

TAG = "guided_backpropagation_x_input"


class CellSaliencyHandler:
    """Ignite handler that writes a picture of some validation cells and what in them the expert on images responds to.

    The maps are guided backpropagation times input (Sahasrabudhe et al. 2020, figure 5) of each cell by itself, see
    :class:`~scripts.one_cell.OneCell`. Of several processes only the first one writes. A network that does not look at
    cells has nothing to show, and the handler then does nothing.

    Args:
        network: the network that is trained, not wrapped.
        dataset: records of validation patients with ``image`` ``(N, 3, H, W)`` and ``label``, deterministic.
        indices: which of them are shown, see :func:`shared.saliency.case_selection.watched_cases`: explaining shows
            the same patients.
        classes: class names, for the captions.
        log_dir: TensorBoard's folder.
        interval: number of epochs from one picture to the next.
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: Sequence[Mapping[str, Any]],
        indices: Sequence[int],
        classes: Sequence[str],
        log_dir: str | os.PathLike[str],
        interval: int = 10,
    ) -> None:
        self.handler: SaliencyTensorBoardHandler | None = None
        if not isinstance(network, ImageClassifier | TwoExperts) or not indices:
            return
        one_cell = OneCell(network)
        shown = CentredCells(dataset, one_cell, indices)
        self.handler = SaliencyTensorBoardHandler(
            GuidedBackpropagationXInput(one_cell),
            shown,
            range(len(shown)),
            classes,
            log_dir=str(log_dir),
            interval=interval,
            tag=TAG,
        )

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if self.handler is not None and idist.get_rank() == 0:
            self.handler.attach(engine)


class CentredCells(Sequence[Mapping[str, Any]]):
    """The first cell of each of some patients, as the encoder sees it: that is what is explained.

    Args:
        dataset: records of patients with ``image`` ``(N, 3, H, W)`` and ``label``.
        one_cell: centres the images, with the mean image that it has when a cell is read.
        indices: of the patients in the data set.
    """

    def __init__(self, dataset: Sequence[Mapping[str, Any]], one_cell: OneCell, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.one_cell = one_cell
        self.indices = list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Mapping[str, Any]:  # type: ignore[override]
        """Return ``image`` ``(3, H, W)``, centred, and ``label`` of a cell."""
        patient = self.dataset[self.indices[index]]
        device = next(self.one_cell.parameters()).device
        cell = torch.as_tensor(patient["image"][:1]).to(device)
        return {"image": self.one_cell.centred(cell)[0].cpu(), "label": int(patient["label"])}
