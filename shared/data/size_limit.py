"""Files of a few kilobytes that say they hold gigabytes: refused from their headers, before any is unpacked."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

from PIL import Image

__all__ = ["check_dataset", "check_inflated", "check_shape", "most_values"]

#: values of a measurement do not compress to less than this share of their size
LEAST_STORED = 1 / 4
CHUNK_BYTES = 1 << 20


def most_values() -> float:
    """Return how many values one image may have: as many as Pillow reads of a picture, twice ``MAX_IMAGE_PIXELS``."""
    return math.inf if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


def check_shape(shape: Sequence[int]) -> None:
    """Refuse an image by the shape that its header states.

    Raises:
        ValueError: if it has more values than :func:`most_values`.

    Example:
        >>> check_shape((50_000, 50_000))
        Traceback (most recent call last):
        ValueError: 50000 x 50000 values, expected at most 178956970 in all
    """
    if math.prod(shape) > (most := most_values()):
        raise ValueError(f"{' x '.join(map(str, shape))} values, expected at most {most} in all")


def check_dataset(dataset: Any) -> None:
    """Refuse an HDF5 data set of many values of which next to nothing is stored.

    A table may well have more values than an image. One that says it holds them and does not is filled up with zeros
    when it is read, or unpacks to them.

    Args:
        dataset: ``h5py.Dataset``.

    Raises:
        ValueError: if it has more values than :func:`most_values` and less than a quarter of their size is stored.
    """
    stored, size = int(dataset.id.get_storage_size()), dataset.size * dataset.dtype.itemsize
    if dataset.size > most_values() and stored < LEAST_STORED * size:
        raise ValueError(
            f"{' x '.join(map(str, dataset.shape))} values of {size} bytes, of which {stored} are stored; expected "
            f"{LEAST_STORED:.0%} of them at least"
        )


def check_inflated(stream: BinaryIO, most: float) -> None:
    """Refuse a deflated stream (RFC 1951) that inflates to more than so many bytes, without keeping any.

    Args:
        stream: at the begin of the deflated data.
        most: number of bytes.

    Raises:
        ValueError: if it does.
        zlib.error: if it is damaged.
    """
    inflate, length = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflate.eof and (data := inflate.unconsumed_tail or stream.read(CHUNK_BYTES)):
        length += len(inflate.decompress(data, CHUNK_BYTES))
        if length > most:
            raise ValueError(f"more than {most} bytes once it is inflated")
