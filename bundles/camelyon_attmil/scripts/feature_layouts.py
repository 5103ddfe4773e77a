"""Feature files of this project, and those that people already have from CLAM, TRIDENT and STAMP."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from scripts.feature_file import FeatureAttributes, FeatureBag, open_features, own_bag, plain
from shared.data.errors import DataError

__all__ = ["feature_folder", "read_features"]


def read_features(path: str | os.PathLike[str], slide_mpp: float | None = None) -> FeatureBag:
    """Read a feature file of any known layout, and check it.

    ===========  ================================================================================================
    layout       how it is known
    ===========  ================================================================================================
    this one     ``features``, ``coords``; attribute ``level0_tile_size`` of the file
    TRIDENT      ``features``, ``coords`` with the attribute ``patch_size_level0``
    CLAM         ``features``, ``coords``; ``patch_size``, ``patch_level`` with coords here, or in the file of the same
                 name in ``patches/`` beside or above; neither: the tile's size is not known
    STAMP        ``feats`` or ``patch_embeddings``, ``coords`` in µm; ``tile_size_um`` or ``tile_size``
    ===========  ================================================================================================

    Args:
        path: the file.
        slide_mpp: µm per pixel of level 0; STAMP's coordinates are in µm and cannot be placed without it.

    Raises:
        DataError: if the file is of no known layout, its units are not known, or it fails :meth:`FeatureBag.check`.
    """
    file = Path(path)
    with open_features(file) as handle:
        name = next((name for name in ("features", "feats", "patch_embeddings") if name in handle), None)
        if name is None or "coords" not in handle:
            raise DataError(
                f"{file}: has the datasets {', '.join(handle) or 'none'}; expected features (CLAM, TRIDENT, this "
                "project), feats or patch_embeddings (STAMP), and coords"
            )
        if name != "features":
            bag = _stamp(handle, name, file, slide_mpp)
        elif "level0_tile_size" in handle.attrs:
            bag = own_bag(handle, file)
        elif "patch_size_level0" in handle["coords"].attrs:
            bag = _trident(handle, file)
        else:
            bag = _clam(handle, file)
    return bag.check(file)


def feature_folder(folder: str | os.PathLike[str]) -> Path:
    """Return where the feature files of a folder lie: CLAM's are in ``h5_files`` below the folder that it names."""
    given = Path(folder)
    below = given / "h5_files"
    return below if below.is_dir() and not any(given.glob("*.h5")) else given


def _features(dataset: h5py.Dataset) -> NDArray[np.floating]:
    """Return ``(N, E)``; some versions write ``(1, N, E)``."""
    values = dataset[:]
    return values[0] if values.ndim == 3 and values.shape[0] == 1 else values


def _coords(dataset: h5py.Dataset) -> NDArray[np.int64]:
    values = dataset[:]
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    return np.rint(values).astype(np.int64)


def _trident(handle: h5py.File, path: Path) -> FeatureBag:
    stated = {key: plain(value) for key, value in handle["coords"].attrs.items()}
    about = {key: plain(value) for key, value in handle["features"].attrs.items()}
    size = (stated["level0_width"], stated["level0_height"]) if "level0_width" in stated else None
    # TRIDENT works with magnifications; 10 µm/px at ×1 is its own convention
    magnification = stated.get("target_magnification")
    attributes = FeatureAttributes(
        slide_id=str(stated.get("name", path.stem)),
        mpp=None if not magnification else 10 / float(magnification),
        tile_size=stated.get("patch_size"),
        level0_tile_size=float(stated["patch_size_level0"]),
        slide_size=size,
        encoder=str(about.get("encoder", "")),
        layout="trident",
    )
    return FeatureBag(_features(handle["features"]), _coords(handle["coords"]), None, attributes)


def _clam(handle: h5py.File, path: Path) -> FeatureBag:
    stated = {key: plain(value) for key, value in handle["coords"].attrs.items()}
    if "patch_size" not in stated:
        # extract_features_fp.py copies the coordinates without their attributes; create_patches_fp.py wrote them
        candidates = (folder / "patches" / path.name for folder in path.parents[:3])
        for other in candidates:
            if other.is_file():
                with open_features(other) as patches:
                    stated = {key: plain(value) for key, value in patches["coords"].attrs.items()}
                break
    side = None
    if "patch_size" in stated:
        level = int(stated.get("patch_level", 0))
        downsample = stated.get("downsample", 1.0 if level == 0 else None)
        if downsample is None:
            raise DataError(
                f"{path}: tiles of {stated['patch_size']} pixels of level {level} without its downsample; put CLAM's "
                f"patches/{path.name} beside the features"
            )
        factor = downsample[0] if isinstance(downsample, list | tuple) else downsample
        side = float(stated["patch_size"]) * float(factor)
    attributes = FeatureAttributes(
        slide_id=str(stated.get("name", path.stem)),
        tile_size=stated.get("patch_size"),
        level0_tile_size=side,
        layout="clam",
    )
    return FeatureBag(_features(handle["features"]), _coords(handle["coords"]), None, attributes)


def _stamp(handle: h5py.File, name: str, path: Path, slide_mpp: float | None) -> FeatureBag:
    stated = {key: plain(value) for key, value in handle.attrs.items()}
    coords = handle["coords"][:].astype(np.float64)
    if "tile_size_um" in stated or stated.get("unit") == "um":
        side_um = float(stated.get("tile_size_um", stated.get("tile_size", np.nan)))
    elif round(float(stated.get("tile_size", _spacing(coords)))) == 224:
        # the first version counted pixels of tiles of 224 pixels and 256 µm
        side_um, coords = 256.0, coords / 224 * 256
    else:
        raise DataError(
            f"{path}: STAMP features without a unit of their coordinates (attributes {', '.join(stated) or 'none'}); "
            "expected tile_size_um, or unit 'um' and tile_size; extract them with STAMP 2"
        )
    if slide_mpp is None:
        raise DataError(
            f"{path}: STAMP's coordinates are in µm and cannot be placed without the slide's scale; keep the slide, or "
            "give its µm per pixel in the column 'mpp' of the table"
        )
    pixels = stated.get("tile_size_px")
    attributes = FeatureAttributes(
        slide_id=path.stem,
        mpp=None if pixels is None else side_um / float(pixels),
        tile_size=None if pixels is None else int(pixels),
        level0_tile_size=side_um / slide_mpp,
        slide_mpp=slide_mpp,
        encoder=str(stated.get("extractor", "")),
        encoder_sha256="",
        code_version=f"STAMP {stated.get('stamp_version', '')}".strip(),
        layout="stamp",
    )
    return FeatureBag(_features(handle[name]), np.rint(coords / slide_mpp).astype(np.int64), None, attributes)


def _spacing(coords: NDArray[np.float64]) -> float:
    """Return the least distance of two columns of tiles."""
    steps = np.diff(np.unique(coords[:, 0]))
    return float(steps.min()) if steps.size else 0.0
