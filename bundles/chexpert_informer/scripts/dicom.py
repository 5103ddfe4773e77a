"""DICOM radiographs: the image as a viewer shows it, and what the header says of patient and view."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from shared.data.errors import DataError

__all__ = ["DicomHeader", "is_dicom", "read_dicom", "read_header"]

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_HEADER = ("PatientID", "PatientAge", "PatientSex", "ViewPosition", "Modality", "SOPInstanceUID", "StudyInstanceUID")
# what pydicom raises for values, elements or pixel data that do not go together
_FAULTS = (AttributeError, KeyError, ValueError, TypeError, NotImplementedError, RuntimeError, EOFError, IndexError)


@dataclass(frozen=True)
class DicomHeader:
    """What a file says about its image; None where it does not.

    Args:
        patient: PatientID.
        instance: SOPInstanceUID.
        view: ViewPosition, such as ``PA``, ``AP`` or ``LL``, in capitals.
        age: PatientAge, years.
        sex: ``F`` or ``M``.
    """

    patient: str | None
    instance: str | None
    view: str | None
    age: float | None
    sex: str | None


def is_dicom(path: Path) -> bool:
    """Return whether a file is called ``.dcm`` or, without a suffix, begins as DICOM files do."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    # names such as 1.2.840.113619 have a "suffix" that is a number
    if path.suffix and not path.suffix[1:].isdecimal():
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_header(path: str | os.PathLike[str]) -> DicomHeader:
    """Read a file's header.

    Raises:
        DataError: if the file is missing or no DICOM file.
    """
    content = _read(Path(path), stop_before_pixels=True, specific_tags=list(_HEADER))
    text = {name: str(content.get(name) or "").strip() for name in _HEADER}
    sex = text["PatientSex"].upper()
    return DicomHeader(
        patient=text["PatientID"] or None,
        instance=text["SOPInstanceUID"] or None,
        view=text["ViewPosition"].upper() or None,
        age=_age(text["PatientAge"]),
        sex=sex if sex in ("F", "M") else None,
    )


def read_dicom(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a grey image as a viewer shows it: rescaled, through its VOI LUT or window, dense structures bright.

    Of several windows the first counts; a VOI LUT counts before a window. MONOCHROME1 is turned around, so that larger
    values are brighter in every image. The unit is that of the file, or of its look-up table.

    Args:
        path: the file.

    Returns:
        ``(H, W)``.

    Raises:
        DataError: if the file is missing, no DICOM file, without pixel data, in colour, of several frames, of fewer
            than 8 or more than 16 bits, cut short, or compressed in a way that no installed decoder reads.
    """
    file = Path(path)
    content = _read(file)
    if not any(name in content for name in _PIXELS):
        what = content.get("Modality") or "unknown modality"
        raise DataError(
            f"{file}: DICOM without pixel data ({what}); expected an image, not a report or a reference: export it anew"
        )
    colours = str(content.get("PhotometricInterpretation", ""))
    if colours not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(f"{file}: PhotometricInterpretation is '{colours}', expected MONOCHROME1 or MONOCHROME2")
    if int(content.get("NumberOfFrames") or 1) != 1:
        raise DataError(f"{file}: holds {content.NumberOfFrames} frames, expected one radiograph")
    bits = int(content.get("BitsStored") or 0)
    if "PixelData" in content and not 8 <= bits <= 16:
        raise DataError(f"{file}: {bits} bits are stored of each pixel, expected 8 to 16")
    stored = _decode(file, content)
    try:
        shown = apply_voi_lut(apply_modality_lut(stored, content), content).astype(np.float32)
    except _FAULTS as error:
        raise DataError(
            f"{file}: its rescaling, window or look-up table cannot be applied ({error}); correct the header or export "
            "the image anew"
        ) from error
    if shown.ndim != 2:
        raise DataError(f"{file}: pixel data of shape {shown.shape}, expected rows x columns")
    return shown.max() - shown if colours == "MONOCHROME1" else shown


def _read(file: Path, **options: Any) -> Dataset:
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    try:
        return pydicom.dcmread(file, **options)
    except (InvalidDicomError, OSError, *_FAULTS) as error:
        raise DataError(
            f"{file}: cannot be read as DICOM ({error}); {file.stat().st_size} bytes found, the file may be cut short "
            "or of another kind: copy it anew"
        ) from error


def _decode(file: Path, content: Dataset) -> NDArray[np.generic]:
    syntax = content.file_meta.get("TransferSyntaxUID") if hasattr(content, "file_meta") else None
    name = getattr(syntax, "name", None) or "not stated"
    try:
        return content.pixel_array
    except _FAULTS as error:
        compressed = syntax is not None and getattr(syntax, "is_compressed", False)
        advice = (
            "install a decoder (pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg) or decompress the file"
            if compressed
            else "the file may be cut short or its header wrong: export it anew"
        )
        reason = " ".join(str(error).split())  # pydicom lists decoders line by line
        raise DataError(
            f"{file}: pixel data (transfer syntax {name}) cannot be decoded ({reason}); {advice}"
        ) from error


def _age(text: str) -> float | None:
    """Return years of a DICOM age string: 045Y, 006M, 010W, 003D."""
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text.upper())
    if match is None:
        return None
    return round(int(match[1]) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2]], 2)
