"""Crops that hold one cell each: a folder per class with TIFF, PNG or NPY files, or an ``.npz`` set."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.transform import resize

from shared.data.arrays import IMAGE_SUFFIXES, array_names, read_arrays, read_image
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, check_array

__all__ = ["NpzKeys", "SingleCell", "SingleCellReader", "list_images"]


@dataclass(frozen=True)
class SingleCell:
    """One crop.

    Args:
        identity: its id, unique in the set; any text.
        image: phase in radians, ``(H, W)`` float32.
        group: name of its class or kind of outlier; None if not known.
        donor: None if not known.
        source: the file it came from.
        pixel_scale: side of its pixels in pixels of the file; not 1 if it was resized.
    """

    identity: str
    image: NDArray[np.float32]
    group: str | None
    donor: str | None
    source: str
    pixel_scale: float = 1.0


@dataclass(frozen=True)
class NpzKeys:
    """Names of the arrays of an ``.npz`` set of N cells.

    Args:
        images: ``(N, H, W)``, or ``(N, H, W, 3)`` for colour.
        labels: ``(N,)``, class names or indices; None for a set without.
        donors: ``(N,)``; None for a set without.
        ids: ``(N,)``; None numbers the cells.
    """

    images: str = "images"
    labels: str | None = "labels"
    donors: str | None = "donors"
    ids: str | None = None


@dataclass(frozen=True)
class SingleCellReader:
    """How single-cell crops become phase images of one size.

    Args:
        crop_size: side of the square crops in pixels.
        integer_phase_range: phases in radians that the smallest and largest value of an integer type stand for (0 and
            65535 for uint16). Integers have no unit of their own: without it they are refused.
        grey_from_colour: take the luminance of colour images; else they are refused.
        resize: bring images of another size to ``crop_size``; else they are refused.
        npz_keys: names of the arrays in ``.npz`` sets.
    """

    crop_size: int = 50
    integer_phase_range: tuple[float, float] | None = None
    grey_from_colour: bool = False
    resize: bool = False
    npz_keys: NpzKeys = field(default_factory=NpzKeys)

    def convert(self, image: NDArray[Any], name: str = "image") -> NDArray[np.float32]:
        """Return a crop as phase in radians, ``(crop_size, crop_size)``.

        Args:
            image: ``(H, W)``, ``(1, H, W)``, ``(H, W, 1)``, or with 3 or 4 colour channels at the end.
            name: how an error calls it.

        Raises:
            DataError: if the image is of another size, integer without a phase range, in colour, not finite or
                constant, and the settings do not say what to do.
        """
        image = _without_single_channel(image)
        check_array(image, None, name)
        if np.issubdtype(image.dtype, np.integer):
            if self.integer_phase_range is None:
                raise DataError(
                    f"{name} has integers ({image.dtype}), which have no unit; declare the phases in radians that "
                    f"{np.iinfo(image.dtype).min} and {np.iinfo(image.dtype).max} stand for, e.g. "
                    + _option("integer_phase_range", "'[0, 4]'")
                )
            low, high = self.integer_phase_range
            limits = np.iinfo(image.dtype)
            image = low + (high - low) * (image.astype(np.float64) - limits.min) / (limits.max - limits.min)
        if image.ndim == 3 and image.shape[-1] in (3, 4):
            if not self.grey_from_colour:
                raise DataError(
                    f"{name} has {image.shape[-1]} colour channels, a phase image has one; to take the luminance, set "
                    + _option("grey_from_colour", "true")
                )
            image = rgb2gray(image[..., :3])
        size = (self.crop_size, self.crop_size)
        if image.ndim == 2 and image.shape != size:
            if not self.resize:
                raise DataError(
                    f"{name} has shape {image.shape[0]} x {image.shape[1]}, expected {size[0]} x {size[1]}; to "
                    f"interpolate it, set {_option('resize', 'true')}"
                )
            image = resize(image, size, order=1, anti_aliasing=True, preserve_range=True)
        check_array(image, size, name)
        return image.astype(np.float32)

    def pixel_scale(self, image: NDArray[Any]) -> float:
        """Return the side of a pixel after :meth:`convert`, in pixels of the image as it was.

        Of an image that is not square it is the side of the square with the pixel's area.
        """
        height, width = _without_single_channel(image).shape[:2]
        return math.sqrt(height * width) / self.crop_size

    def read_folder(
        self, folder: str | os.PathLike[str], donor_of: Callable[[str], str], excluded: list[Exclusion]
    ) -> Iterator[SingleCell]:
        """Read ``<folder>/<class>/…`` crop by crop.

        Args:
            folder: its subfolders are named after the classes or kinds of outliers.
            donor_of: function from a file's name without suffix to its donor; raises :class:`DataError` if it has none.
            excluded: receives the files that cannot be used.
        """
        root = Path(folder)
        for group in sorted(path for path in root.iterdir() if path.is_dir()):
            for file in list_images(group):
                try:
                    donor = donor_of(file.stem)
                    stored = read_image(file)
                    image = self.convert(stored, file.name)
                except DataError as error:
                    excluded.append(Exclusion(file.relative_to(root).as_posix(), "crop", str(error), "cell"))
                    continue
                identity = file.relative_to(root).as_posix()
                yield SingleCell(identity, image, group.name, donor, file.name, self.pixel_scale(stored))

    def read_npz(self, path: str | os.PathLike[str], excluded: list[Exclusion]) -> Iterator[SingleCell]:
        """Read an ``.npz`` set cell by cell; of several cells with one id only the first is read.

        Args:
            path: the set.
            excluded: receives the cells that cannot be used.

        Raises:
            DataError: if the file cannot be read, lacks an array, or its arrays differ in length.
        """
        file = Path(path)
        arrays = self._load_npz(file)
        images = arrays["images"]
        known: set[str] = set()
        for number, image in enumerate(images):
            identity = str(arrays["ids"][number]) if "ids" in arrays else f"{number:06d}"
            try:
                if identity in known:
                    raise DataError(f"cell {number + 1} of the set has the id '{identity}' of an earlier one")
                known.add(identity)
                converted = self.convert(image, f"cell {identity}")
            except DataError as error:
                excluded.append(Exclusion(file.name, identity, str(error), "cell"))
                continue
            group, donor = (str(arrays[key][number]) if key in arrays else None for key in ("labels", "donors"))
            yield SingleCell(f"{file.stem}_{identity}", converted, group, donor, file.name, self.pixel_scale(image))

    def _load_npz(self, file: Path) -> dict[str, NDArray[Any]]:
        found = array_names(file)
        for role, key in vars(self.npz_keys).items():
            if key is not None and key not in found:
                none = "" if role == "images" else ", or null in place of NAME if there is none"
                raise DataError(
                    f"{file}: no array '{key}', found {', '.join(found) or 'none'}; name the {role} with "
                    f"{_option(f'npz_keys#{role}', 'NAME')}{none}"
                )
        arrays = read_arrays(file, vars(self.npz_keys))
        lengths = {role: len(array) if array.ndim else 0 for role, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"{file}: arrays of different length {lengths}, expected one entry per cell in each")
        return arrays


def _without_single_channel(image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim == 3 and 1 in (image.shape[0], image.shape[-1]):
        return image[0] if image.shape[0] == 1 else image[..., 0]
    return image


def _option(key: str, value: str) -> str:
    return f"--{key} {value} (preparing) or --prepare_overrides#{key} {value} (inferring)"


def list_images(path: str | os.PathLike[str]) -> list[Path]:
    """Return the image files in a folder and its subfolders, sorted; a file stands for itself."""
    given = Path(path)
    files = [given] if given.is_file() else given.rglob("*")
    return sorted(file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
