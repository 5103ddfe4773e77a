"""Files with frames of phase, as the extraction of cells sees them, whatever their format.

A :class:`FrameReader` knows a format and what the files' names mean; it opens a file as :class:`FrameFile`.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.data.errors import DataError
from shared.data.integrity import Exclusion

__all__ = ["Frame", "FrameFile", "FrameReader", "Identity"]


@dataclass(frozen=True)
class Frame:
    """One frame.

    Args:
        name: its name in the file, e.g. ``00001``.
        phase: phase in radians, ``(H, W)`` float32.
        truth: bit image ``(H, W)`` uint8 of a phantom, else None.
    """

    name: str
    phase: NDArray[np.float32]
    truth: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Identity:
    """What a file's name says: the donor, and either a leukocyte's class or a kind of outlier."""

    donor: str
    label: str | None
    kind: str | None


class FrameFile(ABC):
    """An open file; made by :meth:`FrameReader.open`.

    Args:
        path: the file.
        names: the names of its frames in their order.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.names = list(names)

    @abstractmethod
    def read(self, name: str) -> Frame:
        """Read one frame.

        Raises:
            DataError: if it cannot be used.
        """

    def frames(self, excluded: list[Exclusion], names: Sequence[str] | None = None) -> Iterator[Frame]:
        """Read frame by frame; what cannot be used is appended to ``excluded`` and the rest goes on.

        Args:
            excluded: receives the frames that cannot be used.
            names: the frames to read; None reads all.
        """
        for name in self.names if names is None else names:
            try:
                frame = self.read(name)
            except DataError as error:
                excluded.append(Exclusion(self.path.name, name, str(error), "frame"))
                continue
            yield frame


@dataclass(frozen=True)
class FrameReader(ABC):
    """A format of files, each of which holds frames of one donor.

    Args:
        donor_pattern: regular expression with a group ``donor``, searched in the file's name without suffix.
        file_pattern: which files of a folder are of this format, searched in subfolders too.

    Raises:
        ValueError: if ``donor_pattern`` is no regular expression with a group ``donor``.
    """

    donor_pattern: str
    _: KW_ONLY
    file_pattern: str

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.donor_pattern).groupindex
        except re.error as error:
            raise ValueError(f"donor_pattern {self.donor_pattern!r} is no regular expression: {error}") from error
        if "donor" not in groups:
            raise ValueError(f"donor_pattern {self.donor_pattern!r} needs a group (?P<donor>…)")

    @abstractmethod
    def identify(self, path: str | os.PathLike[str]) -> Identity:
        """Read class (or kind of outlier) and donor from a file's name.

        Raises:
            DataError: if the name does not say it.
        """

    @abstractmethod
    def open(self, path: str | os.PathLike[str]) -> AbstractContextManager[FrameFile]:
        """Open a file.

        Raises:
            DataError: if it is missing or of another format.
        """

    def name(self, path: str | os.PathLike[str]) -> str:
        """Return the name under which the cells of a file are kept."""
        return Path(path).stem

    def list_files(self, path: str | os.PathLike[str]) -> list[Path]:
        """Return the files of this format in a folder and its subfolders, sorted; a file stands for itself."""
        given = Path(path)
        if given.is_file():
            return [given] if given.match(self.file_pattern) else []
        return sorted(file for file in given.rglob(self.file_pattern) if file.is_file())

    def donor(self, name: str) -> str:
        """Return the donor named in a file's name.

        Raises:
            DataError: if the pattern does not match.
        """
        match = re.search(self.donor_pattern, name)
        if match is None or not match["donor"]:
            raise DataError(
                f"{name}: no donor found in the name, expected a match of {self.donor_pattern!r}; "
                "rename the file, or pass a regular expression with a group named donor, such as "
                "--donor_pattern '^(?P<donor>[^_]+)_'"
            )
        return match["donor"]
