"""What TensorBoard shows of a training: losses and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.metrics import Loss, Metric
from torch.nn import functional as F

__all__ = ["decisions_and_labels", "logits_and_labels", "training_scalars", "validation_metrics"]

Output = Mapping[str, Any]


def logits_and_labels(output: Output) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits ``(B,)`` and labels ``(B,)`` of an engine's output."""
    return output["pred"][:, 0], output["label"]


def decisions_and_labels(output: Output) -> tuple[torch.Tensor, torch.Tensor]:
    """Return decisions at probability 0.5 ``(B,)`` and labels ``(B,)`` of an engine's output."""
    logits, labels = logits_and_labels(output)
    return (logits > 0).long(), labels


def training_scalars(output: Output) -> dict[str, float]:
    """Return an iteration's loss by its name in TensorBoard."""
    return {"train_loss": float(output["loss"].detach())}


def validation_metrics() -> dict[str, Metric]:
    """Return the metrics of a validation beside the key metric: ``val_loss``, the negative log-likelihood in nats."""
    return {"val_loss": Loss(_loss, output_transform=logits_and_labels)}


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
