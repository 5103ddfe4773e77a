"""Tiles of a slide, read by several processes, in batches, in order; a tile that cannot be read is told, not fatal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from scripts.slide import Slide, TileGeometry
from shared.data.errors import DataError

__all__ = ["TileBatch", "TileReader"]


@dataclass(frozen=True)
class TileBatch:
    """Successive tiles of a slide.

    Args:
        number: of the batch.
        images: of the readable tiles, ``(n, T, T, 3)`` uint8.
        readable: of all tiles of the batch, ``(b,)``.
        reasons: why each of the others is not, in their order.
        seconds: that a reader spent.
    """

    number: int
    images: torch.Tensor
    readable: NDArray[np.bool_]
    reasons: tuple[str, ...]
    seconds: float

    def pin_memory(self) -> TileBatch:
        """Return the batch with images in page-locked memory, from where a GPU copies them in the background."""
        return TileBatch(self.number, self.images.pin_memory(), self.readable, self.reasons, self.seconds)


class TileReader(Dataset[TileBatch]):
    """Reads the tiles of one slide.

    Each process opens the slide for itself. What is read ahead is bounded, and so is memory, whatever the slide's size.

    Args:
        path: the slide.
        coords: upper left corners of the tiles as x, y in pixels of level 0, ``(N, 2)``.
        geometry: of the tiles.
        mpp: µm per pixel of level 0, if given by hand.
        batch_size: tiles of a batch.
        readers: processes that read; 0 reads in this one.
        prefetch: batches that each process reads ahead.
        pin_memory: see :meth:`TileBatch.pin_memory`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        coords: NDArray[np.int64],
        geometry: TileGeometry,
        mpp: float | None = None,
        batch_size: int = 32,
        readers: int = 2,
        prefetch: int = 2,
        pin_memory: bool = False,
    ) -> None:
        self.path, self.coords, self.geometry, self.mpp = Path(path), coords, geometry, mpp
        self.batch_size, self.readers, self.prefetch, self.pin_memory = batch_size, readers, prefetch, pin_memory
        self._slide: Slide | None = None

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.coords) // self.batch_size)

    def __getitem__(self, number: int) -> TileBatch:
        """Read one batch."""
        start = time.perf_counter()
        if self._slide is None:
            self._slide = Slide(self.path, self.mpp)
        corners = self.coords[number * self.batch_size : (number + 1) * self.batch_size]
        size = self.geometry.tile_size
        images = np.empty((len(corners), size, size, 3), dtype=np.uint8)
        readable, reasons, number_read = np.zeros(len(corners), dtype=bool), [], 0
        for index, (x, y) in enumerate(corners.tolist()):
            try:
                images[number_read] = self._slide.read_tile(x, y, self.geometry)
            except DataError as error:
                reasons.append(str(error))
                continue
            readable[index] = True
            number_read += 1
        tensor = torch.from_numpy(images[:number_read])
        return TileBatch(number, tensor, readable, tuple(reasons), time.perf_counter() - start)

    def batches(self, first: int = 0) -> Iterator[TileBatch]:
        """Yield the batches from ``first`` on, in order."""
        numbers = range(first, len(self))
        if not numbers:
            return
        if self.readers == 0:
            yield from self._own_batches(numbers)
            return
        yield from DataLoader(
            self,
            batch_size=None,
            sampler=numbers,
            num_workers=min(self.readers, len(numbers)),
            prefetch_factor=self.prefetch,
            pin_memory=self.pin_memory,
        )

    def _own_batches(self, numbers: range) -> Iterator[TileBatch]:
        """Read in this process."""
        try:
            for number in numbers:
                batch = self[number]
                yield batch.pin_memory() if self.pin_memory else batch
        finally:
            if self._slide is not None:
                self._slide.close()
                self._slide = None
