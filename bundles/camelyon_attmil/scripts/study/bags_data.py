"""The public data sets of multiple-instance learning as bags: classical features, bags of digits, nuclei of the colon.

Sources: MUSK (Dietterich et al. 1997), Fox and Elephant (Andrews et al. 2002); MNIST-bags (Ilse et al. 2018, section
4.2) from MNIST (LeCun et al. 1998); CRCHistoPhenotypes (Sirinukunwattana et al. 2016).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from scripts.study.bags import Bags
from shared.data.errors import DataError

__all__ = ["Digits", "draw_mnist_bags", "read_classic", "read_colon", "read_mnist"]

#: images and labels of a section of MNIST, with the number that the format begins with
MNIST_FILES = {
    "training": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
IMAGE_MAGIC, LABEL_MAGIC = 2051, 2049
COLON_COLUMNS = ("image", "x", "y", "class")

Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read_classic(folder: Path, name: str) -> tuple[Bags, NDArray[np.bool_]]:
    """Read a classical data set of features.

    Args:
        folder: with ``<name>.npz`` (``X`` ``(T, E)``, ``bag`` ``(T,)``, ``y`` ``(B,)``, ``bag_names``) and
            ``<name>_folds.npz`` (``train``, ``(repeats, folds, B)``).
        name: ``musk1``, say.

    Returns:
        The bags, features as they are, float32; and whether a bag is for training, ``(repeats, folds, B)``.

    Raises:
        DataError: if a file or an array is missing, arrays do not fit together, a feature is not finite, or the folds
            of a repeat do not hold out every bag once.
    """
    data, masks = _arrays(folder / f"{name}.npz", ("X", "bag", "y")), _arrays(folder / f"{name}_folds.npz", ("train",))
    features, owner, labels = data["X"], data["bag"], data["y"]
    if len(features) != len(owner) or owner.min() < 0 or owner.max() >= len(labels):
        raise DataError(
            f"{folder / name}.npz: found {len(features)} instances, {len(owner)} indices of bags up to {owner.max()} "
            f"and {len(labels)} labels; expected an index for each instance and a label for each index"
        )
    if not np.isfinite(features).all():
        raise DataError(f"{folder / name}.npz: 'X' has values that are not finite")
    lengths = np.bincount(owner, minlength=len(labels))
    order = np.argsort(owner, kind="stable")
    training = masks["train"].astype(bool)
    if training.ndim != 3 or training.shape[2] != len(labels) or ((~training).sum(axis=1) != 1).any():
        raise DataError(
            f"{folder / name}_folds.npz: 'train' has the shape {training.shape}; expected (repeats, folds, "
            f"{len(labels)}), each bag left out in one fold of each repeat"
        )
    names = data.get("bag_names", np.arange(len(labels)))
    return (
        Bags(
            torch.tensor(features[order], dtype=torch.float32),
            torch.tensor(lengths, dtype=torch.int64),
            torch.tensor(labels.astype(np.int64)),
            tuple(str(bag) for bag in names),
        ),
        training,
    )


def read_mnist(folder: Path, section: str) -> Digits:
    """Read a section of MNIST from its own gzipped files.

    Args:
        folder: with the four files.
        section: ``training`` or ``test``.

    Returns:
        Images ``(N, 28, 28)`` and digits ``(N,)``, uint8.

    Raises:
        DataError: if a file is missing or of another format.
    """
    images_file, labels_file = (folder / name for name in MNIST_FILES[section])
    images = _idx(images_file, IMAGE_MAGIC, dimensions=3)
    labels = _idx(labels_file, LABEL_MAGIC, dimensions=1)
    if len(images) != len(labels):
        raise DataError(f"{folder}: found {len(images)} images and {len(labels)} labels of '{section}'; expected equal")
    return images, labels


def draw_mnist_bags(
    digits: Digits, number: int, mean_size: float, size_deviation: float, seed: int, target: int = 9
) -> Bags:
    """Draw bags of digits (Ilse et al. 2018, section 4.2): positive if there is at least one of the target.

    Half of the bags are positive. A bag's size is normal, rounded, and at least 1; its digits are drawn at random with
    replacement, of a negative bag among all that are not the target. A positive bag is drawn again until it has a
    target, as in the authors' program: of large bags, almost all would be positive otherwise.

    Args:
        digits: images ``(N, 28, 28)`` and digits ``(N,)``.
        number: of bags; of an odd number the larger half is negative.
        mean_size: mean of their sizes.
        size_deviation: standard deviation of their sizes.
        seed: of all draws.
        target: the digit to be found.

    Returns:
        The bags in random order, images ``(T, 1, 28, 28)`` uint8, with the places of the target as truth.
    """
    images, labels = digits
    others = np.flatnonzero(labels != target)
    rng = np.random.default_rng(seed)
    drawn = []
    for positive in rng.permutation(np.arange(number) < number // 2):
        size = max(1, round(rng.normal(mean_size, size_deviation)))
        chosen = rng.choice(others, size) if not positive else rng.integers(len(labels), size=size)
        while positive and not (labels[chosen] == target).any():
            chosen = rng.integers(len(labels), size=size)
        drawn.append(chosen)
    rows = np.concatenate(drawn)
    truth = torch.tensor(labels[rows] == target)
    lengths = torch.tensor([len(chosen) for chosen in drawn])
    return Bags(
        torch.tensor(images[rows])[:, None],
        lengths,
        torch.tensor([int((labels[chosen] == target).any()) for chosen in drawn]),
        tuple(f"bag{index + 1}" for index in range(number)),
        truth,
    )


def read_colon(folder: Path, size: int = 27, target: str = "epithelial") -> Bags:
    """Cut a patch around each marked nucleus of the colon images; a bag is an image.

    A patch that would reach over the image's border is completed by mirroring.

    Args:
        folder: with ``nuclei.csv`` (image, x, y in pixels, class) and ``images/<image>.png``.
        size: height and width of a patch, pixels, odd.
        target: class of nuclei that makes a bag positive.

    Returns:
        Bags of all images that have a nucleus, in the order of their names; patches ``(T, 3, size, size)`` uint8, the
        nuclei of the class as truth, and their places.

    Raises:
        DataError: if a file or column is missing, an image is not RGB, or a nucleus lies outside its image.
    """
    table_file = folder / "nuclei.csv"
    if not table_file.is_file():
        raise DataError(f"{table_file}: no such file; expected a table of nuclei with {', '.join(COLON_COLUMNS)}")
    table = pd.read_csv(table_file)
    if missing := [name for name in COLON_COLUMNS if name not in table]:
        raise DataError(f"{table_file}: no column {', '.join(missing)}; found {', '.join(table.columns)}")
    patches, groups = [], [(str(name), group) for name, group in table.groupby("image", sort=True)]
    for name, group in groups:
        patches.append(_patches(folder / "images" / f"{name}.png", group[["x", "y"]].to_numpy(), size))
    ordered = pd.concat([group for _, group in groups])
    truth = torch.tensor((ordered["class"] == target).to_numpy())
    lengths = torch.tensor([len(group) for _, group in groups])
    return Bags(
        torch.from_numpy(np.concatenate(patches)),
        lengths,
        torch.tensor([int((group["class"] == target).any()) for _, group in groups]),
        tuple(name for name, _ in groups),
        truth,
        torch.tensor(ordered[["x", "y"]].to_numpy(), dtype=torch.float32),
    )


def _patches(path: Path, places: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(f"{path}: no such image; expected one for each name in nuclei.csv")
    with Image.open(path) as file:
        if file.mode != "RGB":
            raise DataError(f"{path}: its colours are {file.mode}, expected RGB")
        image = np.asarray(file)
    height, width = image.shape[:2]
    column, row = np.floor(places).astype(np.int64).T
    # a nucleus on the very border may be marked at its far edge
    if outside := int(((column < 0) | (column > width) | (row < 0) | (row > height)).sum()):
        raise DataError(f"{path}: {outside} nuclei lie outside the {width} x {height} pixels; check x and y")
    column, row = column.clip(max=width - 1), row.clip(max=height - 1)
    half = size // 2
    mirrored = np.pad(image, ((half, half), (half, half), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, (size, size), axis=(0, 1))  # (H, W, 3, size, size)
    return windows[row, column]


def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected arrays {', '.join(names)}")
    with np.load(path, allow_pickle=False) as file:
        if missing := [name for name in names if name not in file.files]:
            raise DataError(f"{path}: no array {', '.join(missing)}; found {', '.join(file.files)}")
        return {name: file[name] for name in file.files}


def _idx(path: Path, magic: int, dimensions: int) -> NDArray[np.uint8]:
    """Read a gzipped file of LeCun's idx format: number of the format, sizes, then bytes."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected MNIST as its authors published it")
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); fetch it again") from error
    header = np.frombuffer(content[: 4 * (1 + dimensions)], dtype=">u4")
    sizes = [int(size) for size in header[1:]]
    body = np.frombuffer(content[4 * (1 + dimensions) :], dtype=np.uint8)
    if len(header) != 1 + dimensions or header[0] != magic or len(body) != np.prod(sizes):
        raise DataError(f"{path}: not of MNIST's format: it begins with {header.tolist()} and has {len(body)} bytes")
    return body.reshape(sizes)
