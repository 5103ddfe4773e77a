"""DenseNet for chest X-rays: one grey channel in, one logit of each finding out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from monai.networks.nets import DenseNet
from torch import nn

__all__ = ["ChestNetwork"]


class ChestNetwork(nn.Module):
    """MONAI's DenseNet (Huang et al. 2017, arXiv:1608.06993) with a logit for each of K findings.

    The default is DenseNet121, the network of Shu et al. (INFORMER). It is written in two parts: ``features``, without
    randomness, up to the global mean, and ``head``, dropout and the linear layer. So Monte Carlo dropout computes
    ``features`` once for all its samples (:class:`shared.calibration.monte_carlo_dropout.MonteCarloDropout`), and
    weights that were trained without dropout keep the statistics of their batch normalisation. The keys of
    ``features`` in a state dict are MONAI's; see :mod:`scripts.pretrained` for those of others.

    Args:
        num_classes: number of findings K.
        in_channels: channels of the image.
        init_features: filters of the first convolution.
        growth_rate: feature maps that a dense layer adds.
        block_config: dense layers in each block.
        dropout_prob: probability that an input of the linear layer is dropped, in [0, 1); with 0, as in the paper,
            there is no Monte Carlo dropout.

    Raises:
        ValueError: if ``dropout_prob`` is outside [0, 1).

    Example:
        >>> network = ChestNetwork(5, init_features=8, growth_rate=4, block_config=(2, 2))
        >>> network(torch.zeros(3, 1, 64, 64)).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        num_classes: int = 5,
        in_channels: int = 1,
        init_features: int = 64,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        dropout_prob: float = 0.0,
    ) -> None:
        if not 0.0 <= dropout_prob < 1.0:
            raise ValueError(f"dropout_prob must be in [0, 1), found {dropout_prob}")
        super().__init__()
        densenet = DenseNet(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=num_classes,
            init_features=init_features,
            growth_rate=growth_rate,
            block_config=block_config,
        )
        self.features = nn.Sequential(
            OrderedDict(
                [
                    *densenet.features.named_children(),
                    ("relu5", densenet.class_layers.relu),
                    ("pool5", densenet.class_layers.pool),
                ]
            )
        )
        self.head = nn.Sequential(
            OrderedDict([("dropout", nn.Dropout(dropout_prob)), ("out", densenet.class_layers.out)])
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, K)`` of images ``(B, C, H, W)`` with grey values in [0, 1]."""
        return self.head(self.features(image).flatten(1))

    @torch.jit.unused
    def embedding(self, image: torch.Tensor) -> torch.Tensor:
        """Return the input of the linear layer, ``(B, E)``."""
        return self.features(image).flatten(1)
