"""Which images of an archive are frontal chest X-rays, by what their headers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import DigitalXRayImageStorageForProcessing

from scripts.dicom import HEADER, header_of
from shared.data.errors import DataError

__all__ = ["ChestSelection"]

#: of the chest in AnatomicRegionSequence: context group 4031, the thorax as SNOMED CT has it, and what came before it
CHEST = {codes.cid4031.Chest.value, "51185008", "T-D3000"}


@dataclass(frozen=True)
class ChestSelection:
    """Refuses what no network for frontal chest X-rays is to see.

    Args:
        modalities: of series that are looked at.
        body_parts: values of BodyPartExamined that stand for the chest.
        unstated_body_part: ``exclude`` images that name no part of the body, neither in BodyPartExamined nor in
            AnatomicRegionSequence, or ``keep`` them.
        frontal: views that are frontal.
        unknown_view: ``exclude`` images that do not state their view, or ``keep`` them.

    Raises:
        DataError: if a choice is none.
    """

    modalities: Sequence[str] = ("CR", "DX")
    body_parts: Sequence[str] = ("CHEST", "THORAX")
    unstated_body_part: str = "exclude"
    frontal: Sequence[str] = ("PA", "AP")
    unknown_view: str = "exclude"

    #: what is looked at
    keywords = (
        *HEADER,
        *("SOPClassUID", "Modality", "BodyPartExamined", "AnatomicRegionSequence"),
        *("PresentationIntentType", "NumberOfFrames"),
    )

    def __post_init__(self) -> None:
        for name in ("unstated_body_part", "unknown_view"):
            if getattr(self, name) not in ("exclude", "keep"):
                raise DataError(f"{name} is {getattr(self, name)!r}, expected exclude or keep")

    def refusal(self, header: Dataset) -> str | None:
        """Return why an image is not judged; None if it is."""
        if header.get("SOPClassUID") == DigitalXRayImageStorageForProcessing or (
            header.get("PresentationIntentType") == "FOR PROCESSING"
        ):
            return "is raw data for processing; expected the image for presentation"
        if int(header.get("NumberOfFrames") or 1) != 1:
            return f"holds {header.NumberOfFrames} frames, expected one radiograph"
        return self._body_part(header) or self._view(header)

    def _body_part(self, header: Dataset) -> str | None:
        stated = str(header.get("BodyPartExamined") or "").strip().upper()
        regions = [str(item.get("CodeValue") or "") for item in header.get("AnatomicRegionSequence") or []]
        if stated in self.body_parts or (not stated and CHEST & set(regions)):
            return None
        if stated or any(regions):
            return f"is no chest X-ray: the part of the body is {stated or regions[0]}"
        if self.unstated_body_part == "keep":
            return None
        return "does not say which part of the body it shows; set unstated_body_part to keep if all such are chests"

    def _view(self, header: Dataset) -> str | None:
        view = header_of(header).view
        if view in self.frontal or (view is None and self.unknown_view == "keep"):
            return None
        if view is None:
            return "does not say whether it is frontal; set prepare_overrides#unknown_view to keep if all such are"
        return f"is no frontal view: {view}"
