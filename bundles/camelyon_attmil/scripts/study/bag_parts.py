"""The bags that a run trains, validates and tests on, ready for its network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from scripts.study.bag_training import Augment
from scripts.study.bags import Bags
from scripts.study.bags_data import draw_mnist_bags, read_classic, read_colon, read_mnist
from scripts.study.grid import Run
from scripts.study.patch_augmentation import PatchAugmentation, patch_statistics, standardised_patches
from scripts.study.phantom_slides import PhantomSlides, read_phantom_slides
from scripts.study.settings import BagStudySettings
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.phantoms.planted_bags import PlantedBags, PlantedSet
from shared.study.code_hash import code_sha256

__all__ = ["Parts", "bag_parts", "data_files", "data_sha256", "phantom_slides"]

#: mean and standard deviation of the grey values of MNIST's training images
MNIST_MEAN, MNIST_DEVIATION = 0.1307, 0.3081
#: between seeds of drawings of bags; the test bags have one of their own
TEST_SEED, SEED_STEP = 0, 10

# a process does many runs on the same data
_read_classic = lru_cache(maxsize=4)(read_classic)
_read_mnist = lru_cache(maxsize=2)(read_mnist)
_read_colon = lru_cache(maxsize=1)(read_colon)
_read_phantom_slides = lru_cache(maxsize=1)(read_phantom_slides)


@dataclass(frozen=True)
class Parts:
    """The bags of one run.

    Attributes:
        training: as ``augment`` takes them, or the network where there is none.
        validation: as the network takes them; None if no choice is made.
        test: as the network takes them; held out.
        test_index: numbers of the test bags in the data, ``(B,)``.
        augment: see :func:`~scripts.study.bag_training.train_bags`.
    """

    training: Bags
    validation: Bags | None
    test: Bags
    test_index: NDArray[np.intp]
    augment: Augment | None = None


def bag_parts(settings: BagStudySettings, data: Path, run: Run) -> Parts:
    """Return the bags of a run. Whatever is fitted to them (mean and spread) is fitted to the training bags.

    Args:
        settings: of the study.
        data: folder of the data.
        run: condition, repeat and fold decide; all models get the same.

    Raises:
        DataError: if the data are not as expected, or have fewer folds or repeats than the settings.
    """
    kinds = {"classic": _classic, "mnist": _mnist, "colon": _colon, "planted": _planted, "slides": _slides}
    return kinds[settings.data](settings, data, run)


def phantom_slides(settings: BagStudySettings, data: Path, condition: str) -> PhantomSlides:
    """Return the phantom slides of a condition; test bags are numbered in their order."""
    return _read_phantom_slides(data, settings.conditions[condition]["tumour_share"])


def data_files(settings: BagStudySettings, data: Path, condition: str) -> list[Path]:
    """Return the files that a condition's bags are read from."""
    if settings.data == "classic":
        return [data / f"{condition}.npz", data / f"{condition}_folds.npz"]
    if settings.data == "mnist":
        return sorted(data.glob("*-ubyte.gz"))
    if settings.data == "slides":
        return sorted((data / "features").glob("*.h5"))
    return [data / "nuclei.csv", *sorted((data / "images").glob("*.png"))]


def data_sha256(settings: BagStudySettings, data: Path, condition: str) -> str:
    """Return the hash of the files of a condition: of a single one its own, of several that of their hashes.

    Planted bags have no files: theirs is the hash of the code that draws them by the settings.
    """
    if settings.data == "planted":
        return code_sha256(["shared.phantoms.planted_bags"])
    files = data_files(settings, data, condition)
    if missing := [path for path in files if not path.is_file()] or not files:
        raise DataError(f"{data}: no files of '{condition}' there ({missing if files else 'none found'})")
    return hashlib.sha256("".join(sha256_file(path) for path in files).encode()).hexdigest()


def _classic(settings: BagStudySettings, data: Path, run: Run) -> Parts:
    bags, masks = _read_classic(data, run.condition)
    if run.repeat >= masks.shape[0] or settings.folds > masks.shape[1]:
        raise DataError(
            f"{data / run.condition}_folds.npz: has {masks.shape[0]} repeats of {masks.shape[1]} folds, too few for "
            f"repeat {run.repeat + 1} of {settings.folds} folds"
        )
    mask = masks[run.repeat, run.fold]
    test = np.flatnonzero(~mask)
    training, validation = _divided(bags, np.flatnonzero(mask), settings.validation_share, run.seed)
    known = bags.of(training).instances
    deviation = known.std(0, correction=0)
    # a feature that is the same everywhere says nothing
    scale = torch.where(deviation > 1e-6 * known.abs().amax(0).clamp(min=1e-12), 1 / deviation.clamp(min=1e-12), 0.0)
    ready = bags.with_instances((bags.instances - known.mean(0)) * scale)
    return Parts(ready.of(training), ready.of(validation) if len(validation) else None, ready.of(test), test)


