"""LeNet-5 and AlexNet for single-cell phase images, with dropout before the classifier's wide layers.

Both are written in two parts, ``features`` (no randomness) and ``head`` (dropout, linear and rectifier modules only),
so that Monte Carlo dropout can run ``features`` once and only ``head`` many times. All rectifiers are modules, which
guided backpropagation needs.
"""

from __future__ import annotations

import torch
from torch import nn

from scripts.shifted_max_pool import ShiftedMaxPool2d

__all__ = ["AlexNet", "LeNet5"]


class LeukocyteNetwork(nn.Module):
    """Common interface of the bundle's classifiers of background-subtracted phase images.

    Args:
        features: layers before the first dropout; maps ``(B, C, H, W)`` to ``(B, D, h, w)``.
        head: dropout, linear and rectifier modules; maps ``(B, D * h * w)`` to ``(B, K)``. The input of its last
            linear layer is the embedding.

    Raises:
        ValueError: if the head does not end in a linear layer.
    """

    def __init__(self, features: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        if not isinstance(head[-1], nn.Linear):
            raise ValueError(f"the head must end in nn.Linear, found {type(head[-1]).__name__}")
        self.features = features
        self.head = head

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, K)`` of images ``(B, C, 50, 50)``.

        They are background-subtracted phases as :func:`scripts.network_input.network_input` gives them: with the
        bundle's ``phase_range_rad`` of [0, 1] in radians, nothing cut off.
        """
        return self.head(self.features(image).flatten(1))

    @torch.jit.unused
    def embedding(self, image: torch.Tensor) -> torch.Tensor:
        """Return the input of the last linear layer, ``(B, E)``."""
        return self.head[:-1](self.features(image).flatten(1))


def _check_dropout(dropout: float) -> None:
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must be in [0, 1), found {dropout}")


class LeNet5(LeukocyteNetwork):
    """LeNet-5 (LeCun et al. 1998) with rectifiers and max pooling for 50 × 50 images.

    ======== ==================================== =================
    part     layer                                output
    ======== ==================================== =================
    features 5 × 5 convolution, 6, rectifier      6 × 46 × 46
    features 2 × 2 max pooling                    6 × 23 × 23
    features 5 × 5 convolution, 16, rectifier     16 × 19 × 19
    features 2 × 2 max pooling                    16 × 9 × 9
    head     linear, rectifier, dropout           120
    head     linear, rectifier, dropout           84
    head     linear                               ``num_classes``
    ======== ==================================== =================

    Args:
        num_classes: number of classes K.
        dropout: probability that a unit of a hidden linear layer is dropped, in [0, 1).
        in_channels: channels of the image.

    Raises:
        ValueError: if ``dropout`` is outside [0, 1).
    """

    def __init__(self, num_classes: int = 4, dropout: float = 0.5, in_channels: int = 1) -> None:
        _check_dropout(dropout)
        super().__init__(
            features=nn.Sequential(
                nn.Conv2d(in_channels, 6, kernel_size=5),
                nn.ReLU(),
                ShiftedMaxPool2d(2),
                nn.Conv2d(6, 16, kernel_size=5),
                nn.ReLU(),
                ShiftedMaxPool2d(2),
            ),
            head=nn.Sequential(
                nn.Linear(16 * 9 * 9, 120),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(120, 84),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(84, num_classes),
            ),
        )


class AlexNet(LeukocyteNetwork):
    """AlexNet (Krizhevsky et al. 2012), its first layer adapted to 50 × 50 images.

    The first convolution of the original (11 × 11, stride 4) leaves nothing to pool at 50 × 50; here it is 7 × 7 with
    stride 2. The remaining layers have the original's kernel sizes and the widths of its one-column form; dropout
    stands before the two 4096-wide layers, as in the original.

    ======== ========================================== =================
    part     layer                                      output
    ======== ========================================== =================
    features 7 × 7 convolution, stride 2, 64, rectifier 64 × 24 × 24
    features 3 × 3 max pooling, stride 2                64 × 11 × 11
    features 5 × 5 convolution, 192, rectifier          192 × 11 × 11
    features 3 × 3 max pooling, stride 2                192 × 5 × 5
    features 3 × 3 convolution, 384, rectifier          384 × 5 × 5
    features 3 × 3 convolution, 256, rectifier          256 × 5 × 5
    features 3 × 3 convolution, 256, rectifier          256 × 5 × 5
    features 3 × 3 max pooling, stride 2                256 × 2 × 2
    head     dropout, linear, rectifier                 4096
    head     dropout, linear, rectifier                 4096
    head     linear                                     ``num_classes``
    ======== ========================================== =================

    Args:
        num_classes: number of classes K.
        dropout: probability that an input of a 4096-wide layer is dropped, in [0, 1).
        in_channels: channels of the image.

    Raises:
        ValueError: if ``dropout`` is outside [0, 1).
    """

    def __init__(self, num_classes: int = 4, dropout: float = 0.5, in_channels: int = 1) -> None:
        _check_dropout(dropout)
        super().__init__(
            features=nn.Sequential(
                nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=2),
                nn.ReLU(),
                ShiftedMaxPool2d(3, stride=2),
                nn.Conv2d(64, 192, kernel_size=5, padding=2),
                nn.ReLU(),
                ShiftedMaxPool2d(3, stride=2),
                nn.Conv2d(192, 384, kernel_size=3, padding=1),
                nn.ReLU(),
                nn.Conv2d(384, 256, kernel_size=3, padding=1),
                nn.ReLU(),
                nn.Conv2d(256, 256, kernel_size=3, padding=1),
                nn.ReLU(),
                ShiftedMaxPool2d(3, stride=2),
            ),
            head=nn.Sequential(
                nn.Dropout(dropout),
                nn.Linear(256 * 2 * 2, 4096),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(4096, 4096),
                nn.ReLU(),
                nn.Linear(4096, num_classes),
            ),
        )
