"""Monte Carlo dropout that repeats only what differs between its samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from shared.calibration.dropout_head import draw_masks, gathered_samples, grouped_samples, split_head
from shared.calibration.feature_statistics import feature_statistics

__all__ = ["MonteCarloDropout", "MonteCarloOutput", "naive_logits"]

# Gathering the survivors' weights pays from so many images and so many weights in one layer on (see benchmark.py).
IMAGES_WORTH_GATHERING = 32
WEIGHTS_WORTH_GATHERING = 2**20


class MonteCarloOutput(NamedTuple):
    """What one pass through the features gives.

    Attributes:
        logits: Monte Carlo samples of the logits, ``(B, S, K)``.
        embedding: input of the last linear layer without dropout, ``(B, E)``.
        feature_statistics: moments of the feature maps, ``(B, F)``; see :mod:`shared.calibration.feature_statistics`.
    """

    logits: torch.Tensor
    embedding: torch.Tensor
    feature_statistics: torch.Tensor


class MonteCarloDropout:
    """Samples of a classifier's logits under dropout (Gal and Ghahramani 2016).

    The network must compute ``head(features(image).flatten(1))``. Sample s uses masks ``m`` with independent entries
    of probability ``1 − p`` before each linear layer that follows a dropout: ``z_s = W₂ (m₂ ⊙ relu(W₁ (m₁ ⊙ h)/(1 − p)
    + b₁))/(1 − p) + b₂``, where ``h`` is everything before the first dropout. The naive way runs the whole network S
    times. Here

    - ``h`` is computed once for each image;
    - all images share the masks of a sample, so that what is dropped need not be computed: the survivors form small
      dense products. For each image by itself the samples have exactly the distribution of the naive way.

    Sharing makes the result reproducible as well: the masks depend on seed, layer and sample only, so an image gets
    the same samples alone, in any batch and at any place in it (up to the rounding of sums). The price is that the
    Monte Carlo errors of different images are correlated: averaging a quantity over many images reduces its Monte
    Carlo error less than independent masks would. More samples reduce it as always.

    Nothing is kept between two calls but fixed masks, if given, so the network may be trained in between. Memory for
    activations does not grow with S; only the masks (1 byte per unit and sample) and the result do.

    A network without dropout has one deterministic sample: use ``samples=1``.

    Args:
        network: a network with ``features``, free of dropout, and ``head``, a sequence of dropout, linear and
            rectifier modules that ends in a linear layer. Hooks on the head's modules are not called.
        samples: number of samples S.
        seed: non-negative integer from which the masks are drawn.
        masks: fixed masks instead of drawn ones: for each linear layer from the first dropout on a boolean tensor
            ``(S, in_features)``, true where the unit survives, or ``None`` where no dropout precedes it.

    Raises:
        TypeError: if the network has no ``features`` and ``head``, or the head holds another kind of layer.
        ValueError: if ``features`` holds dropout, if no dropout has a rate above 0 although ``samples`` is above 1,
            if ``samples`` is below 1, or if ``masks`` do not fit.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> network = nn.Module()
        >>> network.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> network.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
        >>> MonteCarloDropout(network, samples=7).logits(torch.zeros(5, 1, 4, 4)).shape
        torch.Size([5, 7, 3])
    """

    def __init__(
        self,
        network: nn.Module,
        samples: int = 100,
        seed: int = 0,
        masks: Sequence[torch.Tensor | None] | None = None,
    ) -> None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1, found {samples}")
        _check_network(network)
        self.network = network
        self.samples = samples
        self.seed = seed
        self._fixed_masks = None if masks is None else list(masks)
        self.masks()

    @property
    def _features(self) -> nn.Sequential:
        return cast(nn.Sequential, self.network.features)

    @property
    def _head(self) -> nn.Sequential:
        return cast(nn.Sequential, self.network.head)

    def masks(self) -> list[torch.Tensor | None]:
        """Return the masks of each stage: ``(S, D)``, true where a unit survives, or ``None`` without dropout."""
        _, stages = split_head(self._head)
        if not stages and self.samples > 1:
            raise ValueError(
                f"the head has no dropout with a rate above 0, so all {self.samples} samples would be equal; "
                "use samples=1, or train the network with dropout"
            )
        if self._fixed_masks is None:
            return draw_masks(stages, self.samples, self.seed)
        expected = [(self.samples, stage.linear.in_features) if stage.rate > 0 else None for stage in stages]
        found = [None if mask is None else tuple(mask.shape) for mask in self._fixed_masks]
        if found != expected:
            raise ValueError(f"the masks have shapes {found}; the head needs {expected}")
        return self._fixed_masks

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return logit samples ``(B, S, K)`` of images ``(B, C, H, W)``."""
        with torch.no_grad(), _modes_restored(self.network):
            self.network.eval()
            return self._sample(self._features(images).flatten(1))

    def sample(self, images: torch.Tensor, drawn: torch.Tensor | None = None) -> MonteCarloOutput:
        """Return logit samples, embedding and feature statistics of images ``(B, C, H, W)``, from one features pass.

        Args:
            images: ``(B, C, H, W)``.
            drawn: whether logits are drawn for each image, ``(B,)``; those of the others are NaN. ``None`` if for all.

        Raises:
            TypeError: if ``features`` is not an ``nn.Sequential``.
        """
        with torch.no_grad(), _modes_restored(self.network):
            self.network.eval()
            maps, statistics = feature_statistics(self._features, images)
            hidden = maps.flatten(1)  # (B, D)
            embedding = self._head[:-1](hidden)  # (B, E)
            if drawn is None:
                return MonteCarloOutput(self._sample(hidden), embedding, statistics)
            chosen = drawn.to(hidden.device, torch.bool)
            sampled = self._sample(hidden[chosen])
            logits = sampled.new_full((len(hidden), *sampled.shape[1:]), torch.nan)  # (B, S, K)
            logits[chosen] = sampled
            return MonteCarloOutput(logits, embedding, statistics)

    def _sample(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logit samples ``(B, S, K)`` from the head's input ``(B, D)``; the network is in evaluation mode."""
        before, stages = split_head(self._head)
        for module in before:
            hidden = module(hidden)
        if not stages:
            return hidden.unsqueeze(1)
        masks = [None if mask is None else mask.to(hidden.device) for mask in self.masks()]
        last = stages[-1].linear
        out = last.weight.new_empty(len(hidden), self.samples, last.out_features)
        widest = max(stage.linear.weight.numel() for stage in stages)
        gather = len(hidden) >= IMAGES_WORTH_GATHERING and widest >= WEIGHTS_WORTH_GATHERING
        if gather and hidden.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                gathered_samples(stages, masks, hidden, out)
        elif len(hidden) > 0:
            grouped_samples(stages, masks, hidden, out)
        return out


def naive_logits(network: nn.Module, images: torch.Tensor, samples: int = 100) -> torch.Tensor:
    """Monte Carlo dropout as it is usually written: S passes through the whole network with its dropout switched on.

    Reference for tests and benchmark. Masks come from torch's global generator and differ between images.

    Args:
        network: any network with ``nn.Dropout`` modules.
        images: ``(B, C, H, W)``.
        samples: number of passes S.

    Returns:
        Logit samples ``(B, S, K)``.
    """
    with torch.no_grad(), _modes_restored(network):
        network.eval()
        for module in network.modules():
            if isinstance(module, _DropoutNd):
                module.train()
        return torch.stack([network(images) for _ in range(samples)], dim=1)


def _check_network(network: nn.Module) -> None:
    children = dict(network.named_children())
    for name in ("features", "head"):
        if name not in children:
            raise TypeError(
                f"{type(network).__name__} has no module `{name}`; Monte Carlo dropout needs a network that computes "
                "head(features(image).flatten(1)) (take `.module` of a network wrapped for several GPUs)"
            )
    for name, module in children["features"].named_modules():
        if isinstance(module, _DropoutNd) and module.p > 0:
            raise ValueError(
                f"features.{name} is dropout, but `features` is computed once for all samples: "
                "move it and what follows it into `head`"
            )


@contextmanager
def _modes_restored(network: nn.Module) -> Iterator[None]:
    """Give every module its own training or evaluation mode back."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
