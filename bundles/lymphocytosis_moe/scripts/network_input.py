"""The one chain of transforms from a patient's record to the network's input, for training and everything after it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, SelectItemsd, Transform
from PIL import Image

from scripts.attributes import ATTRIBUTES
from shared.data.arrays import read_image
from shared.data.errors import DataError

__all__ = ["ReadPatient", "network_input", "read_bag"]


class ReadPatient(Transform):
    """Reads a patient's images and attributes.

    Images stay 8-bit integers, so that a data set fits into memory: the network scales and centres them.

    Args:
        image_size: height and width in pixels that images are resized to.
        read_images: whether the network looks at the images; otherwise empty ones of one pixel stand for them.
        threads: number of threads that decode images; ``None`` takes the number of processors.
    """

    def __init__(self, image_size: int, read_images: bool = True, threads: int | None = None) -> None:
        self.image_size = image_size
        self.read_images = read_images
        self.threads = threads

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record with ``image`` ``(N, 3, H, W)`` ``uint8`` in place of the paths, and ``attributes``."""
        paths = data["image"]
        if not paths:
            raise DataError(f"patient {data.get('id')!r} has no images; take the record out of the datalist")
        if self.read_images:
            images = read_bag(paths, self.image_size, self.threads)
        else:
            images = torch.zeros(len(paths), 3, 1, 1, dtype=torch.uint8)
        return {**data, "image": images, "attributes": _attributes(data)}


def network_input(
    image_size: int,
    keys: Sequence[str] = ("image", "attributes", "label"),
    read_images: bool = True,
    threads: int | None = None,
) -> Compose:
    """Return the transforms from a record to what the network and its evaluators need of it.

    Args:
        image_size: height and width in pixels that images are resized to.
        keys: keys that are kept, ``image`` among them.
        read_images: see :class:`ReadPatient`.
        threads: see :class:`ReadPatient`.

    Returns:
        Transform from a record, whose ``image`` is a list of N paths, to a dictionary with ``image`` ``(N, 3, H, W)``
        ``uint8`` and ``attributes`` ``(2,)``, age in years and lymphocyte count in 10⁹/L. It raises
        :class:`DataError` for an image that cannot be used, or an attribute that is missing or not finite.
    """
    return Compose([ReadPatient(image_size, read_images, threads), SelectItemsd(list(keys))])


def read_bag(paths: Sequence[str | os.PathLike[str]], image_size: int, threads: int | None = None) -> torch.Tensor:
    """Read a patient's images, each decoded once.

    Args:
        paths: files of 8-bit RGB images, square.
        image_size: height and width in pixels that they are resized to (bilinear, with antialiasing).
        threads: number of threads that decode; ``None`` takes the number of processors.

    Returns:
        ``(N, 3, image_size, image_size)``, ``uint8``.

    Raises:
        DataError: if a file cannot be read, is not 8-bit RGB or not square.
    """
    bag = np.empty((len(paths), image_size, image_size, 3), np.uint8)

    def read(index: int) -> None:
        image = read_image(paths[index])
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.shape[0] != image.shape[1]:
            shape = " x ".join(map(str, image.shape))
            raise DataError(
                f"{paths[index]}: is {shape} of type {image.dtype}, expected a square RGB image of 8 bits; crop or "
                "convert it, or prepare the data anew, which leaves such images out"
            )
        if image.shape[0] != image_size:
            resized = Image.fromarray(image).resize((image_size, image_size), Image.Resampling.BILINEAR)
            image = np.asarray(resized)
        bag[index] = image

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(read, range(len(paths))):
            pass
    return torch.from_numpy(bag).permute(0, 3, 1, 2).contiguous()


def _attributes(record: Mapping[str, Any]) -> torch.Tensor:
    values: list[float] = []
    for name in ATTRIBUTES:
        value: Any = record.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
        if not number or value < 0 or (name == "lymphocyte_count" and value == 0):
            raise DataError(
                f"patient {record.get('id')!r}: {name} is {value!r}, expected the age in years or the "
                "lymphocyte_count in 10⁹/L, above zero; complete the datalist or prepare the data anew"
            )
        values.append(value)
    return torch.tensor(values, dtype=torch.float32)
