"""Every image read once: what cannot be used, what is there twice."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scripts.chest_image import read_chest_image
from scripts.source_image import SourceImage
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, content_digest
from shared.data.processes import in_processes

__all__ = ["ImageCheck"]

logger = logging.getLogger(__name__)

# images that one process reads before it reports
_CHUNK = 64


@dataclass(frozen=True)
class ImageCheck:
    """Leaves out images that cannot be used.

    Args:
        read: whether to read every image. Otherwise files need only be there: for sets that were checked before, since
            reading a quarter of a million takes long.
        minimum_size: least number of rows and of columns.
    """

    read: bool = True
    minimum_size: int = 32

    def __call__(
        self, images: Sequence[SourceImage], source: Path, workers: int = 1, progress: bool = True
    ) -> tuple[list[SourceImage], list[Exclusion]]:
        """Check all images.

        An image of one patient that is there twice counts once. An image that two patients have is left out of both,
        since nobody can say whose it is; the two are named in a warning, because they may be one person under two
        names. A second image with the name of an earlier one is left out.

        Args:
            images: of a source.
            source: its folder, which the reasons name the files relative to.
            workers: number of processes.
            progress: whether to show a progress bar.

        Returns:
            The images that passed, and what was left out.
        """
        facts = self._facts([image.path for image in images], workers, progress)
        owners = defaultdict(list)
        for image, fact in zip(images, facts, strict=True):
            if fact.digest:
                owners[fact.digest].append(image)
        kept, excluded, names = [], [], set()
        for image, fact in zip(images, facts, strict=True):
            reason = fact.fault or _repetition(image, owners[fact.digest] if fact.digest else [], source)
            if reason is None and image.identity in names:
                reason = f"the name '{image.identity}' is taken by an earlier image; names must be unique"
            if reason is None:
                kept.append(image)
                names.add(image.identity)
            else:
                excluded.append(Exclusion(_place(image.path, source), image.identity, reason, "image"))
        _warn_of_shared_images(owners)
        return kept, excluded

    def _facts(self, paths: Sequence[Path], workers: int, progress: bool) -> list[_Facts]:
        if not self.read:
            return [_Facts(None, None if path.is_file() else f"{path}: no such file") for path in paths]
        chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
        facts: dict[int, list[_Facts]] = {}
        with tqdm(total=len(paths), desc="checking", unit="image", disable=not progress) as bar:
            for index, found in in_processes(self._inspect, chunks, workers):
                facts[index] = found
                bar.update(len(found))
        return [fact for index in range(len(chunks)) for fact in facts[index]]

    def _inspect(self, paths: Sequence[Path]) -> list[_Facts]:
        return [self._inspect_one(path) for path in paths]

    def _inspect_one(self, path: Path) -> _Facts:
        try:
            image = read_chest_image(path)
        except DataError as error:
            return _Facts(None, str(error))
        if min(image.shape) < self.minimum_size:
            return _Facts(
                None, f"{path}: is of {image.shape[0]} x {image.shape[1]} pixels, expected {self.minimum_size}"
            )
        return _Facts(content_digest(np.ascontiguousarray(image)), None)


@dataclass(frozen=True)
class _Facts:
    """SHA-256 of an image's values, or why it cannot be used."""

    digest: str | None
    fault: str | None


def _repetition(image: SourceImage, same: Sequence[SourceImage], source: Path) -> str | None:
    """Return what is wrong with an image that there is more than once, None if nothing is."""
    others = [other for other in same if other.patient != image.patient]
    if others:
        return f"is the same image as {_place(others[0].path, source)} of another patient; remove the wrong one"
    if same and same[0] is not image:
        return f"repeats {_place(same[0].path, source)} of the same patient; an image counts once"
    return None


def _warn_of_shared_images(owners: dict[str, list[SourceImage]]) -> None:
    pairs = Counter(tuple(sorted({image.patient for image in same})) for same in owners.values())
    for names, number in sorted(pairs.items()):
        if len(names) > 1:
            logger.warning(
                "patients %s share %d image(s), which were left out; they may be one person under two names",
                " and ".join(names),
                number,
            )


def _place(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else str(path)
