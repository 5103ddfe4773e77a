"""The files of one recording's crops, which appear all at once or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CropFiles"]

_FOLDERS = {"image": "crops", "truth": "truth"}


class CropFiles:
    """Writes ``crops/<recording>/<frame>_<number>.npy`` and, for phantoms, the same under ``truth``.

    Used as a context manager: the files are written to hidden folders, which take the place of older ones when the
    block ends without an error and are removed otherwise.

    Args:
        output: folder that receives ``crops`` and ``truth``.
        recording: name of the recording.
    """

    def __init__(self, output: Path, recording: str) -> None:
        self.output = output
        self.recording = recording

    def __enter__(self) -> CropFiles:
        self._discard()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for key in _FOLDERS:
                target = self.output / _FOLDERS[key] / self.recording
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
        file = f"{frame}_{number:02d}.npy"
        described = {"id": f"{self.recording}/{frame}/{number:02d}"}
        for key, array in (("image", crop.astype(np.float32, copy=False)), ("truth", truth)):
            if array is not None:
                self._partial(key).mkdir(parents=True, exist_ok=True)
                np.save(self._partial(key) / file, array)
                described[key] = f"{_FOLDERS[key]}/{self.recording}/{file}"
        return described

    def remove(self, record: dict[str, Any]) -> None:
        """Take back the files of a record that :meth:`save` described."""
        for key in _FOLDERS:
            if key in record:
                (self._partial(key) / Path(record[key]).name).unlink()

    def _partial(self, key: str) -> Path:
        return self.output / _FOLDERS[key] / f".{self.recording}-partial"

    def _discard(self) -> None:
        for key in _FOLDERS:
            shutil.rmtree(self._partial(key), ignore_errors=True)
