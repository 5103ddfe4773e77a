"""Calibration error as an Ignite metric, for MONAI's evaluators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from monai.utils import convert_to_tensor, evenly_divisible_all_gather

from shared.calibration.binning import Binning
from shared.calibration.calibration_error import Norm, classwise_calibration_error, top_label_calibration_error

__all__ = ["CalibrationErrorMetric"]

SCOPES = {"top_label": top_label_calibration_error, "classwise": classwise_calibration_error}


class CalibrationErrorMetric(Metric):
    """Calibration error over a whole data set.

    The error of a data set is not the mean of its batches' errors, so that the probabilities ``(N, K)`` and labels
    ``(N,)`` of an epoch are kept on the CPU, gathered from all processes, and handed to
    :mod:`shared.calibration.calibration_error`.

    Args:
        n_bins: number of bins.
        binning: ``"equal_width"`` or ``"equal_mass"``.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.
        scope: ``"top_label"`` or ``"classwise"``.
        output_transform: gives ``(probabilities, labels)`` from the engine's output: a batch ``(B, K)`` with labels
            ``(B,)`` or ``(B, 1)``, or, as from MONAI's ``from_engine(["pred", "label"])``, a list of B vectors ``(K,)``
            with a list of B labels. Probabilities, not logits: end the postprocessing in a softmax.

    Raises:
        ValueError: if the scope is unknown.

    Example:
        Among the ``additional_metrics`` of ``SupervisedEvaluator``::

            {"calibration_error": CalibrationErrorMetric(output_transform=from_engine(["pred", "label"]))}
    """

    def __init__(
        self,
        n_bins: int = 15,
        binning: Binning = "equal_width",
        norm: Norm = "l1",
        scope: Literal["top_label", "classwise"] = "top_label",
        output_transform: Callable[[Any], Any] = lambda output: output,
    ) -> None:
        if scope not in SCOPES:
            raise ValueError(f"scope must be one of {list(SCOPES)}, found {scope!r}")
        self.n_bins = n_bins
        self.binning: Binning = binning
        self.norm: Norm = norm
        self.scope = scope
        super().__init__(output_transform=output_transform, device="cpu")

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget what was collected."""
        self._probabilities: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []

    @reinit__is_reduced
    def update(self, output: Sequence[Any]) -> None:
        """Collect a batch.

        Args:
            output: probabilities and labels, as described for ``output_transform``.

        Raises:
            ValueError: if the shapes are not as described.
        """
        probabilities, labels = (_batch(part) for part in output)
        labels = labels.reshape(-1)
        if probabilities.ndim != 2 or len(labels) != len(probabilities):
            raise ValueError(
                f"expected probabilities (B, K) and B labels, found shape {tuple(probabilities.shape)} and "
                f"{len(labels)} labels"
            )
        self._probabilities.append(probabilities.to(torch.float64))
        self._labels.append(labels.to(torch.int64))

    def compute(self) -> float:
        """Return the calibration error of all batches of all processes.

        Raises:
            NotComputableError: if no batch was collected.
            ValueError: if the rows are no probabilities or a label is out of range.
        """
        if not self._probabilities:
            raise NotComputableError("CalibrationErrorMetric needs at least one batch before it can be computed")
        # the processes may have collected different numbers of samples
        probabilities = evenly_divisible_all_gather(torch.cat(self._probabilities))
        labels = evenly_divisible_all_gather(torch.cat(self._labels))
        return SCOPES[self.scope](
            probabilities.cpu().numpy(), labels.cpu().numpy(), n_bins=self.n_bins, binning=self.binning, norm=self.norm
        )


def _batch(part: Any) -> torch.Tensor:
    if isinstance(part, torch.Tensor):
        return convert_to_tensor(part.detach(), device="cpu", track_meta=False)
    return torch.stack([convert_to_tensor(item, device="cpu", track_meta=False).detach() for item in part])
