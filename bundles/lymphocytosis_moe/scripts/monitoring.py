"""What TensorBoard shows of a training: the losses of mixture and experts, and whom the gate believes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.metrics import Loss, Metric
from torch import nn
from torch.nn import functional as F

from scripts.networks import TwoExperts

__all__ = ["decisions_and_labels", "logits_and_labels", "training_scalars", "validation_metrics"]

EXPERTS = ("image_expert", "attribute_expert")
Output = Mapping[str, Any]


def logits_and_labels(output: Output) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits ``(B,)`` and labels ``(B,)`` of an engine's output."""
    return output["pred"]["logits"][:, 0], output["label"]


def decisions_and_labels(output: Output) -> tuple[torch.Tensor, torch.Tensor]:
    """Return decisions at probability 0.5 ``(B,)`` and labels ``(B,)`` of an engine's output."""
    logits, labels = logits_and_labels(output)
    return (logits > 0).long(), labels


def training_scalars(output: Output) -> dict[str, float]:
    """Return an iteration's losses and mean gate by their names in TensorBoard.

    Args:
        output: of the trainer: ``loss``, ``label`` and the network's ``outputs`` under ``pred``.
    """
    scalars = {"train_loss": float(output["loss"].detach())}
    outputs = output["pred"]
    if "expert_logits" in outputs:
        for index, name in enumerate(EXPERTS):
            scalars[f"train_loss_{name}"] = float(_loss(outputs["expert_logits"][:, index].detach(), output["label"]))
        scalars["train_gate"] = float(outputs["gate"].detach().mean())
    return scalars


def validation_metrics(network: nn.Module) -> dict[str, Metric]:
    """Return the metrics of a validation beside the key metric.

    Args:
        network: the network that is trained.

    Returns:
        ``val_loss``, the negative log-likelihood of the network's logit; of a network with two experts also each
        expert's, and ``val_gate``, the mean weight of the expert on images.
    """
    metrics: dict[str, Metric] = {"val_loss": Loss(_loss, output_transform=logits_and_labels)}
    if isinstance(network, TwoExperts):
        for index, name in enumerate(EXPERTS):
            metrics[f"val_loss_{name}"] = Loss(_loss, output_transform=_expert(index))
        metrics["val_gate"] = Loss(lambda gate, _labels: gate.mean(), output_transform=_gate)
    return metrics


def _expert(index: int) -> Callable[[Output], tuple[torch.Tensor, torch.Tensor]]:
    return lambda output: (output["pred"]["expert_logits"][:, index], output["label"])


def _gate(output: Output) -> tuple[torch.Tensor, torch.Tensor]:
    return output["pred"]["gate"], output["label"]


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
