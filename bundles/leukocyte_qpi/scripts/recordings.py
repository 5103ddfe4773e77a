"""Recordings of phase frames in HDF5 (``*.phase``): one data set ``image/00001``, ``image/00002``, … per frame.

Class and donor stand in the file's name: ``D01_Mon_001.phase``. A phantom has a group ``truth`` besides, with a bit
image for each frame. Frames are read one by one; a recording may be larger than the memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from scripts.frames import Frame, FrameFile, FrameReader, Identity
from shared.data.errors import DataError
from shared.data.integrity import check_array
from shared.data.size_limit import check_shape

__all__ = ["Recording", "RecordingReader"]


@dataclass(frozen=True)
class RecordingReader(FrameReader):
    """How recordings are named and laid out.

    Args:
        donor_pattern: regular expression with a group ``donor``, searched in the file's name without suffix.
        class_tokens: class by the part of the file's name that stands for it, e.g. ``{"_Mon_": "monocyte"}``.
        outlier_tokens: likewise, kind of recordings that show no leukocyte of these classes.
        frame_shape: height and width of every frame in pixels.
        image_group: HDF5 group of the frames.
        truth_group: HDF5 group of the bit images; a recording may lack it.
        file_pattern: which files of a folder are recordings, searched in subfolders too.

    Raises:
        ValueError: if ``donor_pattern`` is no regular expression with a group ``donor``.
    """

    class_tokens: Mapping[str, str]
    outlier_tokens: Mapping[str, str]
    frame_shape: tuple[int, int] = (384, 512)
    image_group: str = "image"
    truth_group: str = "truth"
    file_pattern: str = field(default="*.phase", kw_only=True)

    def identify(self, path: str | os.PathLike[str]) -> Identity:
        """Read class (or kind of outlier) and donor from a recording's file name.

        Raises:
            DataError: if the name has no known token, tokens of several classes, or no donor.
        """
        name = Path(path).stem
        tokens = {**self.class_tokens, **self.outlier_tokens}
        found = sorted(token for token in tokens if token in name)
        if len(found) != 1:
            what = f"the tokens {' and '.join(found)}" if found else "no known class token"
            raise DataError(
                f"{Path(path).name}: {what} in the name, expected exactly one of {', '.join(tokens)}; "
                "rename the file or add its token to class_tokens or outlier_tokens in configs/prepare.json"
            )
        token = found[0]
        return Identity(self.donor(name), self.class_tokens.get(token), self.outlier_tokens.get(token))

    @contextmanager
    def open(self, path: str | os.PathLike[str]) -> Iterator[Recording]:
        """Open a recording.

        Raises:
            DataError: if the file is missing, is no complete HDF5 file, or has no frames where they are expected.
        """
        file = Path(path)
        if not file.is_file():
            raise DataError(f"{file}: no such recording")
        try:
            content = h5py.File(file, "r")
        except OSError as error:
            raise DataError(
                f"{file}: not a complete HDF5 file ({error}); found {file.stat().st_size} bytes; "
                "the copy may have been cut short: copy it anew"
            ) from error
        with content:
            group = content.get(self.image_group)
            if not isinstance(group, h5py.Group) or len(group) == 0:
                raise DataError(
                    f"{file}: no frames in the group '{self.image_group}', found {', '.join(content) or 'nothing'}; "
                    f"expected {self.image_group}/00001, {self.image_group}/00002, …; set image_group in "
                    "configs/prepare.json if the frames have another name"
                )
            yield Recording(file, group, content.get(self.truth_group), self)


class Recording(FrameFile):
    """An open recording; made by :meth:`RecordingReader.open`.

    Args:
        path: its file.
        images: the HDF5 group of the frames.
        truths: the HDF5 group of the bit images, or None.
        reader: the layout.
    """

    def __init__(self, path: Path, images: h5py.Group, truths: h5py.Group | None, reader: RecordingReader) -> None:
        super().__init__(path, sorted(images))
        self._images = images
        self._truths = truths
        self._reader = reader

    def read(self, name: str) -> Frame:
        """Read one frame.

        Raises:
            DataError: if it cannot be read, is not floating point, has another size, values that are not finite, or
                is constant.
        """
        item = f"frame {self._reader.image_group}/{name}"
        phase = self._dataset(self._images, name, item)
        if not np.issubdtype(phase.dtype, np.floating):
            raise DataError(f"{item} has values of type {phase.dtype}, expected floating-point phase in radians")
        check_array(phase, self._reader.frame_shape, item)
        truth = None
        if self._truths is not None:
            truth_item = f"frame {self._reader.truth_group}/{name}"
            truth = self._dataset(self._truths, name, truth_item)
            if truth.shape != phase.shape or truth.dtype != np.uint8:
                raise DataError(
                    f"{truth_item} is {truth.dtype} of shape {truth.shape}, expected uint8 of shape {phase.shape}"
                )
        return Frame(name, phase.astype(np.float32, copy=False), truth)

    def _dataset(self, group: h5py.Group, name: str, item: str) -> NDArray:
        dataset = group.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise DataError(f"{item} is missing or no data set, expected one of {self._reader.frame_shape} values")
        try:
            check_shape(dataset.shape)
            return dataset[()]
        except (OSError, ValueError) as error:
            raise DataError(f"{item} cannot be read ({error}); the file is damaged: copy it anew") from error
