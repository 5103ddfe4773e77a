"""The folders of CAMELYON16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scripts.source_slide import SLIDE_SUFFIXES, SourceSlide, ambiguous_names
from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.data.text_table import read_text_table

__all__ = ["PARTLY_ANNOTATED", "PHANTOM_TABLE", "WITHDRAWN", "Camelyon16Layout"]

_FOLDERS = ("training/normal", "training/tumor", "testing/images")

#: a file that only phantoms have
PHANTOM_TABLE = "phantom.csv"
#: of the data set's README.md, "Notes about the data": removed by its publishers, but still in older copies
WITHDRAWN = {
    "normal_086": "shows tumour, and was published again as tumor_111",
    "test_049": "repeats another slide",
}
#: of the same notes: "there might be tumor areas in these slides which have not been annotated"
PARTLY_ANNOTATED = (
    *(f"tumor_{number:03d}" for number in (10, 15, 18, 20, 25, 29, 33, 34, 44, 46, 51, 54, 55, 56, 67, 79, 85, 92, 95)),
    "tumor_110",
    "test_114",
)


@dataclass(frozen=True)
class Camelyon16Layout:
    """CAMELYON16: folders tell the labels of the training slides, ``reference.csv`` those of the test slides.

    ::

        training/normal/normal_001.tif                     testing/images/test_001.tif
        training/tumor/tumor_001.tif                       testing/lesion_annotations/test_001.xml
        training/lesion_annotations/tumor_001.xml          testing/reference.csv, or reference.csv

    ``reference.csv`` has the columns name, class (``Tumor`` or ``Normal``), type of carcinoma, kind of metastasis, with
    or without a header. Every slide is from another patient.

    What is known of slides by their names does not hold for phantoms, which have the same names. Names are compared
    without regard to case: older copies have Tumor_001.tif.

    Args:
        withdrawn: slides that are not used, with the reason.
        partly_annotated: slides on which not all tumour is outlined. Their labels count; outside of their outlines
            nothing is known, so that they have no part in what is measured against tiles or lesions.
    """

    withdrawn: Mapping[str, str] = field(default_factory=lambda: dict(WITHDRAWN))
    partly_annotated: Sequence[str] = PARTLY_ANNOTATED

    def describe(self) -> str:
        """Say what a folder of this layout holds."""
        return "training/normal, training/tumor or testing/images with slides (CAMELYON16)"

    def fits(self, source: Path) -> bool:
        """Return whether a folder has this layout."""
        return any((source / folder).is_dir() for folder in _FOLDERS)

    def files(self, source: Path) -> list[Path]:
        """Return all files that the preparation depends on."""
        annotations = [*(source / "training/lesion_annotations").glob("*.xml")]
        annotations += (source / "testing/lesion_annotations").glob("*.xml")
        reference = _reference(source)
        slides = [path for folder in _FOLDERS for path in _slides(source / folder)]
        return sorted([*slides, *annotations, *([] if reference is None else [reference])])

    def read(self, source: Path) -> tuple[list[SourceSlide], list[Exclusion]]:
        """Return the slides, and what cannot be used, with the reason.

        Raises:
            DataError: if ``reference.csv`` is missing or cannot be understood.
        """
        normal, tumour = _slides(source / "training/normal"), _slides(source / "training/tumor")
        annotations = source / "training/lesion_annotations"
        found = [SourceSlide(path.stem, path, path.stem, 0, published="training") for path in normal]
        found += [_tumour(path, annotations, "training") for path in tumour]
        excluded: list[Exclusion] = []
        tests = _slides(source / "testing/images")
        truth = self._test_truth(source) if tests else {}
        for path in tests:
            label, kind = truth.get(path.stem.lower(), (None, None))
            if label == 1:
                found.append(_tumour(path, source / "testing/lesion_annotations", "test", kind))
            elif label == 0 or path.stem.lower() in self.withdrawn:
                found.append(SourceSlide(path.stem, path, path.stem, label, published="test"))
            else:
                reason = "is not in reference.csv; add its row, or take the slide out"
                excluded.append(_exclusion(path, source, reason))
        taken = ambiguous_names((slide.identity, slide.path.relative_to(source)) for slide in found)
        excluded += [
            _exclusion(slide.path, source, taken[slide.identity]) for slide in found if slide.identity in taken
        ]
        found = [slide for slide in found if slide.identity not in taken]
        if (source / PHANTOM_TABLE).is_file():
            return found, excluded
        return self._noted(found, source, excluded)

    def _noted(
        self, slides: Sequence[SourceSlide], source: Path, excluded: Sequence[Exclusion]
    ) -> tuple[list[SourceSlide], list[Exclusion]]:
        """Return the slides without those that were withdrawn, the others with what is known of their annotations."""
        kept, left_out = [], list(excluded)
        for slide in slides:
            name = slide.identity.lower()
            if name in self.withdrawn:
                left_out.append(_exclusion(slide.path, source, f"{self.withdrawn[name]} (camelyon16#withdrawn)"))
            else:
                kept.append(replace(slide, partly_annotated=name in self.partly_annotated))
        return kept, left_out

    @staticmethod
    def _test_truth(source: Path) -> dict[str, tuple[int, str | None]]:
        """Return label and kind of metastasis of the test slides, by their names in lower case."""
        file = _reference(source)
        if file is None:
            raise DataError(
                f"{source / 'testing' / 'reference.csv'}: no such file, and testing/images has slides whose labels it "
                "holds; download it with the data set"
            )
        table = read_text_table(file, header=False)
        truth = {}
        for number, row in enumerate(table.itertuples(index=False), start=1):
            name, label = Path(row[0].lower()).stem, row[1].lower() if len(row) > 1 else ""
            if label not in ("tumor", "tumour", "normal"):
                if number == 1:
                    continue  # a header
                raise DataError(f"{file}: row {number} has the class '{label}', expected Tumor or Normal; correct it")
            kind = row[3].lower() if len(row) > 3 else ""
            truth[name] = (0 if label == "normal" else 1, kind if kind not in ("", "none") else None)
        return truth


def _tumour(path: Path, annotations: Path, part: str, kind: str | None = None) -> SourceSlide:
    annotation = annotations / f"{path.stem}.xml"
    return SourceSlide(
        path.stem,
        path,
        path.stem,
        1,
        annotation=annotation if annotation.is_file() else None,
        published=part,
        kind=kind,
    )


def _exclusion(path: Path, source: Path, reason: str) -> Exclusion:
    return Exclusion(path.relative_to(source).as_posix(), path.stem, reason, "slide")


def _slides(folder: Path) -> list[Path]:
    # a hidden file is what an interrupted copy or drawing left behind
    return sorted(
        path for path in folder.glob("*") if path.suffix.lower() in SLIDE_SUFFIXES and not path.name.startswith(".")
    )


def _reference(source: Path) -> Path | None:
    candidates = (source / "testing" / "reference.csv", source / "reference.csv")
    return next((file for file in candidates if file.is_file()), None)
