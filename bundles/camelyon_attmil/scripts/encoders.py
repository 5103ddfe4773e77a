"""The convolutional encoders of Ilse, Tomczak and Welling 2018 for bags of small images: digits, and cell nuclei."""

from __future__ import annotations

from torch import nn

__all__ = ["ColonEncoder", "MnistEncoder"]


class MnistEncoder(nn.Sequential):
    """Encodes digits ``(T, 1, 28, 28)`` into ``(T, 500)`` (LeNet-5 of LeCun et al. 1998 as Ilse et al. 2018, table 9).

    Convolution of 20 kernels of 5 × 5, pooling by 2; convolution of 50 of 5 × 5, pooling by 2; 500 units; each with a
    rectifier.

    Args:
        image_size: height and width of the images, pixels.
        channels: of the images.
    """

    def __init__(self, image_size: int = 28, channels: int = 1) -> None:
        side = _pooled(_pooled(image_size, 5), 5)
        super().__init__(
            nn.Conv2d(channels, 20, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(50 * side**2, 500),
            nn.ReLU(),
        )
        self.embedding_size = 500


class ColonEncoder(nn.Sequential):
    """Encodes nuclei ``(T, 3, 27, 27)`` into ``(T, 512)`` (Sirinukunwattana et al. 2016; Ilse et al. 2018, table 8).

    Convolution of 36 kernels of 4 × 4, pooling by 2; convolution of 48 of 3 × 3, pooling by 2; 512 units, dropout; 512
    units, dropout; each layer with a rectifier.

    Args:
        image_size: height and width of the images, pixels.
        channels: of the images.
        dropout: probability.
    """

    def __init__(self, image_size: int = 27, channels: int = 3, dropout: float = 0.5) -> None:
        side = _pooled(_pooled(image_size, 4), 3)
        super().__init__(
            nn.Conv2d(channels, 36, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(36, 48, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(48 * side**2, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.embedding_size = 512


def _pooled(size: int, kernel: int) -> int:
    """Return what a convolution without padding and pooling by 2 leave of a length.

    Raises:
        ValueError: if that is nothing.
    """
    left = (size - kernel + 1) // 2
    if left < 1:
        raise ValueError(f"images of this size are too small for the encoder: {size} pixels at a kernel of {kernel}")
    return left
