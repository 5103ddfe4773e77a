"""Small recordings in the laboratory's layout, drawn as smooth discs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

Disc = tuple[float, float, float]  # row, column, radius in pixels


def draw_frame(
    discs: Sequence[Disc], seed: int = 0, shape: tuple[int, int] = (120, 160), noise: float = 0.03
) -> tuple[np.ndarray, np.ndarray]:
    """Discs of 2 rad over a tilted, noisy background, and their bit image (cell, and a nucleus inside)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    phase = np.random.default_rng(seed).normal(0, noise, shape) + 0.002 * columns - 0.001 * rows
    truth = np.zeros(shape, np.uint8)
    for row, column, radius in discs:
        distance = np.hypot(rows - row, columns - column)
        phase[distance <= radius] += 2.0
        truth[distance <= radius] |= 1
        truth[distance <= radius / 2] |= 2
    return phase.astype(np.float32), truth


@pytest.fixture
def write_recording() -> Callable[..., Path]:
    """Write a recording: one list of discs per frame; ``truth=True`` adds the bit images."""

    def write(path: Path, frames: Sequence[Sequence[Disc]], truth: bool = False, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as recording:
            for number, discs in enumerate(frames, start=1):
                image, bits = draw_frame(discs, seed=1000 * seed + number)
                recording[f"image/{number:05d}"] = image
                if truth:
                    recording[f"truth/{number:05d}"] = bits
        return path

    return write


def interference(phase: np.ndarray) -> np.ndarray:
    """Intensity of an object beam and a tilted reference beam: 1 + cos(k·x + φ)."""
    rows, columns = np.indices(phase.shape)
    return 1 + np.cos(2 * np.pi * (0.25 * rows + 0.2 * columns) - phase)


@pytest.fixture
def write_hologram() -> Callable[..., Path]:
    """Write a hologram of smooth cells (row, column, width in pixels) of one peak phase, and its background.

    Both have an aberration, which the background is there to take away.
    """
    pytest.importorskip("qpimage", reason="qpimage is optional")

    def write(path: Path, cells: Sequence[Disc], peak: float, shape: tuple[int, int] = (120, 160)) -> Path:
        rows, columns = np.indices(shape)
        aberration = 4 * np.sin(rows / 40) * (columns / shape[1]) ** 2
        phase = aberration.copy()
        for row, column, width in cells:
            phase += peak * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / width**2)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(zlib.crc32(f"{path.parent.name}/{path.name}".encode())).normal(
            0, 0.02, (2, *shape)
        )
        np.savez(path, data=interference(phase) + noise[0], bg_data=interference(aberration) + noise[1])
        return path

    return write
