"""One HDF5 file of features per slide: the bag that the networks see, and all that is needed to trust it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.data.size_limit import check_dataset

__all__ = ["FeatureAttributes", "FeatureBag", "check_same_encoder", "open_features", "write_features"]

#: rows of one compressed piece of the file
CHUNK_ROWS = 256


@dataclass(frozen=True)
class FeatureAttributes:
    """What a feature file says about itself.

    Args:
        slide_id: name of the slide.
        mpp: µm per pixel of the tiles.
        tile_size: side of a tile, pixels.
        level0_tile_size: side of a tile, pixels of level 0.
        slide_size: width and height of level 0 in pixels; None if not known.
        slide_mpp: µm per pixel of level 0; None if not known.
        encoder: name of the encoder.
        encoder_sha256: of its weights; empty if not known.
        code_version: of the program that wrote the file.
        layout: ``own``, ``clam``, ``trident`` or ``stamp``.
    """

    slide_id: str
    mpp: float | None = None
    tile_size: int | None = None
    level0_tile_size: float | None = None
    slide_size: tuple[int, int] | None = None
    slide_mpp: float | None = None
    encoder: str = ""
    encoder_sha256: str = ""
    code_version: str = ""
    layout: str = "own"


@dataclass(frozen=True)
class FeatureBag:
    """The features of a slide.

    Args:
        features: ``(N, E)``, float16 or as the file has them.
        coords: upper left corners of the tiles as x, y in pixels of level 0, ``(N, 2)`` int64.
        tile_label: share of each tile that is tumour, ``(N,)`` float32, NaN where not known; None if the file has none.
        attributes: what the file says about itself.
    """

    features: NDArray[np.floating]
    coords: NDArray[np.int64]
    tile_label: NDArray[np.float32] | None
    attributes: FeatureAttributes

    def check(self, path: str | os.PathLike[str]) -> FeatureBag:
        """Return the bag itself.

        Raises:
            DataError: if it is empty, lengths differ, or values are not finite; the path is named.
        """
        if self.features.ndim != 2 or self.coords.shape != (len(self.features), 2):
            raise DataError(
                f"{path}: features of shape {self.features.shape} and coords of shape {self.coords.shape}, expected "
                "(N, E) and (N, 2); extract them again"
            )
        if len(self.features) == 0:
            raise DataError(f"{path}: no tile; leave the slide out, or extract with a lower tissue_share")
        bad = np.flatnonzero(~np.isfinite(self.features).all(axis=1))
        if bad.size:
            raise DataError(
                f"{path}: the features of {bad.size} of {len(self.features)} tiles are NaN or infinite, the first is "
                f"tile {bad[0]}; extract them again (in float32 if the encoder overflows half precision)"
            )
        return self


def write_features(
    path: str | os.PathLike[str],
    parts: Iterable[tuple[NDArray[np.floating], NDArray[np.int64], NDArray[np.float32] | None]],
    number: int,
    attributes: FeatureAttributes,
) -> None:
    """Write a feature file, atomically, one part of the tiles after the other.

    Args:
        path: the file.
        parts: features ``(n, E)``, coords ``(n, 2)`` and tile labels ``(n,)`` or None of successive tiles.
        number: of tiles in all parts.
        attributes: what the file says about itself.

    Raises:
        ValueError: if the parts have another number of tiles.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        done = 0
        for features, coords, labels in parts:
            if done == 0:
                rows = max(1, min(CHUNK_ROWS, number))
                width = features.shape[1]
                file.create_dataset("features", (number, width), np.float16, chunks=(rows, width), compression="lzf")
                file.create_dataset("coords", (number, 2), np.int64)
                if labels is not None:
                    file.create_dataset("tile_label", (number,), np.float32)
            rows_here = slice(done, done + len(features))
            file["features"][rows_here] = features
            file["coords"][rows_here] = coords
            if labels is not None:
                file["tile_label"][rows_here] = labels
            done += len(features)
        if done != number:
            raise ValueError(f"{path}: {done} tiles given, {number} announced")
        for name, value in asdict(attributes).items():
            if name != "layout" and value is not None:
                file.attrs[name] = value


@contextmanager
def open_features(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises:
        DataError: if it is missing, no HDF5 file, or says that it holds far more than it does.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such feature file; prepare the data, or correct the path")
    try:
        handle = h5py.File(file, "r")
    except OSError as error:
        raise DataError(f"{file}: not a readable HDF5 file ({error}); extract the features again") from error
    with handle:
        for name, dataset in handle.items():
            if isinstance(dataset, h5py.Dataset):
                try:
                    check_dataset(dataset)
                except ValueError as error:
                    raise DataError(f"{file}: {name}: {error}; extract the features again") from error
        yield handle


def own_bag(file: h5py.File, path: Path) -> FeatureBag:
    """Return what a file of :func:`write_features` holds."""
    names = {field.name for field in fields(FeatureAttributes)} - {"layout"}
    found: dict[str, Any] = {name: plain(file.attrs[name]) for name in names if name in file.attrs}
    if "slide_size" in found:
        found["slide_size"] = tuple(int(length) for length in found["slide_size"])
    attributes = FeatureAttributes(**{"slide_id": path.stem, **found})
    labels = file["tile_label"][:] if "tile_label" in file else None
    return FeatureBag(file["features"][:], file["coords"][:].astype(np.int64), labels, attributes)


def plain(value: Any) -> Any:
    """Return an attribute's value as a plain type."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return value.item() if value.size == 1 else value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def check_same_encoder(bags: Iterable[tuple[str | os.PathLike[str], FeatureAttributes, int]]) -> None:
    """Refuse features of several encoders, or of one with several weights, scales or widths, in one data set.

    Args:
        bags: path, attributes and number of features (E) of each file.

    Raises:
        DataError: naming two files that differ, and in what.
    """
    first: tuple[str | os.PathLike[str], dict[str, Any]] | None = None
    for path, attributes, width in bags:
        known = {
            "encoder": attributes.encoder,
            "encoder_sha256": attributes.encoder_sha256,
            "width": width,
            "tile_size": attributes.tile_size,
            "mpp": None if attributes.mpp is None else round(attributes.mpp, 2),
        }
        if first is None:
            first = path, known
            continue
        different = [
            f"{key} {first[1][key]}, now {known[key]}" for key in known if not _alike(first[1][key], known[key])
        ]
        if different:
            raise DataError(
                f"{path}: features of another kind than {first[0]} ({'; '.join(different)}); extract all slides with "
                "one encoder at one scale"
            )


def _alike(before: Any, now: Any) -> bool:
    if isinstance(before, float) and isinstance(now, float):
        # a level whose scale is within 2 % of the wanted one is read as it is
        return abs(before / now - 1) < 0.05
    return before == now or before in (None, "") or now in (None, "")
