"""Where a data set keeps its patients: one table of attributes, and one folder of images per patient."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.attribute_table import Attributes, AttributeTable
from shared.data.arrays import IMAGE_SUFFIXES
from shared.data.errors import DataError
from shared.data.integrity import Exclusion

__all__ = ["Patient", "SourceLayout", "list_images"]

SUFFIXES = tuple(suffix for suffix in IMAGE_SUFFIXES if suffix != ".npy")


@dataclass(frozen=True)
class Patient:
    """A patient with all images.

    Args:
        attributes: what the table says.
        folder: the patient's folder.
        images: image files in it, sorted.
    """

    attributes: Attributes
    folder: Path
    images: tuple[Path, ...]

    @property
    def identity(self) -> str:
        """The patient's name."""
        return self.attributes.identity


@dataclass(frozen=True)
class SourceLayout:
    """One published way to lay a data set out: ``<table>`` and ``<folder>/<patient>/<image>``.

    Args:
        table: file name of the table of attributes.
        folders: folders that hold one folder per patient; those that are not there are passed over, a patient may be
            in one of them only.
        columns: name of the table's columns by role, see :meth:`AttributeTable.read`.
        attributes: reads the table.
        smear_pattern: regular expression with a group ``smear``, searched in an image's path relative to the
            patient's folder; None if the smears of a patient are not told apart.

    Raises:
        DataError: if the pattern is no regular expression or has no such group.
    """

    table: str
    folders: Sequence[str]
    columns: Mapping[str, str | None]
    attributes: AttributeTable
    smear_pattern: str | None = None

    def __post_init__(self) -> None:
        if self.smear_pattern is not None:
            try:
                named = re.compile(self.smear_pattern).groupindex
            except re.error as error:
                raise DataError(f"smear_pattern '{self.smear_pattern}' is no regular expression: {error}") from error
            if "smear" not in named:
                raise DataError(f"smear_pattern '{self.smear_pattern}' needs a group (?P<smear>…)")

    def describe(self) -> str:
        """Return what a folder of this layout holds."""
        return f"{self.table} with {' or '.join(self.folders)}/<patient>/"

    def fits(self, source: Path) -> bool:
        """Return whether a folder has this layout's table."""
        return (source / self.table).is_file()

    def files(self, source: Path) -> list[Path]:
        """Return the table and all files in the folders of patients."""
        inside = [path for root in self._roots(source) for path in root.rglob("*") if path.is_file()]
        return [source / self.table, *sorted(inside)]

    def read(self, source: Path) -> tuple[list[Patient], list[Exclusion]]:
        """Return the patients that have attributes and a folder of images, and what was left out.

        Raises:
            DataError: if the table cannot be used or there is no folder of images at all.
        """
        known, excluded = self.attributes.read(source / self.table, self.columns)
        rejected = {item.source for item in excluded if item.item == "patient"}
        found: dict[str, list[Path]] = {}
        for root in self._roots(source):
            for path in sorted(root.iterdir()):
                if path.is_dir():
                    found.setdefault(path.name, []).append(path)
                elif path.suffix.lower() in SUFFIXES:
                    name = path.relative_to(source).as_posix()
                    reason = f"lies in no patient's folder, expected {root.name}/<patient>"
                    excluded.append(Exclusion(name, "image", reason))
        patients = []
        for attributes in known:
            folders = found.pop(attributes.identity, [])
            try:
                patients.append(self._patient(attributes, folders, source, excluded))
            except DataError as error:
                excluded.append(Exclusion(attributes.identity, "patient", str(error)))
        for identity, folders in found.items():
            if identity not in rejected:
                images = sum(len(list_images(folder)[0]) for folder in folders)
                reason = f"{images} image(s) in {_names(folders, source)}, but no row in {self.table}"
                excluded.append(Exclusion(identity, "patient", reason))
        return patients, excluded

    def smear(self, patient: Patient, image: Path) -> str | None:
        """Return the smear of an image, None if smears are not told apart.

        Raises:
            DataError: if the pattern does not match.
        """
        if self.smear_pattern is None:
            return None
        name = image.relative_to(patient.folder).as_posix()
        match = re.search(self.smear_pattern, name)
        if match is None or not match["smear"]:
            raise DataError(f"no smear found in '{name}', expected it to match '{self.smear_pattern}'")
        return match["smear"]

    def _roots(self, source: Path) -> list[Path]:
        roots = [source / folder for folder in self.folders if (source / folder).is_dir()]
        if not roots:
            raise DataError(
                f"{source}: has {self.table} but no folder {' or '.join(self.folders)} with one folder of images per "
                "patient"
            )
        return roots

    def _patient(
        self, attributes: Attributes, folders: Sequence[Path], source: Path, excluded: list[Exclusion]
    ) -> Patient:
        if not folders:
            places = " or ".join(f"{folder}/{attributes.identity}" for folder in self.folders)
            raise DataError(f"in {self.table}, but without images; expected a folder {places}")
        if len(folders) > 1:
            raise DataError(f"in two splits: {_names(folders, source)}; remove the folder that is wrong")
        images, others = list_images(folders[0])
        for path in others:
            reason = f"is no image, expected one of {', '.join(SUFFIXES)}"
            excluded.append(Exclusion(path.relative_to(source).as_posix(), attributes.identity, reason, "file"))
        if not images:
            raise DataError(f"without images: {_names(folders, source)} holds none of the kinds {', '.join(SUFFIXES)}")
        return Patient(attributes, folders[0], tuple(images))


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the image files below a folder and the other files, each sorted; hidden files are passed over."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    return images, [path for path in files if path.suffix.lower() not in SUFFIXES]


def _names(paths: Sequence[Path], source: Path) -> str:
    return " and ".join(path.relative_to(source).as_posix() for path in paths)
