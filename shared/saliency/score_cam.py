"""Score-CAM."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from shared.saliency.baseline import Baseline, baseline_images
from shared.saliency.feature_maps import ClassActivationMap, upsample
from shared.saliency.targets import class_scores, resolve_target

__all__ = ["ScoreCAM", "unit_range"]


class ScoreCAM(ClassActivationMap):
    """Score-CAM (Wang et al. 2020, arXiv:1910.01279), not negative and without gradients.

    ``ReLU(sum_k w_k A_k)``, upsampled bilinearly. The weights come from the channel-wise increase of confidence
    ``C(A_k) = f_c(x * H_k) - f_c(x_b)``: the score of what the image shows through H_k, the k-th feature map upsampled
    and brought to [0, 1], above that of the baseline image x_b. A constant feature map shows nothing and gets weight 0.
    With a baseline other than 0, the hidden part shows the baseline: ``x * H_k + x_b * (1 - H_k)``.

    Two forms are in use. The paper's definition has ``w_k = C(A_k)``, which leaves an empty map where every masked
    image scores below the baseline; its algorithm passes the increases through a softmax over the channels, in which
    the baseline's score cancels. The defaults, logits and softmax, are also those of torch-cam.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        layer: name of the layer; None takes the last convolution with the rectifier that follows it.
        score: what f_c is, the softmax ``"probability"`` of the class or its ``"logit"``.
        normalise: pass the increases of an image through a softmax over its channels.
        baseline: the image x_b: a grey value, ``"mean"`` or ``"minimum"`` of each image.
        chunk_size: largest number of masked images in memory at once.

    Raises:
        ValueError: if there is no such layer, ``score`` is unknown or ``chunk_size`` is below 1.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str | None = None,
        score: Literal["probability", "logit"] = "logit",
        normalise: bool = True,
        baseline: Baseline = 0.0,
        chunk_size: int = 64,
    ) -> None:
        super().__init__(network, layer)
        if score not in ("probability", "logit"):
            raise ValueError(f"score must be 'probability' or 'logit', found {score!r}")
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, found {chunk_size}")
        self.score = score
        self.normalise = normalise
        self.baseline = baseline
        self.chunk_size = chunk_size

    def _coarse_maps(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        features, logits = self.features_and_logits(images)  # (B, F, h, w)
        targets = resolve_target(logits, target)
        baselines = baseline_images(images, self.baseline)
        channels = features.shape[1]
        scores = []
        for index in torch.arange(features.shape[0] * channels, device=images.device).split(self.chunk_size):
            image, channel = index // channels, index % channels
            masks = unit_range(upsample(features[image, channel][:, None], images.shape[2:]))  # (n, 1, H, W)
            masked = torch.lerp(baselines[image], images[image], masks)
            scores.append(self._score(masked, targets[image]))
        increase = torch.cat(scores).view(-1, channels) - self._score(baselines, targets)[:, None]  # (B, F)
        weights = self._weights(increase, constant=features.amax(dim=(2, 3)) == features.amin(dim=(2, 3)))
        return torch.einsum("bk,bkhw->bhw", weights, features).relu()

    def _score(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.predict(images)
        return class_scores(logits if self.score == "logit" else logits.softmax(dim=1), targets)

    def _weights(self, increase: torch.Tensor, constant: torch.Tensor) -> torch.Tensor:
        if not self.normalise:
            return increase.masked_fill(constant, 0)
        # an image with constant maps only would have an empty softmax
        return increase.masked_fill(constant, -torch.inf).softmax(dim=1).nan_to_num(nan=0.0)


def unit_range(maps: torch.Tensor) -> torch.Tensor:
    """Bring each map of ``(..., h, w)`` to [0, 1] by its minimum and maximum; a constant map becomes 0."""
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1)
