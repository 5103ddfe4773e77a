"""The one way from a record to the network's input, for training and everything after it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray

from scripts.chest_image import read_chest_image
from scripts.findings import FINDINGS
from scripts.placement import Placement
from shared.data.arrays import read_image
from shared.data.errors import DataError

__all__ = ["ChestInput", "label_tensor", "network_input", "read_input", "window"]


class ChestInput(Transform):
    """Reads a radiograph, puts it into the network's square and its labels into a tensor.

    One deterministic transform and no chain, so that :class:`monai.data.CacheDataset` can keep its result: it looks for
    the first random transform in the outermost chain, and takes any chain within for one.

    Args:
        image_size: side S of the input, pixels.
        percentiles: grey values at these percentiles of an image become 0 and 1; what lies beyond is cut off. (0, 100)
            uses the whole range.
        mode: see :class:`scripts.placement.Placement`.
        keys: of the record that are kept, ``image`` among them.
    """

    def __init__(
        self, image_size: int, percentiles: Sequence[float], mode: str, keys: Sequence[str] = ("image", "label")
    ) -> None:
        low, high = percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must rise within 0 to 100, found {list(percentiles)}")
        Placement((1, 1), image_size, mode)  # refuses what cannot be
        self.image_size, self.percentiles, self.mode, self.keys = image_size, (low, high), mode, tuple(keys)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``image`` ``(1, S, S)`` in [0, 1], ``label`` ``(5,)`` with NaN where masked, ``truth`` ``(S, S)``."""
        if missing := [key for key in self.keys if key not in data]:
            raise DataError(f"record {data.get('id')!r} has no '{missing[0]}'; prepare the data anew")
        record = {key: data[key] for key in self.keys}
        record["image"], placement = read_input(data["image"], self.image_size, self.percentiles, self.mode)
        if "label" in record:
            record["label"] = label_tensor(data)
        if "truth" in record:
            record["truth"] = torch.from_numpy(placement.fit_mask(read_image(data["truth"])))
        return record


def network_input(
    image_size: int,
    percentiles: Sequence[float] = (0.5, 99.5),
    mode: str = "pad",
    keys: Sequence[str] = ("image", "label"),
) -> ChestInput:
    """Return the transform from a record to what the network and its evaluators need of it.

    Args:
        image_size: side of the network's input, pixels.
        percentiles: see :class:`ChestInput`.
        mode: ``pad`` or ``squash``, see :class:`scripts.placement.Placement`.
        keys: keys of the record that are kept, ``image`` among them.

    Returns:
        The transform. It raises :class:`DataError` for an image that cannot be used and a label that is none.
    """
    return ChestInput(image_size, percentiles, mode, keys)


def read_input(
    path: str | os.PathLike[str], image_size: int, percentiles: Sequence[float] = (0.5, 99.5), mode: str = "pad"
) -> tuple[torch.Tensor, Placement]:
    """Read a radiograph as the network sees it.

    Args:
        path: PNG, JPEG, TIFF or DICOM.
        image_size: side S of the input, pixels.
        percentiles: see :class:`ChestInput`.
        mode: see :class:`scripts.placement.Placement`.

    Returns:
        ``(1, S, S)`` in [0, 1], float32; and how the image lies in it.

    Raises:
        DataError: if the image cannot be used.
    """
    image = read_chest_image(path)
    placement = Placement((image.shape[0], image.shape[1]), image_size, mode)
    try:
        shown = window(placement.resize(image), percentiles)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return torch.from_numpy(np.ascontiguousarray(placement.pad(shown)))[None], placement


def window(image: NDArray[np.float32], percentiles: Sequence[float]) -> NDArray[np.float32]:
    """Return ``(image − p_low) / (p_high − p_low)``, cut to [0, 1].

    Args:
        image: ``(H, W)``.
        percentiles: low and high, percent.

    Raises:
        DataError: if the two percentiles are equal, since the image then shows nothing.
    """
    low, high = np.percentile(image, percentiles)
    if not high > low:
        raise DataError(
            f"grey values at the percentiles {percentiles[0]:g} and {percentiles[1]:g} are both {low:g}; expected "
            "contrast between them: take the image out, or widen the percentiles"
        )
    return np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)


def label_tensor(record: Mapping[str, Any]) -> torch.Tensor:
    """Return the labels of a record, ``(5,)`` float32, NaN where they are masked.

    Raises:
        DataError: if there are not five of 1, 0 and None.
    """
    label = record["label"]
    if not isinstance(label, list) or len(label) != len(FINDINGS) or any(value not in (0, 1, None) for value in label):
        raise DataError(
            f"record {record.get('id')!r} has label {label!r}, expected 1, 0 or null of each of {', '.join(FINDINGS)}; "
            "correct the datalist or prepare the data anew"
        )
    return torch.tensor([float("nan") if value is None else float(value) for value in label])
