"""Monte Carlo dropout with fixed masks as a module that can be scripted, traced and exported."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from shared.calibration.dropout_head import Stage, split_head

__all__ = ["MonteCarloExport", "PredictionAndSamples"]


class MonteCarloExport(nn.Module):
    """A classifier together with the dropout masks that a bundle predicts with.

    ``z_s = W₂ (m₂ ⊙ relu(W₁ (m₁ ⊙ h)/(1 − p) + b₁))/(1 − p) + b₂`` with the masks m of
    :class:`~shared.calibration.monte_carlo_dropout.MonteCarloDropout` as buffers: the samples are those of the bundle,
    to rounding, whoever computes them. All samples of a batch are computed at once: memory grows with ``S · B · D`` for
    the widest layer D.

    Args:
        network: with ``features`` and ``head``; its weights are shared, and may be loaded later.
        masks: of each stage of the head, ``(S, D)``, true where a unit survives, or ``None`` without dropout.

    Raises:
        ValueError: if the head has no dropout.
    """

    def __init__(self, network: nn.Module, masks: Sequence[torch.Tensor | None]) -> None:
        super().__init__()
        before, stages = split_head(network.get_submodule("head"))  # type: ignore[arg-type]
        if not stages:
            raise ValueError("the head has no dropout with a rate above 0: there is nothing to sample")
        self.network = network
        self.features = network.get_submodule("features")
        self.before = nn.Sequential(*before)
        self.stages = nn.ModuleList(_MaskedStage(stage, mask) for stage, mask in zip(stages, masks, strict=True))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the network's logits ``(B, K)`` of images ``(B, C, H, W)``, without dropout."""
        return self.network(image)

    @torch.jit.export
    def logit_samples(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logit samples ``(B, S, K)`` of images ``(B, C, H, W)``."""
        x = self.before(self.features(image).flatten(1)).unsqueeze(0)  # (1, B, D)
        for stage in self.stages:
            x = stage(x)  # (S, B, D')
        return x.transpose(0, 1)


class _MaskedStage(nn.Module):
    """Rectifier (or none), masks (or none) and linear layer: ``(S or 1, B, D)`` to ``(S or 1, B, D')``."""

    def __init__(self, stage: Stage, mask: torch.Tensor | None) -> None:
        super().__init__()
        self.rectify = stage.rectify
        self.linear = stage.linear
        self.scale: torch.Tensor
        kept = torch.ones(1, 1, 1) if mask is None else (mask.float() / (1 - stage.rate)).unsqueeze(1)  # (S, 1, D)
        self.register_buffer("scale", kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.rectify:
            x = torch.relu(x)
        return self.linear(x * self.scale)


class PredictionAndSamples(nn.Module):
    """Logits without dropout ``(B, K)``, and samples with it ``(B, S, K)``, of the same images.

    Args:
        sampled: the network with its masks.
    """

    def __init__(self, sampled: MonteCarloExport) -> None:
        super().__init__()
        self.sampled = sampled

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both."""
        return self.sampled(image), self.sampled.logit_samples(image)
