"""The files of crops: of one recording's, all at once or not at all, or of one cell's."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.file_names import safe_name
from shared.data.files import atomic_path

__all__ = ["CropFiles", "save_crop"]

_FOLDERS = {"image": "crops", "truth": "truth"}


def save_crop(output: Path, identity: str, crop: NDArray[Any]) -> str:
    """Write the crop of one cell, atomically, as ``crops/<name>.npy``.

    Args:
        output: folder that receives ``crops``.
        identity: the cell's id, any text; :func:`safe_name` makes its file name.
        crop: phase in radians, ``(H, W)``.

    Returns:
        The file's path relative to the output folder.
    """
    image = f"{_FOLDERS['image']}/{safe_name(identity)}.npy"
    with atomic_path(output / image) as temporary:
        np.save(temporary, crop.astype(np.float32, copy=False))
    return image


class CropFiles:
    """Writes ``crops/<recording>/<frame>_<number>.npy`` and, for phantoms, the same under ``truth``.

    Names of recordings and frames may be any text: :func:`safe_name` makes those of the folder and the files.

    Used as a context manager: the files are written to hidden folders, which take the place of older ones when the
    block ends without an error and are removed otherwise.

    Args:
        output: folder that receives ``crops`` and ``truth``.
        recording: name of the recording.

    Attributes:
        folder: name of the recording's folder.
    """

    def __init__(self, output: Path, recording: str) -> None:
        self.output = output
        self.recording = recording
        self.folder = self.folder_of(recording)

    @staticmethod
    def folder_of(recording: str) -> str:
        """Return the name of a recording's folder."""
        return safe_name(recording)

    def __enter__(self) -> CropFiles:
        self._discard()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for key in _FOLDERS:
                target = self.output / _FOLDERS[key] / self.folder
                shutil.rmtree(target, ignore_errors=True)
                if self._partial(key).is_dir():
                    self._partial(key).rename(target)
        self._discard()

    def save(self, frame: str, number: int, crop: NDArray[Any], truth: NDArray[np.uint8] | None) -> dict[str, str]:
        """Write one crop.

        Args:
            frame: name of its frame.
            number: its number in the frame.
            crop: phase in radians, ``(H, W)``.
            truth: bit image ``(H, W)``, or None.

        Returns:
            ``id``, ``image`` and, if there is one, ``truth``; paths relative to the output folder as they will be.
        """
        file = f"{safe_name(f'{frame}/{number:02d}')}.npy"
        described = {"id": f"{self.recording}/{frame}/{number:02d}"}
        for key, array in (("image", crop.astype(np.float32, copy=False)), ("truth", truth)):
            if array is not None:
                self._partial(key).mkdir(parents=True, exist_ok=True)
                np.save(self._partial(key) / file, array)
                described[key] = f"{_FOLDERS[key]}/{self.folder}/{file}"
        return described

    def remove(self, record: dict[str, Any]) -> None:
        """Take back the files of a record that :meth:`save` described."""
        for key in _FOLDERS:
            if key in record:
                (self._partial(key) / Path(record[key]).name).unlink()

    def _partial(self, key: str) -> Path:
        return self.output / _FOLDERS[key] / f".{self.folder}-partial"

    def _discard(self) -> None:
        for key in _FOLDERS:
            shutil.rmtree(self._partial(key), ignore_errors=True)
