"""DICOM radiographs: the image as a viewer shows it, and what the header says of patient and view."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info  # the public one does not say where the data set begins
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.sr.codedict import codes
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from shared.data.errors import DataError
from shared.data.size_limit import check_inflated, check_shape, most_values

__all__ = ["HEADER", "DicomHeader", "header_of", "is_dicom", "read_dicom", "read_header", "read_pixel_size"]

#: of a stored radiograph, and some for its header
BYTES_PER_VALUE = 2
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_TEXTS = ("PatientID", "PatientAge", "PatientSex", "ViewPosition", "SOPInstanceUID", "StudyInstanceUID")
#: what :func:`header_of` looks at
HEADER = (*_TEXTS, "ViewCodeSequence")
# views by their codes in context group 4010, "DX View", and by those of the time before SNOMED CT
_VIEWS = {
    (codes.cid4010.PosteroAnterior.value, "SCT"): "PA",
    (codes.cid4010.AnteroPosterior.value, "SCT"): "AP",
    (codes.cid4010.LateralProjection.value, "SCT"): "LATERAL",
    (codes.cid4010.LeftLateral.value, "SCT"): "LL",
    (codes.cid4010.RightLateral.value, "SCT"): "RL",
    ("R-10214", "SRT"): "PA",
    ("R-10206", "SRT"): "AP",
    ("R-10236", "SRT"): "LL",
    ("R-10232", "SRT"): "RL",
}
# what pydicom raises for values, elements or pixel data that do not go together
_FAULTS = (AttributeError, KeyError, ValueError, TypeError, NotImplementedError, RuntimeError, EOFError, IndexError)


@dataclass(frozen=True)
class DicomHeader:
    """What a file says about its image; None where it does not.

    Args:
        patient: PatientID.
        instance: SOPInstanceUID.
        study: StudyInstanceUID.
        view: ViewPosition, such as ``PA``, ``AP`` or ``LL``, in capitals, or what ViewCodeSequence says in its place.
        age: PatientAge, years.
        sex: ``F`` or ``M``.
    """

    patient: str | None
    instance: str | None
    study: str | None
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
    return header_of(_read(Path(path), stop_before_pixels=True, specific_tags=list(HEADER)))


def header_of(content: Dataset) -> DicomHeader:
    """Return what a header says, read from a file or received from an archive."""
    text = {name: str(content.get(name) or "").strip() for name in _TEXTS}
    sex = text["PatientSex"].upper()
    return DicomHeader(
        patient=text["PatientID"] or None,
        instance=text["SOPInstanceUID"] or None,
        study=text["StudyInstanceUID"] or None,
        view=text["ViewPosition"].upper() or _coded_view(content),
        age=_age(text["PatientAge"]),
        sex=sex if sex in ("F", "M") else None,
    )


def read_pixel_size(path: str | os.PathLike[str]) -> tuple[float, float] | None:
    """Return the height and width of a pixel in mm, None where the file does not state them.

    PixelSpacing, which may be calibrated to the patient, comes before ImagerPixelSpacing, which is that on the detector
    (PS3.3, 10.7.1.3).

    Raises:
        DataError: if the file is missing or no DICOM file.
    """
    names = ("PixelSpacing", "ImagerPixelSpacing")
    content = _read(Path(path), stop_before_pixels=True, specific_tags=list(names))
    for name in names:
        said = content.get(name)
        if said is not None and len(said) == 2 and min(float(size) for size in said) > 0:
            return float(said[0]), float(said[1])
    return None


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
    try:
        check_shape([int(content.get(name) or 0) for name in ("Rows", "Columns")])
    except ValueError as error:
        raise DataError(f"{file}: Rows x Columns: {error}; the header is wrong: export the image anew") from error
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
        _check_deflated(file)
        return pydicom.dcmread(file, **options)
    except (InvalidDicomError, OSError, MemoryError, zlib.error, *_FAULTS) as error:
        raise DataError(
            f"{file}: cannot be read as DICOM ({error}); {file.stat().st_size} bytes found, the file may be cut short "
            "or of another kind: copy it anew"
        ) from error


def _check_deflated(file: Path) -> None:
    """Refuse a deflated data set that is larger than any radiograph; pydicom inflates it in one piece.

    Raises:
        ValueError: if it is.
    """
    with file.open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            return
        stream.seek(132)
        meta = _read_file_meta_info(stream)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            check_inflated(stream, BYTES_PER_VALUE * most_values())


def _decode(file: Path, content: Dataset) -> NDArray[np.generic]:
    syntax = content.file_meta.get("TransferSyntaxUID") if hasattr(content, "file_meta") else None
    name = getattr(syntax, "name", None) or "not stated"
    try:
        return content.pixel_array
    except _FAULTS as error:
        advice = (
            "the file may be cut short or its header wrong: export it anew"
            if _has_decoder(syntax)
            else "install a decoder (pip install python-gdcm; pip install pylibjpeg-openjpeg for HTJ2K), or decompress "
            "the file"
        )
        reason = " ".join(str(error).split())  # pydicom lists decoders line by line
        raise DataError(
            f"{file}: pixel data (transfer syntax {name}) cannot be decoded ({reason}); {advice}"
        ) from error


def _has_decoder(syntax: UID | None) -> bool:
    """Return whether an installed package reads a transfer syntax, as far as it is known."""
    if syntax is None or not syntax.is_compressed:
        return True
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _coded_view(content: Dataset) -> str | None:
    """Return the view that ViewCodeSequence codes, ``OTHER`` for one that is none of chest X-rays."""
    items = content.get("ViewCodeSequence") or []
    if len(items) != 1:
        return None
    code = (str(items[0].get("CodeValue") or ""), str(items[0].get("CodingSchemeDesignator") or ""))
    return _VIEWS.get(code, "OTHER") if code[0] else None


def _age(text: str) -> float | None:
    """Return years of a DICOM age string: 045Y, 006M, 010W, 003D."""
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text.upper())
    if match is None:
        return None
    return round(int(match[1]) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2]], 2)
