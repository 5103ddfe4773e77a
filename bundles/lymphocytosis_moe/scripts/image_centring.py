"""Images as the encoder sees them: on the scale [0, 1], centred by the mean image of the training patients."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["CentredEncoder", "ImageCentring"]


class ImageCentring(nn.Module):
    """Subtract the per-pixel mean of the training images (Sahasrabudhe et al. 2020, section 2.5).

    The mean image is a buffer, so that a checkpoint says by itself how its images are to be centred.

    Args:
        image_size: height and width of the images in pixels.
    """

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.mean_image: torch.Tensor  # annotated here and not in the class, where TorchScript cannot resolve it
        self.register_buffer("mean_image", torch.zeros(3, image_size, image_size))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the centred images ``(T, 3, H, W)`` in single precision.

        Args:
            image: RGB images ``(T, 3, H, W)``, either integers in [0, 255] (``uint8``) or floats in [0, 1].

        Raises:
            ValueError: if the images are of another size than the mean image.
        """
        if image.dim() != 4 or image.shape[1:] != self.mean_image.shape:
            raise ValueError(
                f"expected images of shape (T, {self.mean_image.shape[0]}, {self.mean_image.shape[1]}, "
                f"{self.mean_image.shape[2]}), found {image.shape}; resize them or set image_size"
            )
        if image.dtype == torch.uint8:
            # in place on the new tensor: a bag of images is large, and integers carry no gradient
            return image.to(self.mean_image.dtype).div_(255).sub_(self.mean_image)
        return image - self.mean_image

    @torch.jit.unused
    def fit(self, mean_image: torch.Tensor) -> ImageCentring:
        """Take the mean image ``(3, H, W)`` of the training patients, on the scale [0, 1].

        Returns:
            The same module.

        Raises:
            ValueError: if it is of another size.
        """
        if mean_image.shape != self.mean_image.shape:
            raise ValueError(
                f"expected a mean image of shape {tuple(self.mean_image.shape)}, found {tuple(mean_image.shape)}"
            )
        self.mean_image.copy_(mean_image)
        return self


class CentredEncoder(nn.Module):
    """Centring and encoder in one, so that a bag of integers becomes floats a chunk at a time, and never as a whole.

    Args:
        image_size: height and width of the images in pixels.
        resnet: maps centred images ``(T, 3, H, W)`` to embeddings ``(T, E)``.
    """

    def __init__(self, image_size: int, resnet: nn.Module) -> None:
        super().__init__()
        self.centring = ImageCentring(image_size)
        self.resnet = resnet

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the embeddings ``(T, E)`` of images ``(T, 3, H, W)``, as :class:`ImageCentring` takes them."""
        return self.resnet(self.centring(image))
