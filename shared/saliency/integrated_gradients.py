"""Integrated gradients, and how far the numerical integral is from complete."""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import nn

from shared.saliency.base import Attribution, evaluation_mode
from shared.saliency.baseline import Baseline, baseline_images
from shared.saliency.targets import class_scores

__all__ = ["IntegratedGradients"]


class IntegratedGradients(Attribution):
    """Integrated gradients (Sundararajan et al. 2017, equation 1), by captum with Gauss–Legendre nodes.

    ``(x - x') * integral over a in [0, 1] of dS_c(x' + a (x - x'))/dx``, signed. The exact integral is complete: the
    map adds up to ``S_c(x) - S_c(x')``. What the quadrature misses is given by :meth:`completeness_gap`.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        baseline: the image x' of nothing: a grey value, ``"mean"`` or ``"minimum"`` of each image.
        steps: number of nodes of the quadrature.
        chunk_size: largest number of images on the path in memory at once.

    Raises:
        ValueError: if ``steps`` or ``chunk_size`` is below 1.
    """

    def __init__(self, network: nn.Module, baseline: Baseline = 0.0, steps: int = 50, chunk_size: int = 64) -> None:
        super().__init__(network)
        if steps < 1 or chunk_size < 1:
            raise ValueError(f"steps and chunk_size must be at least 1, found {steps} and {chunk_size}")
        self.baseline = baseline
        self.steps = steps
        self.chunk_size = chunk_size

    def completeness_gap(
        self, inputs: torch.Tensor, maps: torch.Tensor, target: int | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return ``sum(map) - (S_c(x) - S_c(x'))`` for each image ``(B,)``, in units of the logit.

        Args:
            inputs: the images ``(B, C, H, W)`` that were explained.
            maps: what :meth:`attribute` returned for them, ``(B, C, H, W)``.
            target: the target that was explained.
        """
        images = inputs.as_subclass(torch.Tensor)
        with evaluation_mode(self.network):
            targets = self.targets(images, target)
            reached = class_scores(self.predict(images), targets)
            started = class_scores(self.predict(baseline_images(images, self.baseline)), targets)
        return maps.as_subclass(torch.Tensor).flatten(1).sum(dim=1) - (reached - started)

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        targets = self.targets(images, target)
        baselines = baseline_images(images, self.baseline)
        integrate = CaptumIntegratedGradients(self.network).attribute
        # captum cannot cut a batch that is larger than its internal batch size
        chunks = zip(
            images.split(self.chunk_size), baselines.split(self.chunk_size), targets.split(self.chunk_size), strict=True
        )
        return torch.cat(
            [
                integrate(
                    part,
                    baselines=start,
                    target=classes,
                    n_steps=self.steps,
                    method="gausslegendre",
                    internal_batch_size=self.chunk_size,
                )
                for part, start, classes in chunks
            ]
        )
