"""The features of many image files, in several processes, kept in one file."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from scripts.rivals.features import FEATURE_NAMES, image_features
from scripts.rivals.segmentation import LymphocyteSegmentation
from shared.data.arrays import read_arrays, read_image
from shared.data.errors import DataError
from shared.data.files import atomic_path, sha256_file
from shared.data.processes import in_processes

__all__ = ["FeatureExtraction"]

_LOGGER = logging.getLogger(__name__)
# raised whenever the features of an image change, so that kept ones are made anew
_VERSION = 1
_CHUNK = 64


@dataclass(frozen=True)
class FeatureExtraction:
    """Image files to the rows of a feature matrix.

    Args:
        segmentation: how the lymphocyte is found.
        levels: number of grey levels of the co-occurrence matrices.
    """

    segmentation: LymphocyteSegmentation = field(default_factory=LymphocyteSegmentation)
    levels: int = 32

    def one(self, path: str | os.PathLike[str]) -> NDArray[np.float64]:
        """Return the features ``(94,)`` of one image file.

        Raises:
            DataError: if the file cannot be read, or no lymphocyte can be told apart in it.
        """
        image = read_image(path)
        try:
            return image_features(image, self.segmentation(image), self.levels)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def many(
        self,
        paths: Sequence[str | os.PathLike[str]],
        workers: int = 1,
        cache: str | os.PathLike[str] | None = None,
    ) -> NDArray[np.float64]:
        """Return the features ``(T, 94)`` of T image files.

        Args:
            paths: the files.
            workers: number of processes.
            cache: an ``.npz`` file. What it holds for the same file contents and settings is not computed again; it
                is written anew, with the features of these files added, when something was missing. A file made with
                other settings is replaced.

        Raises:
            DataError: as :meth:`one`, for the first file at fault.
        """
        digests = [sha256_file(_existing(path)) for path in paths]
        known = self._read(cache) if cache is not None else {}
        path_of = dict(zip(digests, paths, strict=True))
        missing = [(digest, path) for digest, path in path_of.items() if digest not in known]
        if missing:
            _LOGGER.info("features of %d images to compute, %d known", len(missing), len(known))
            chunks = [missing[start : start + _CHUNK] for start in range(0, len(missing), _CHUNK)]
            work = functools.partial(_extract, self)
            for position, rows in in_processes(work, [[path for _, path in chunk] for chunk in chunks], workers):
                known.update(zip((digest for digest, _ in chunks[position]), rows, strict=True))
            if cache is not None:
                self._write(cache, known)
        return np.stack([known[digest] for digest in digests]) if digests else np.empty((0, len(FEATURE_NAMES)))

    def _recipe(self) -> str:
        return json.dumps({"version": _VERSION, "settings": asdict(self), "features": FEATURE_NAMES})

    def _read(self, cache: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
        if not Path(cache).is_file():
            return {}
        stored = read_arrays(cache, {"recipe": "recipe", "digests": "digests", "features": "features"})
        if str(stored["recipe"]) != self._recipe():
            _LOGGER.warning("%s was made with other settings; the features are computed anew", cache)
            return {}
        return dict(zip(stored["digests"].tolist(), stored["features"], strict=True))

    def _write(self, cache: str | os.PathLike[str], known: dict[str, NDArray[np.float64]]) -> None:
        with atomic_path(cache) as temporary:
            np.savez_compressed(
                temporary,
                recipe=np.array(self._recipe()),
                digests=np.array(list(known)),
                features=np.stack(list(known.values())),
            )


def _existing(path: str | os.PathLike[str]) -> Path:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; expected an image")
    return Path(path)


def _extract(extraction: FeatureExtraction, paths: Sequence[str | os.PathLike[str]]) -> NDArray[np.float64]:
    # the processes are the parallelism: threads within them would only wait for each other
    with threadpool_limits(1):
        return np.stack([extraction.one(path) for path in paths])
