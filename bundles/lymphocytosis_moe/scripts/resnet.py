"""ResNet(K): a residual network of adjustable width that turns each lymphocyte image into an embedding."""

from __future__ import annotations

import math

import torch
from torch import nn

from shared.data.errors import DataError

__all__ = ["ResNetEncoder", "ResidualBlock"]

NORMALISATIONS = ("batch", "group")
GROUP_CHANNELS = 8
HALVINGS = 5  # conv1, max pooling, conv3, conv4, conv5


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut around them (He et al. 2016, figure 2).

    Each convolution is followed by a normalisation and a rectifier, the second rectifier behind the sum. Where the
    shape changes, the shortcut is a 1 × 1 convolution with normalisation (option B of He et al.), else the
    identity. Every rectifier is a module of its own, as guided backpropagation needs it.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 1, or 2 to halve the size.
        normalisation: see :class:`ResNetEncoder`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, normalisation: str = "batch") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = _normalisation(normalisation, out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = _normalisation(normalisation, out_channels)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                _normalisation(normalisation, out_channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(T, in_channels, h, w)`` to ``(T, out_channels, ⌈h / stride⌉, ⌈w / stride⌉)``."""
        z = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(z)) + self.shortcut(x))


class ResNetEncoder(nn.Module):
    """The feature extractor M of Sahasrabudhe et al. 2020 (table 1), of width K.

    ======= ================================================ ================ ================
    layer   operation                                        size, 224 input  size, 112 input
    ======= ================================================ ================ ================
    conv1   7 × 7 convolution, stride 2, K channels          112 × 112        56 × 56
    conv2   3 × 3 max pooling, stride 2; residual block, K   56 × 56          28 × 28
    conv3   residual block, 2K, stride 2                     28 × 28          14 × 14
    conv4   residual block, 4K, stride 2                     14 × 14          7 × 7
    conv5   residual block, 8K, stride 2                     7 × 7            4 × 4
    flatten                                                  7 · 7 · 8K       4 · 4 · 8K
    ======= ================================================ ================ ================

    The table does not say how conv2 halves the size: here it is the max pooling of the ResNet that the paper builds on
    (He et al. 2016), which costs next to nothing. The flattened size follows the image size, ⌈size / 32⌉² · 8K.

    Args:
        width: K, the channels of the first layers; the paper tries 8, 16, 32 and 64.
        image_size: height and width of the images in pixels.
        field_of_view: side in pixels of the central square of the images that is looked at; its size takes the place
            of the image size above. None looks at the whole image, as the paper does. An analyser centres its images
            on the lymphocyte, so that a smaller field leaves out its neighbours, and costs less.
        global_pooling: average over the positions instead of flattening; the embedding then has 8K elements whatever
            the image size.
        normalisation: ``batch``, as in the paper, or ``group`` (Wu and He 2018), in groups of 8 channels. Group
            normalisation treats every image by itself: in training as in evaluation, and whatever the chunks, the
            embedding of an image is the same.

    Attributes:
        embedding_size: number of elements E of an embedding.

    Raises:
        ValueError: if ``width`` or ``image_size`` is not positive.
        DataError: if the normalisation is another, or the field of view is not within the image.
    """

    def __init__(
        self,
        width: int = 32,
        image_size: int = 224,
        global_pooling: bool = False,
        normalisation: str = "batch",
        field_of_view: int | None = None,
    ) -> None:
        super().__init__()
        if width < 1 or image_size < 1:
            raise ValueError(f"width and image_size must be positive, found {width} and {image_size}")
        if normalisation not in NORMALISATIONS:
            raise DataError(f"normalisation is {normalisation!r}, expected one of {', '.join(NORMALISATIONS)}")
        field = image_size if field_of_view is None else field_of_view
        if not 1 <= field <= image_size:
            raise DataError(
                f"field_of_view is {field} pixels, expected at least 1 and at most image_size, {image_size}"
            )
        self.width = width
        self.image_size = image_size
        self.field_of_view = field
        self.global_pooling = global_pooling
        positions = 1 if global_pooling else math.ceil(field / 2**HALVINGS) ** 2
        self.embedding_size = positions * 8 * width
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False),
            _normalisation(normalisation, width),
            nn.ReLU(),
        )
        self.conv2 = nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1), ResidualBlock(width, width, 1, normalisation))
        self.conv3 = ResidualBlock(width, 2 * width, 2, normalisation)
        self.conv4 = ResidualBlock(2 * width, 4 * width, 2, normalisation)
        self.conv5 = ResidualBlock(4 * width, 8 * width, 2, normalisation)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the embeddings ``(T, E)`` of centred images ``(T, 3, image_size, image_size)``."""
        z = self.feature_maps(image)  # (T, 8K, h, w)
        if self.global_pooling:
            return z.mean((2, 3))
        return z.flatten(1)

    def feature_maps(self, image: torch.Tensor) -> torch.Tensor:
        """Return the maps of the last block, ``(T, 8K, ⌈F / 32⌉, ⌈F / 32⌉)`` for a field of view of F pixels."""
        edge = (self.image_size - self.field_of_view) // 2
        field = image[:, :, edge : edge + self.field_of_view, edge : edge + self.field_of_view]
        z = self.conv2(self.conv1(field))  # (T, K, F / 4, F / 4)
        return self.conv5(self.conv4(self.conv3(z)))


def _normalisation(name: str, channels: int) -> nn.Module:
    """Return the normalisation of a layer's output."""
    if name == "group":
        return nn.GroupNorm(channels // math.gcd(channels, GROUP_CHANNELS), channels)
    return nn.BatchNorm2d(channels)
