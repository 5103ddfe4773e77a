"""An image network that turns tiles into features, and what identifies it: whose weights made a feature file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.data.errors import DataError

__all__ = ["TileEncoder", "encoder_name", "half_precision", "weights_sha256"]

#: tiles that a CPU encodes at once: what the layers hand on stays so small that the C library keeps its memory for the
#: next tiles, where that of a whole batch is asked of the system, and cleared, layer by layer
CPU_TILES = 8

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class TileEncoder:
    """Encodes tiles, in half precision on CUDA.

    Args:
        network: maps images ``(n, 3, T, T)`` to features ``(n, E)``, or to feature maps ``(n, E, h, w)``, which are
            averaged; or what builds it.
        name: by which feature files know the encoder; None derives it (:func:`encoder_name`).
        weights: a file of its state dict (``.pt`` of tensors); None keeps the weights that the network has.
        seed: of the random weights of a network that is built here.
        mean: of the colours that the network expects, red, green, blue, of a scale of 0 to 1.
        std: their standard deviations.
        device: where to compute; None takes the GPU of this process, if there is one.

    Raises:
        DataError: if the weights do not belong to the network.
    """

    def __init__(
        self,
        network: nn.Module | Callable[[], nn.Module],
        name: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        seed: int = 0,
        mean: Sequence[float] = _IMAGENET[0],
        std: Sequence[float] = _IMAGENET[1],
        device: str | torch.device | None = None,
    ) -> None:
        made_by = network
        if not isinstance(network, nn.Module):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = network()
        if weights is not None:
            _load(network, weights)
        self.device = torch.device(device or _own_device())
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.sha256 = weights_sha256(network)
        self.name = name or encoder_name(made_by, self.sha256)
        self._mean = torch.tensor(mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self.device).view(1, 3, 1, 1)

    def to_device(self, images: torch.Tensor) -> torch.Tensor:
        """Return images ``(n, T, T, 3)`` uint8 on the device."""
        return images.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return features ``(n, E)``, float32, of images ``(n, T, T, 3)`` uint8 on the device."""
        at_once = CPU_TILES if self.device.type == "cpu" else max(len(images), 1)
        return torch.cat([self._encode(part) for part in images.split(at_once)])

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        # in place: a batch of tiles takes 24 MiB, and each further copy of it as much
        colours = images.permute(0, 3, 1, 2).float().div_(255).sub_(self._mean).div_(self._std)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            features = self.network(colours)
        if features.ndim == 4:
            features = features.mean(dim=(2, 3))
        if features.ndim != 2:
            raise DataError(
                f"encoder '{self.name}': gave a tensor of shape {tuple(features.shape)}, expected (n, E) or "
                "(n, E, h, w); take the layer that classifies off (for MONAI's ResNet feed_forward false)"
            )
        return features.float()

    def synchronise(self) -> None:
        """Wait until the device has done its work, so that its time can be told from others'."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def half_precision(features: torch.Tensor, name: str) -> NDArray[np.float16]:
    """Return features as float16.

    Raises:
        DataError: if one is not finite, or too large for half precision.
    """
    with np.errstate(over="ignore"):  # said below, in words
        half = features.cpu().numpy().astype(np.float16)
    if not np.isfinite(half).all():
        raise DataError(
            f"encoder '{name}': a feature is NaN or beyond ±65504, the range of half precision; add a normalisation "
            "after the last layer, or correct the weights"
        )
    return half


def encoder_name(network: nn.Module | Callable[[], nn.Module], sha256: str) -> str:
    """Return a name that follows from what an encoder is: what makes it, from which arguments, and its weights.

    Args:
        network: a module, of which the class is known; or what builds it, as a ``_target_`` with
            ``"_mode_": "callable"``, which comes with its arguments.
        sha256: of the weights.

    Example:
        >>> encoder_name(partial(nn.Conv2d, 3, 8, kernel_size=[2, 2]), "5cbac1f7cf61556b")
        'torch.nn.modules.conv.Conv2d(3, 8, kernel_size=[2, 2]), weights 5cbac1f7cf61'
    """
    made_by: Any = type(network) if isinstance(network, nn.Module) else network
    arguments = ""
    if isinstance(made_by, partial):
        named = [f"{key}={_in_words(value)}" for key, value in made_by.keywords.items()]
        arguments = f"({', '.join([*map(_in_words, made_by.args), *named])})"
        made_by = made_by.func
    return f"{_in_words(made_by)}{arguments}, weights {sha256[:12]}"


def _in_words(value: Any) -> str:
    """Return a value as text that is the same in every process: not the place of an object in memory."""
    if isinstance(value, str | int | float | None):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_in_words(key)}: {_in_words(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_in_words, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def weights_sha256(network: nn.Module) -> str:
    """Return the SHA-256 of a network's parameters and buffers: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        array = value.detach().cpu().contiguous()
        digest.update(f"{name}{array.dtype}{tuple(array.shape)}".encode())
        digest.update(array.view(torch.uint8).numpy().tobytes() if array.ndim else str(array.item()).encode())
    return digest.hexdigest()


def _own_device() -> str:
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def _load(network: nn.Module, weights: str | os.PathLike[str]) -> None:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except FileNotFoundError as error:
        raise DataError(f"{weights}: no such file of weights; correct encoder#weights") from error
    except Exception as error:
        # what a file that is none of ours raises depends on what it is
        text = str(error).splitlines()
        raise DataError(
            f"{weights}: not the weights of {type(network).__name__} ({' '.join(text[:3])[:300]}); expected its state "
            "dict, saved by torch.save"
        ) from error
