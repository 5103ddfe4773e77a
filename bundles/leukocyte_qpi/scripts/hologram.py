"""Off-axis holograms in ``.npz`` files as frames of phase, retrieved with qpimage.

A file holds the hologram of one field of view, or several of one, and that of the empty field: its background.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from scripts.frames import Frame, FrameFile, FrameReader, Identity
from shared.data.arrays import array_names, read_arrays
from shared.data.errors import DataError
from shared.data.integrity import check_array

__all__ = ["HologramReader", "Holograms", "phase_from_hologram"]


def phase_from_hologram(
    hologram: NDArray[Any],
    background: NDArray[Any] | None = None,
    sideband: Sequence[float] | None = None,
    filter_name: str = "disk",
    filter_size: float = 1 / 3,
    invert_phase: bool = False,
) -> NDArray[np.float32]:
    """Retrieve the unwrapped phase from an off-axis hologram.

    One side band of the Fourier transform is cut out and shifted to the origin; the phase of its inverse transform,
    less that of the background, is unwrapped (Takeda et al. 1982, J Opt Soc Am 72:156; done by qpimage). It is known
    but for a multiple of 2π, and a tilt may be left; background subtraction takes both away.

    Args:
        hologram: intensities ``(H, W)``.
        background: intensities ``(H, W)`` of the same optics without a cell.
        sideband: its frequency along rows and columns in cycles per pixel; None takes the highest peak.
        filter_name: window of the side band, a name of qpretrieve such as ``disk``, ``smooth disk`` or ``gauss``.
        filter_size: radius of the window as a fraction of the distance between side band and centre.
        invert_phase: turn the sign, for optics in which the other side band holds a positive phase.

    Returns:
        Phase in radians, ``(H, W)``.

    Raises:
        DataError: if an image is not two-dimensional, not finite or constant, the sizes differ, or qpimage is not
            installed.
    """
    qpimage, installed = optional_import("qpimage")
    if not installed:
        raise DataError("holograms need qpimage, which is not installed: pip install qpimage")
    check_array(hologram, None, "hologram")
    if hologram.ndim != 2:
        raise DataError(f"hologram has shape {hologram.shape}, expected one image (H, W)")
    if background is not None:
        check_array(background, hologram.shape, "background of the hologram")
    image = qpimage.QPImage(
        data=hologram.astype(float),
        bg_data=None if background is None else background.astype(float),
        which_data="raw-oah",
        qpretrieve_kw={
            "filter_name": filter_name,
            "filter_size": filter_size,
            "sideband_freq": None if sideband is None else tuple(sideband),
            "invert_phase": invert_phase,
        },
    )
    # with qpretrieve >= 0.7 a leading axis of length 1 is added
    return np.asarray(image.pha, dtype=np.float32).reshape(hologram.shape)


@dataclass(frozen=True)
class HologramReader(FrameReader):
    """How holograms are named and laid out, ``<class>/…/<donor>….npz``, and how their phase is retrieved.

    Args:
        donor_pattern: regular expression with a group ``donor``, searched in the file's name without suffix.
        classes: names of the folders of the classes.
        outlier_kinds: names of the folders of other objects.
        hologram_key: array of the holograms, ``(H, W)`` or ``(F, H, W)``.
        background_key: array of the empty field, ``(H, W)``; None for files without.
        sideband: see :func:`phase_from_hologram`, like the following.
        filter_name: window of the side band.
        filter_size: radius of the window.
        invert_phase: turn the sign.
        file_pattern: which files of a folder are holograms, searched in subfolders too.

    Raises:
        ValueError: if ``donor_pattern`` is no regular expression with a group ``donor``.
    """

    classes: Sequence[str]
    outlier_kinds: Sequence[str] = ()
    hologram_key: str = "data"
    background_key: str | None = "bg_data"
    sideband: Sequence[float] | None = None
    filter_name: str = "disk"
    filter_size: float = 1 / 3
    invert_phase: bool = False
    file_pattern: str = field(default="*.npz", kw_only=True)

    def list_files(self, path: str | os.PathLike[str]) -> list[Path]:
        """Return the holograms in a folder and its subfolders; a file stands for itself if it holds one.

        A single ``.npz`` file may be a set of crops instead.

        Raises:
            DataError: if a single ``.npz`` file cannot be read.
        """
        files = super().list_files(path)
        if Path(path).is_file() and files:
            return files if self.hologram_key in array_names(files[0]) else []
        return files

    def identify(self, path: str | os.PathLike[str]) -> Identity:
        """Read class or kind of outlier from the folder, the donor from the file's name.

        Raises:
            DataError: if no folder above the file is called like a class or kind, or the name has no donor.
        """
        group = self._group(Path(path))
        if group is None:
            known = ", ".join([*self.classes, *self.outlier_kinds])
            raise DataError(f"{path}: in no folder of a class, expected one of {known} above the file")
        donor = self.donor(Path(path).stem)
        return Identity(donor, group, None) if group in self.classes else Identity(donor, None, group)

    def name(self, path: str | os.PathLike[str]) -> str:
        """Return class and file name, since files of several classes may be called alike."""
        group = self._group(Path(path))
        return f"{group}_{Path(path).stem}" if group else Path(path).stem

    @contextmanager
    def open(self, path: str | os.PathLike[str]) -> Iterator[Holograms]:
        """Open a file.

        Raises:
            DataError: if the file is missing, is no complete ``.npz`` file or lacks an array, or the array of the
                holograms has another number of axes.
        """
        arrays = read_arrays(path, {"hologram": self.hologram_key, "background": self.background_key})
        holograms = arrays["hologram"]
        if holograms.ndim not in (2, 3):
            raise DataError(f"{path}: '{self.hologram_key}' has shape {holograms.shape}, expected (H, W) or (F, H, W)")
        frames = holograms.reshape(-1, *holograms.shape[-2:])
        yield Holograms(Path(path), frames, arrays.get("background"), self)

    def _group(self, path: Path) -> str | None:
        return next((part for part in reversed(path.parts[:-1]) if part in {*self.classes, *self.outlier_kinds}), None)


class Holograms(FrameFile):
    """An open file of holograms; made by :meth:`HologramReader.open`.

    Args:
        path: the file.
        holograms: intensities ``(F, H, W)``.
        background: intensities of the empty field ``(H, W)``, or None.
        reader: how the phase is retrieved.
    """

    def __init__(
        self, path: Path, holograms: NDArray[Any], background: NDArray[Any] | None, reader: HologramReader
    ) -> None:
        super().__init__(path, [f"{number:05d}" for number in range(1, len(holograms) + 1)])
        self._holograms = holograms
        self._background = background
        self._reader = reader

    def read(self, name: str) -> Frame:
        """Retrieve the phase of one hologram.

        Raises:
            DataError: if it or the background cannot be used.
        """
        phase = phase_from_hologram(
            self._holograms[self.names.index(name)],
            self._background,
            self._reader.sideband,
            self._reader.filter_name,
            self._reader.filter_size,
            self._reader.invert_phase,
        )
        check_array(phase, None, f"phase of hologram {name}")
        return Frame(name, phase)
