"""What a training is watched by: loss and area under the ROC curve of each finding, over known labels only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import ignite.distributed as idist
import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from monai.utils import convert_to_tensor, evenly_divisible_all_gather
from sklearn.metrics import roc_auc_score

from scripts.findings import FINDINGS
from scripts.losses import MaskedBinaryCrossEntropy
from shared.data.errors import DataError

__all__ = ["EpochMetric", "finding_auc", "logits_and_labels", "mean_auc", "validation_metrics"]

logger = logging.getLogger(__name__)

Compute = Callable[[torch.Tensor, torch.Tensor], float]


def logits_and_labels(output: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels ``(B, K)`` of an engine's output."""
    return output["pred"], output["label"]


class EpochMetric(Metric):
    """A function of all logits and labels of an epoch, gathered from all processes.

    Neither the area under a ROC curve nor a mean over known labels is the mean of its batches' values.

    Args:
        compute: takes logits ``(N, K)`` in float32 and labels ``(N, K)``, NaN where unknown, on the CPU.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        super().__init__(output_transform=logits_and_labels, device="cpu")

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget what was collected."""
        self._parts: list[tuple[torch.Tensor, torch.Tensor]] = []

    @reinit__is_reduced
    def update(self, output: Sequence[torch.Tensor]) -> None:
        """Collect a batch of logits and labels, ``(B, K)`` each."""
        logits, labels = (
            convert_to_tensor(part.detach(), device="cpu", dtype=torch.float32, track_meta=False) for part in output
        )
        self._parts.append((logits, labels))

    def compute(self) -> float:
        """Return the function's value.

        Raises:
            NotComputableError: if no batch was collected.
        """
        if not self._parts:
            raise NotComputableError("no batch was collected; check the data loader")
        # the processes may have collected different numbers of samples
        logits, labels = (evenly_divisible_all_gather(torch.cat(part)) for part in zip(*self._parts, strict=True))
        return self._compute(logits, labels)


def finding_auc(logits: torch.Tensor, labels: torch.Tensor, index: int) -> float:
    """Return the area under the ROC curve of one finding, over its known labels; NaN without both classes.

    Args:
        logits: ``(N, K)``.
        labels: ``(N, K)``, NaN where unknown.
        index: of the finding.
    """
    label = labels[:, index]
    known = ~label.isnan()
    if label[known].unique().numel() < 2:
        return float("nan")
    return float(roc_auc_score(label[known].numpy(), logits[known, index].numpy()))


def mean_auc(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the mean of :func:`finding_auc` over the findings that have both classes; of others it is told once.

    Args:
        logits: ``(N, K)``.
        labels: ``(N, K)`` in the order of the bundle's findings, NaN where unknown.

    Raises:
        DataError: if none has.
    """
    areas = [finding_auc(logits, labels, index) for index in range(labels.shape[1])]
    defined = [area for area in areas if area == area]
    if not defined:
        raise DataError(
            f"none of the {len(areas)} findings is present in one and absent in another of the {len(labels)} labelled "
            "images, so that there is no ROC curve; prepare a larger section, or set selection_metric to val_loss"
        )
    if len(defined) < len(areas):
        undefined = tuple(name for name, area in zip(FINDINGS, areas, strict=False) if area != area)
        _tell_left_out(undefined, len(labels))
    return sum(defined) / len(defined)


@cache
def _tell_left_out(names: tuple[str, ...], images: int) -> None:
    """Warn, once and in the main process, of findings that the mean leaves out."""
    if idist.get_rank() == 0:
        logger.warning(
            "%s: present in all or in none of the %d labelled images; the mean AUC is that of the other findings",
            ", ".join(names),
            images,
        )


def validation_metrics(classes: Sequence[str]) -> dict[str, Metric]:
    """Return the metrics of a validation beside the key metric: ``val_loss`` and ``val_auc_<finding>``.

    Args:
        classes: names of the findings.
    """
    loss = MaskedBinaryCrossEntropy()

    def of_finding(index: int) -> Compute:
        return lambda logits, labels: finding_auc(logits, labels, index)

    metrics: dict[str, Metric] = {"val_loss": EpochMetric(lambda logits, labels: float(loss(logits, labels)))}
    return metrics | {f"val_auc_{name}": EpochMetric(of_finding(index)) for index, name in enumerate(classes)}