def _mnist(settings: BagStudySettings, data: Path, run: Run) -> Parts:
    drawing = settings.conditions[run.condition]
    size, deviation = drawing["mean_size"], drawing["size_deviation"]
    seed = SEED_STEP * (run.repeat + 1)
    drawn = draw_mnist_bags(_read_mnist(data, "training"), drawing["bags"], size, deviation, seed)
    test = draw_mnist_bags(_read_mnist(data, "test"), settings.test_bags, size, deviation, TEST_SEED)
    training, validation = _divided(drawn, np.arange(len(drawn)), settings.validation_share, run.seed)
    ready = _standardised_digits(drawn)
    return Parts(
        ready.of(training),
        ready.of(validation) if len(validation) else None,
        _standardised_digits(test),
        np.arange(len(test)),
    )


def _standardised_digits(bags: Bags) -> Bags:
    return bags.with_instances((bags.instances.float() / 255 - MNIST_MEAN) / MNIST_DEVIATION)


def _colon(settings: BagStudySettings, data: Path, run: Run) -> Parts:
    bags = _read_colon(data)
    labels = bags.labels.numpy()
    partition = StratifiedKFold(settings.folds, shuffle=True, random_state=run.repeat)
    rest, test = list(partition.split(labels, labels))[run.fold]
    training, validation = _divided(bags, rest, settings.validation_share, run.seed)
    raw = bags.of(training)
    statistics = patch_statistics(raw.instances)

    def ready(index: NDArray[np.intp]) -> Bags:
        part = bags.of(index)
        return part.with_instances(standardised_patches(part.instances, *statistics))

    chosen = ready(validation) if len(validation) else None
    if settings.stain_deviation is None:
        return Parts(ready(training), chosen, ready(test), test)
    return Parts(raw, chosen, ready(test), test, PatchAugmentation(*statistics, settings.stain_deviation))


def _planted(settings: BagStudySettings, data: Path, run: Run) -> Parts:  # noqa: ARG001
    training, test = _drawn_bags(
        json.dumps(settings.conditions[run.condition], sort_keys=True), settings.test_bags, run.repeat
    )
    return Parts(training, None, test, np.arange(len(test)))


@lru_cache(maxsize=1)
def _drawn_bags(condition: str, test_bags: int, repeat: int) -> tuple[Bags, Bags]:
    drawing = json.loads(condition)
    planted = PlantedBags(**drawing["planted"], seed=repeat)
    return _of_planted(planted.draw(drawing["bags"], seed=0)), _of_planted(planted.draw(test_bags, seed=1))


def _of_planted(drawn: PlantedSet) -> Bags:
    bags, instances = drawn.truth.shape
    return Bags(
        torch.from_numpy(drawn.features).flatten(0, 1),
        torch.full((bags,), instances),
        torch.from_numpy(drawn.labels),
        tuple(str(number) for number in range(bags)),
        torch.from_numpy(drawn.truth).flatten(),
    )


def _slides(settings: BagStudySettings, data: Path, run: Run) -> Parts:
    slides = phantom_slides(settings, data, run.condition)
    partition = StratifiedKFold(settings.folds, shuffle=True, random_state=run.repeat)
    rest, test = list(partition.split(slides.kinds, slides.kinds))[run.fold]
    training, validation = _divided(slides.bags, rest, settings.validation_share, run.seed)
    chosen = slides.bags.of(validation) if len(validation) else None
    return Parts(slides.bags.of(training), chosen, slides.bags.of(test), test)


def _divided(bags: Bags, index: NDArray[np.intp], share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide bags into those for training and, by their share, for validation, both classes in equal shares."""
    if share == 0:
        return index, index[:0]
    training, validation = train_test_split(
        index, test_size=share, stratify=bags.labels.numpy()[index], random_state=seed
    )
    return np.sort(training), np.sort(validation)
