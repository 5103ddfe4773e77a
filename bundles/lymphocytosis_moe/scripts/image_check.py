"""Every image of every patient, read once: what cannot be used, what is there twice."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from scripts.source_layout import Patient
from shared.data.arrays import read_image
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, content_digest
from shared.data.processes import in_processes

__all__ = ["ImageCheck", "ImageFacts", "inspect_image"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image without keeping it.

    Args:
        size: rows and columns.
        digest: SHA-256 of the pixels; equal for a file and its renamed or otherwise compressed lossless copy.
    """

    size: tuple[int, int]
    digest: str


@dataclass(frozen=True)
class ImageCheck:
    """Leaves out images that cannot be used, and patients of whom too few remain.

    Args:
        size: rows and columns that every image must have, or one number for both; None takes the size that most images
            have.
        minimum_images: least number of images of a patient.
    """

    size: int | Sequence[int] | None = None
    minimum_images: int = 5

    def __call__(
        self, patients: Sequence[Patient], source: Path, workers: int = 1, progress: bool = True
    ) -> tuple[list[Patient], list[Exclusion], tuple[int, int] | None]:
        """Check all images.

        An image of one patient that is there twice counts once. An image that two patients have is left out of both,
        since nobody can say whose cell it shows; patients who share images are named in a warning, because they may be
        one person under two names.

        Args:
            patients: with their image files.
            source: folder that the reasons name the images relative to.
            workers: number of processes.
            progress: whether to show a progress bar.

        Returns:
            The patients with the images that passed, what was left out, and the images' rows and columns (None if no
            image could be read).
        """
        facts, excluded = _inspect(patients, source, workers, progress)
        size = _usual_size(facts) if self.size is None else _rows_and_columns(self.size)
        owners = defaultdict(list)
        for patient, of_patient in zip(patients, facts, strict=True):
            for path, fact in of_patient.items():
                if fact.size == size:
                    owners[fact.digest].append((patient.identity, path.relative_to(source).as_posix()))
        kept = []
        for patient, of_patient in zip(patients, facts, strict=True):
            images = []
            for path, fact in of_patient.items():
                name = path.relative_to(source).as_posix()
                reason = _fault(fact, size, patient.identity, name, owners)
                if reason is None:
                    images.append(path)
                else:
                    excluded.append(Exclusion(name, patient.identity, reason))
            if len(images) < self.minimum_images:
                reason = (
                    f"{len(images)} usable image(s) of {len(patient.images)}, expected at least {self.minimum_images} "
                    "(minimum_images)"
                )
                excluded.append(Exclusion(patient.identity, "patient", reason))
            else:
                kept.append(replace(patient, images=tuple(images)))
        _warn_of_shared_images(owners)
        return kept, excluded, size


def inspect_image(path: Path) -> ImageFacts:
    """Read an image and describe it.

    Raises:
        DataError: if it cannot be read to its end, is not 8-bit RGB, or shows nothing.
    """
    image = read_image(path)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != "uint8":
        shape = " x ".join(map(str, image.shape))
        raise DataError(f"{path}: is {shape} of type {image.dtype}, expected rows x columns x 3 of 8 bits (RGB)")
    if (image == image[0, 0]).all():
        raise DataError(f"{path}: is of one colour, {tuple(image[0, 0].tolist())}; expected a cell")
    return ImageFacts((image.shape[0], image.shape[1]), content_digest(image))


def _inspect(
    patients: Sequence[Patient], source: Path, workers: int, progress: bool
) -> tuple[list[dict[Path, ImageFacts]], list[Exclusion]]:
    """Return the facts of the readable images of each patient, and the others with the reason."""
    facts: list[dict[Path, ImageFacts]] = [{} for _ in patients]
    faults: list[list[Exclusion]] = [[] for _ in patients]
    total = sum(len(patient.images) for patient in patients)
    with tqdm(total=total, desc="checking", unit="image", disable=not progress) as bar:
        images = [patient.images for patient in patients]
        for index, results in in_processes(_inspect_all, images, workers):
            for path, result in zip(images[index], results, strict=True):
                if isinstance(result, ImageFacts):
                    facts[index][path] = result
                else:
                    name = path.relative_to(source).as_posix()
                    faults[index].append(Exclusion(name, patients[index].identity, result))
            bar.update(len(results))
    return facts, [fault for of_patient in faults for fault in of_patient]


def _inspect_all(paths: Sequence[Path]) -> list[ImageFacts | str]:
    """Return the facts of each image, or why there are none."""

    def facts_or_reason(path: Path) -> ImageFacts | str:
        try:
            return inspect_image(path)
        except DataError as error:
            return str(error)

    return [facts_or_reason(path) for path in paths]


def _usual_size(facts: Sequence[dict[Path, ImageFacts]]) -> tuple[int, int] | None:
    sizes = Counter(fact.size for of_patient in facts for fact in of_patient.values())
    return min(sizes, key=lambda size: (-sizes[size], size)) if sizes else None


def _rows_and_columns(size: int | Sequence[int]) -> tuple[int, int]:
    rows, columns = (size, size) if isinstance(size, int) else size
    return rows, columns


def _fault(
    fact: ImageFacts,
    size: tuple[int, int] | None,
    identity: str,
    name: str,
    owners: dict[str, list[tuple[str, str]]],
) -> str | None:
    """Return why a readable image is left out, None if it is not."""
    if fact.size != size:
        found, expected = (f"{shape[0]} x {shape[1]}" for shape in (fact.size, size or (0, 0)))
        return f"is of {found} pixels, expected {expected} as of the other images or as image_size says"
    same = owners[fact.digest]
    others = [copy for owner, copy in same if owner != identity]
    if others:
        return f"is the same image as {others[0]} of another patient; remove the wrong one"
    first = same[0][1]
    return None if name == first else f"repeats {first}; a cell counts once"


def _warn_of_shared_images(owners: dict[str, list[tuple[str, str]]]) -> None:
    pairs = Counter(tuple(sorted({owner for owner, _ in same})) for same in owners.values())
    for names, number in sorted(pairs.items()):
        if len(names) > 1:
            logger.warning(
                "patients %s share %d image(s), which were left out; they may be one person under two names",
                " and ".join(names),
                number,
            )
