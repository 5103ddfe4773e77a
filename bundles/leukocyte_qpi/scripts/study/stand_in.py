"""The stand-in for labelled phase images: stained white cells, made to look to the bundle like phase crops.

No labelled phase images of leukocytes are public. Stained bright-field crops of the same four classes take their place:
grey, inverted (a cell then is brighter than its surroundings, as its phase is), resized to 50 × 50, scaled to the
bundle's range of phases. They have no wavelength and no refraction increment: no number from them is one about
quantitative phase imaging.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.transform import resize

from shared.data.datalist import write_datalist
from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.study.splits import Split

__all__ = ["Cells", "read_cells", "subtract_level", "write_crops", "write_split"]

FILE_NAME = "wbc_crops.npz"
KEYS = ("id", "rgb", "label", "source")
BACKGROUND_QUANTILE = 0.05


@dataclass(frozen=True)
class Cells:
    """All crops of the set.

    Attributes:
        ids: unique names, ``(N,)``.
        phase: inverted grey in the bundle's unit, background included, float32 ``(N, 50, 50)``.
        labels: class indices ``(N,)``.
        sources: where each crop comes from, ``(N,)``.
        classes: names of the classes, in the order of the labels.
    """

    ids: NDArray[np.str_]
    phase: NDArray[np.float32]
    labels: NDArray[np.int64]
    sources: NDArray[np.str_]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def strata(self) -> NDArray[np.str_]:
        """Class and source of each crop in words, ``(N,)``."""
        pairs = zip(self.labels, self.sources, strict=True)
        return np.array([f"class {label} of {source}" for label, source in pairs])


def read_cells(folder: str | Path, classes: Sequence[str], peak: float, size: int = 50) -> Cells:
    """Read ``wbc_crops.npz``.

    Args:
        folder: folder that holds the file, or the file itself.
        classes: names of the classes, in the order of the labels.
        peak: what black becomes, in radians; white becomes 0.
        size: height and width of the crops in pixels.

    Raises:
        DataError: if the file is missing or damaged, or its arrays do not fit together.
    """
    path = Path(folder)
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{path}: no such file; --data is the folder that holds {FILE_NAME}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if missing := set(KEYS) - set(archive.files):
                raise DataError(f"{path}: no array {sorted(missing)}; found {archive.files}, expected {list(KEYS)}")
            ids, rgb, names, sources = (archive[key] for key in KEYS)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable npz file ({error}); fetch it anew") from error
    if rgb.ndim != 4 or rgb.shape[-1] != 3 or len({len(rgb), len(ids), len(names), len(sources)}) > 1:
        raise DataError(f"{path}: expected images (N, H, W, 3) and N ids, labels, sources; found rgb {rgb.shape}")
    if unknown := sorted(set(names.tolist()) - set(classes)):
        raise DataError(f"{path}: unknown classes {unknown}; expected {list(classes)}")
    names_of_cells = np.array([f"{source}_{name}" for source, name in zip(sources, ids, strict=True)])
    if len(np.unique(names_of_cells)) < len(names_of_cells):
        raise DataError(f"{path}: a crop occurs twice within one source; each needs its own id")
    darkness = np.stack([1 - resize(rgb2gray(image), (size, size), anti_aliasing=True) for image in rgb])
    return Cells(
        ids=names_of_cells,
        phase=(peak * darkness).astype(np.float32),
        labels=np.array([list(classes).index(name) for name in names], dtype=np.int64),
        sources=sources,
        classes=tuple(classes),
    )


def subtract_level(phase: NDArray[np.floating]) -> NDArray[np.floating]:
    """Subtract from each image ``(N, H, W)`` the level of its background: its 5 % quantile.

    Glass is the lightest thing in a stained crop, and the crops are too full for a surface to be fitted to it.
    """
    return phase - np.quantile(phase, BACKGROUND_QUANTILE, axis=(1, 2), keepdims=True).astype(phase.dtype)


def write_crops(folder: Path, cells: Cells) -> None:
    """Write each crop, background subtracted, as ``<folder>/<id>.npy``; crops that are there stay."""
    for name, image in zip(cells.ids, subtract_level(cells.phase), strict=True):
        path = folder / f"{name}.npy"
        if not path.is_file():
            with atomic_path(path) as temporary:
                np.save(temporary, image)


def write_split(folder: Path, crops: Path, cells: Cells, split: Split) -> None:
    """Write ``<folder>/datalist.json`` with the cells of each section."""
    write_datalist(
        folder / "datalist.json",
        {
            section: [
                {
                    "id": str(cells.ids[i]),
                    "image": str((crops / f"{cells.ids[i]}.npy").resolve()),
                    "label": int(cells.labels[i]),
                    "source": str(cells.sources[i]),
                }
                for i in indices
            ]
            for section, indices in split._asdict().items()
        },
        classes=cells.classes,
        info={"data": "stained white cells, a stand-in for quantitative phase images"},
    )
