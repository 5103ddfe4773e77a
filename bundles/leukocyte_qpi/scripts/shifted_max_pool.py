"""Max pooling that does not keep where the largest values were when nobody is going to differentiate it."""

from __future__ import annotations

from itertools import product

import torch
from torch import nn
from torch.nn import functional

__all__ = ["ShiftedMaxPool2d"]


class ShiftedMaxPool2d(nn.MaxPool2d):
    """``nn.MaxPool2d`` of windows without padding, several times faster on a CPU where no gradient is asked for.

    ``max_pool2d`` keeps the place of each largest value for the backward pass, also where there is none, and looks
    at one pixel after another for it. Then the images shifted by each place of the window are compared as wholes:

    ``y[i, j] = max over a, b of x[s i + a, s j + b]``

    The values are the same to the last bit. It matters for methods that show the network thousands of perturbed images
    (LIME, Score-CAM): of a small network's time half was spent in max pooling.

    Args:
        kernel_size: side of the windows.
        stride: from one window to the next; the side of the windows if None.

    Example:
        >>> with torch.no_grad():
        ...     ShiftedMaxPool2d(2)(torch.arange(16.0).reshape(1, 1, 4, 4)).tolist()
        [[[[5.0, 7.0], [13.0, 15.0]]]]
    """

    kernel_size: int
    stride: int

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__(kernel_size, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the largest value of each window: ``(B, C, H, W)`` to ``(B, C, h, w)``."""
        if torch.jit.is_scripting():
            return functional.max_pool2d(images, self.kernel_size, self.stride)
        recorded = torch.is_grad_enabled() or torch.jit.is_tracing() or torch.compiler.is_compiling()
        if recorded or images.device.type != "cpu" or min(images.shape[-2:]) < self.kernel_size:
            return super().forward(images)
        return self._largest(images)

    @torch.jit.unused
    def _largest(self, images: torch.Tensor) -> torch.Tensor:
        rows, columns = ((side - self.kernel_size) // self.stride for side in images.shape[-2:])  # of the last window
        pooled: torch.Tensor | None = None
        for a, b in product(range(self.kernel_size), repeat=2):
            down, right = (slice(at, at + n * self.stride + 1, self.stride) for at, n in ((a, rows), (b, columns)))
            shifted = images[..., down, right]
            pooled = shifted.contiguous() if pooled is None else torch.maximum(pooled, shifted, out=pooled)
        assert pooled is not None  # a window has a pixel
        return pooled
