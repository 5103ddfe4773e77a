"""Features written as CLAM, TRIDENT and STAMP expect them, so that their models can be trained on the same tiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from scripts.feature_file import FeatureAttributes, FeatureBag
from scripts.feature_layouts import read_features
from shared.data.errors import DataError
from shared.data.files import atomic_path

__all__ = ["EXPORT_LAYOUTS", "check_layouts", "export_features"]


def export_features(
    source: str | os.PathLike[str], folder: str | os.PathLike[str], layout: str, slide_mpp: float | None = None
) -> Path:
    """Write the features of a file of any known layout in one of another program, unless that is there and newer.

    ===========  ==============================================================================================
    layout       what is written below the folder, after the program's own code
    ===========  ==============================================================================================
    ``clam``     ``h5_files/<slide>.h5`` (``features`` float32, ``coords`` int32), ``pt_files/<slide>.pt`` (the features
                 as a tensor) and ``patches/<slide>.h5`` (``coords`` with ``patch_size``, ``patch_level``, …): what
                 ``Generic_MIL_Dataset`` and ``create_heatmaps.py`` read
    ``trident``  ``<slide>.h5`` (``features`` float32 with ``name`` and ``encoder``, ``coords`` int64 with
                 ``patch_size``, ``patch_size_level0``, …): what ``WSI.extract_slide_features`` reads
    ``stamp``    ``<slide>.h5`` (``feats`` float16, ``coords`` float32 in µm; ``unit``, ``tile_size_um``,
                 ``tile_size_px``, ``extractor``, ``feat_type``): what STAMP 2's ``BagDataset`` and heat-maps read
    ===========  ==============================================================================================

    None of them keeps the share of tumour of the tiles, and only TRIDENT and STAMP keep the encoder's name.

    Args:
        source: a feature file.
        folder: receives the files.
        layout: name of the layout.
        slide_mpp: µm per pixel of level 0, if the file does not say.

    Returns:
        The file of features.

    Raises:
        DataError: if the source is broken, or does not know what the layout must say.
    """
    origin = Path(source)
    write, place = EXPORT_LAYOUTS[layout]
    file = Path(folder) / place / f"{origin.stem}.h5"
    if not (file.is_file() and file.stat().st_mtime_ns >= origin.stat().st_mtime_ns):
        write(read_features(origin, slide_mpp), Path(folder), origin.stem, _Known(origin, slide_mpp))
    return file


def check_layouts(layouts: Sequence[str]) -> None:
    """Refuse what is no list of layouts.

    Raises:
        DataError: naming what was found.
    """
    unknown = [layouts] if isinstance(layouts, str) else [name for name in layouts if name not in EXPORT_LAYOUTS]
    if unknown:
        raise DataError(
            f"feature_layouts: found {unknown[0]!r}, expected a list of some of {', '.join(EXPORT_LAYOUTS)}"
        )


class _Known:
    """What a layout must say of tiles, or why it cannot."""

    def __init__(self, source: Path, slide_mpp: float | None) -> None:
        self.source, self.given_mpp = source, slide_mpp

    def side(self, attributes: FeatureAttributes) -> float:
        """Return the side of a tile, pixels of level 0."""
        if attributes.level0_tile_size is None:
            raise self._unknown("the size of the tiles", "put CLAM's patches/<slide>.h5 beside the features")
        return attributes.level0_tile_size

    def tile_size(self, attributes: FeatureAttributes) -> int:
        """Return the side of a tile, pixels that the encoder saw."""
        if attributes.tile_size is None:
            raise self._unknown("the size of the tiles in pixels", "extract them again")
        return attributes.tile_size

    def slide_mpp(self, attributes: FeatureAttributes) -> float:
        """Return the µm per pixel of level 0."""
        found = attributes.slide_mpp or self.given_mpp
        if found is None and attributes.mpp is not None:
            found = attributes.mpp * self.tile_size(attributes) / self.side(attributes)
        if found is None:
            raise self._unknown("µm per pixel of the slide", "give it in the column 'mpp' of the table")
        return found

    def _unknown(self, what: str, remedy: str) -> DataError:
        return DataError(f"{self.source}: does not say {what}, which the wanted layout needs; {remedy}")


def _clam(bag: FeatureBag, folder: Path, name: str, known: _Known) -> None:
    about = bag.attributes
    side = known.side(about)
    coords, features = bag.coords.astype(np.int32), bag.features.astype(np.float32)
    # tiles were resampled to their scale and are of no level: to CLAM they are tiles of level 0
    stated: dict[str, Any] = {"patch_size": _whole(side), "patch_level": 0, "downsample": (1.0, 1.0), "name": name}
    if about.slide_size is not None:
        stated |= {"level_dim": about.slide_size, "downsampled_level_dim": about.slide_size}
    _write(folder / "patches" / f"{name}.h5", {"coords": (coords, stated)})
    with atomic_path(folder / "pt_files" / f"{name}.pt") as temporary:
        torch.save(torch.from_numpy(features), temporary)
    _write(folder / "h5_files" / f"{name}.h5", {"features": (features, {}), "coords": (coords, {})})


def _trident(bag: FeatureBag, folder: Path, name: str, known: _Known) -> None:
    about = bag.attributes
    side, pixels = known.side(about), known.tile_size(about)
    slide_mpp = known.slide_mpp(about)
    stated: dict[str, Any] = {
        "patch_size": pixels,
        "patch_size_level0": _whole(side),
        # TRIDENT's convention: 10 µm per pixel at a magnification of 1
        "level0_magnification": _whole(10 / slide_mpp),
        "target_magnification": _whole(10 * pixels / (slide_mpp * side)),
        "overlap": round(max(0.0, side - _step(bag, side)) * pixels / side),
        "name": name,
        "savetodir": str(folder),
    }
    if about.slide_size is not None:
        stated |= {"level0_width": about.slide_size[0], "level0_height": about.slide_size[1]}
    features = bag.features.astype(np.float32), {"name": name, "savetodir": str(folder), "encoder": about.encoder}
    _write(folder / f"{name}.h5", {"features": features, "coords": (bag.coords.astype(np.int64), stated)})


def _stamp(bag: FeatureBag, folder: Path, name: str, known: _Known) -> None:
    about = bag.attributes
    slide_mpp, side = known.slide_mpp(about), known.side(about)
    stated = {
        "extractor": about.encoder,
        "unit": "um",
        "tile_size_um": side * slide_mpp,
        "tile_size_px": known.tile_size(about),
        "feat_type": "tile",
    }
    coords = (bag.coords * slide_mpp).astype(np.float32)
    _write(folder / f"{name}.h5", {"feats": (bag.features.astype(np.float16), {}), "coords": (coords, {})}, stated)


#: what writes a layout, and where below its folder the features are
EXPORT_LAYOUTS: Mapping[str, tuple[Callable[[FeatureBag, Path, str, _Known], None], str]] = {
    "clam": (_clam, "h5_files"),
    "trident": (_trident, ""),
    "stamp": (_stamp, ""),
}


def _write(
    path: Path, datasets: Mapping[str, tuple[np.ndarray, Mapping[str, Any]]], stated: Mapping[str, Any] | None = None
) -> None:
    """Write datasets with their attributes, and those of the file, atomically."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, (values, attributes) in datasets.items():
            file.create_dataset(name, data=values).attrs.update(attributes)
        file.attrs.update(stated or {})


def _step(bag: FeatureBag, side: float) -> float:
    """Return the least distance of two columns or two rows of tiles; the side itself where there is one of each."""
    gaps = [np.diff(np.unique(bag.coords[:, axis])) for axis in (0, 1)]
    return float(min((gap.min() for gap in gaps if gap.size), default=side))


def _whole(value: float) -> int | float:
    """Return a number that is whole but for rounding as integer, as the programs write it, any other as it is."""
    return round(value) if abs(value - round(value)) < 1e-6 else value
