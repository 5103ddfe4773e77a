"""Which images of a source are used, and what their labels are: views, uncertain labels, patients without findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.findings import FINDINGS
from scripts.source_image import SourceImage
from shared.data.errors import DataError
from shared.data.integrity import Exclusion

__all__ = ["UNCERTAIN", "WITHOUT_FINDING", "ImageSelection"]

UNCERTAIN = ("exclude", "mask", "zeros", "ones", "mix")
WITHOUT_FINDING = ("keep", "exclude_patients", "exclude_images")

Label = list[int | None]


@dataclass(frozen=True)
class ImageSelection:
    """Turns codes (1, 0, −1, blank) into labels and leaves out what a study does not want.

    Args:
        uncertain: what becomes of −1: ``exclude`` the image (Shu et al., section 3), ``mask`` the label (neither learnt
            from nor measured), ``zeros``, ``ones``, or ``mix``: ones for the findings of ``ones``, zeros else.
        ones: the findings that ``mix`` takes as present.
        without_finding: ``keep``, or ``exclude_patients`` of whom no image has any of the five findings (Shu et al.,
            section 3), or ``exclude_images`` without any. A masked label counts as no finding.
        unknown_view: ``keep`` or ``exclude`` images that do not say whether they are frontal. Lateral ones are always
            left out: the network sees frontal images only.

    Raises:
        DataError: if a choice is none of these.
    """

    uncertain: str = "mask"
    ones: Sequence[str] = ("atelectasis", "edema")
    without_finding: str = "keep"
    unknown_view: str = "exclude"

    def __post_init__(self) -> None:
        choices = {
            "uncertain": UNCERTAIN,
            "without_finding": WITHOUT_FINDING,
            "unknown_view": ("keep", "exclude"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise DataError(f"{name} is '{getattr(self, name)}', expected one of {', '.join(known)}")
        if unknown := sorted(set(self.ones) - set(FINDINGS)):
            raise DataError(f"ones: no finding is called '{unknown[0]}'; choose of {', '.join(FINDINGS)}")

    def views(self, images: Sequence[SourceImage]) -> tuple[list[SourceImage], list[Exclusion]]:
        """Return the frontal images, and the others with the reason."""
        kept, excluded = [], []
        for image in images:
            if image.frontal or (image.frontal is None and self.unknown_view == "keep"):
                kept.append(image)
            else:
                reason = (
                    "does not say whether it is frontal; correct it, or set unknown_view to keep if all such are"
                    if image.frontal is None
                    else "is a lateral view, expected frontal ones"
                )
                excluded.append(_exclusion(image, reason))
        return kept, excluded

    def labels(self, images: Sequence[SourceImage]) -> tuple[list[Label | None], list[Exclusion]]:
        """Return the labels of images.

        Args:
            images: of which some may be unlabelled.

        Returns:
            Per image the labels: 1, 0 or None (masked) of each finding; None in place of the list for an image that is
            unlabelled or left out. And those left out, by policy, with the reason.
        """
        labelled = [index for index, image in enumerate(images) if image.codes is not None]
        codes = np.array([images[index].codes for index in labelled], dtype=float).reshape(-1, len(FINDINGS))
        codes = np.where(np.isnan(codes), 0.0, codes)  # what a report does not mention is not there
        doubtful = codes == -1
        as_one = np.array([self.uncertain == "ones" or (self.uncertain == "mix" and f in self.ones) for f in FINDINGS])
        values = np.where(doubtful, as_one, codes) == 1
        masked = doubtful & (self.uncertain == "mask")
        found = (values & ~masked).any(axis=1)
        if self.without_finding == "exclude_patients":
            patients = {
                images[index].patient for index, any_finding in zip(labelled, found, strict=True) if any_finding
            }
            found = np.array([images[index].patient in patients for index in labelled], bool)
        result: list[Label | None] = [None] * len(images)
        excluded = []
        for row, index in enumerate(labelled):
            if self.uncertain == "exclude" and doubtful[row].any():
                names = [name for name, doubt in zip(FINDINGS, doubtful[row], strict=True) if doubt]
                excluded.append(_exclusion(images[index], f"uncertain {' and '.join(names)} (uncertain: exclude)"))
            elif self.without_finding != "keep" and not found[row]:
                who = "patient" if self.without_finding == "exclude_patients" else "image"
                reason = f"{who} without any of the findings (without_finding: {self.without_finding})"
                excluded.append(_exclusion(images[index], reason))
            else:
                result[index] = [
                    None if hidden else int(value) for value, hidden in zip(values[row], masked[row], strict=True)
                ]
        return result, excluded


def _exclusion(image: SourceImage, reason: str) -> Exclusion:
    return Exclusion(image.path.name, image.identity, reason, "image")
