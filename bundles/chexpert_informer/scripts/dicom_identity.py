"""Whose image it is, and what may be said of that: the header that results of a DICOM image take over."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from scripts.dicom_uids import hashed_uid
from shared.data.errors import DataError

__all__ = ["KEY_VARIABLE", "Pseudonyms", "pseudonyms", "read_identity"]

#: environment variable of the secret, which a command line would show to others
KEY_VARIABLE = "DICOM_PSEUDONYM_KEY"

#: without these nothing can refer to an image
REFERENCE = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
#: elements that a result must have, if empty (type 2): where the source has none, they stay empty
IDENTITY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
#: what describes the image and not the patient
IMAGE = (
    "Rows",
    "Columns",
    "Modality",
    "PatientOrientation",
    "Laterality",
    "BurnedInAnnotation",
    *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
    "SpecificCharacterSet",
)
UTF_8 = "ISO_IR 192"
METHOD = "identity removed; patient and UIDs are keyed hashes"


def read_identity(path: str | os.PathLike[str]) -> Dataset:
    """Read the header of an image; elements of the patient and study that it does not have are empty.

    Its texts are decoded, and what is made of it is written in UTF-8: a reason may hold other characters than a name.

    Args:
        path: a DICOM file.

    Raises:
        DataError: if the file cannot be read, or has no UIDs to refer to it by.
    """
    try:
        header = pydicom.dcmread(Path(path), stop_before_pixels=True)
    except (InvalidDicomError, OSError) as error:
        raise DataError(f"{path}: cannot be read as DICOM ({error}); copy it anew") from error
    if missing := [name for name in REFERENCE if not header.get(name)]:
        raise DataError(
            f"{path}: has no {', '.join(missing)}, so that no report can refer to it; export the image anew from where "
            "it is archived"
        )
    header.decode()
    header.SpecificCharacterSet = UTF_8
    for name in IDENTITY:
        if name not in header:
            setattr(header, name, "")
    return header


class Pseudonyms:
    """Headers without identity, in which one person, study or image keeps the same pseudonym under one key.

    A UID becomes ``2.25.<n>`` with n a UUID (RFC 9562, version 8) made of its keyed hash (HMAC-SHA-256), a PatientID
    ``ANON`` and 16 digits of its keyed hash. Who has the key can tell whether a pseudonym belongs to a known person;
    nobody can compute the person from it.

    Args:
        key: secret; an image de-identified with the same key has the same pseudonyms.
        lasting: whether a later run will know the key.
    """

    def __init__(self, key: str, lasting: bool = True) -> None:
        self._key = key.encode()
        self.lasting = lasting

    def __call__(self, header: Dataset) -> Dataset:
        """Return a header that holds pseudonyms, what describes the image, and nothing else.

        Raises:
            DataError: if the image may have identity burned into its pixels.
        """
        if str(header.get("BurnedInAnnotation", "")).upper() == "YES":
            raise DataError(
                f"{header.SOPInstanceUID}: BurnedInAnnotation is YES; its pixels may name the patient, who cannot be "
                "removed from them here: leave the image out, or give its results the identity that it has"
            )
        known = Dataset()
        for name in IMAGE:
            if name in header:
                setattr(known, name, header[name].value)
        known.SOPClassUID = header.SOPClassUID
        for name in REFERENCE[1:]:
            setattr(known, name, self.uid(header[name].value))
        for name in IDENTITY:
            setattr(known, name, "")
        if patient := str(header.get("PatientID") or ""):
            known.PatientID = f"ANON{self._hash('patient', patient).hex()[:16].upper()}"
            known.PatientName = f"{known.PatientID}^"
        known.PatientIdentityRemoved = "YES"
        known.DeidentificationMethod = METHOD
        return known

    def uid(self, uid: str) -> UID:
        """Return the pseudonym of a UID."""
        return hashed_uid(self._hash("uid", str(uid)))

    def _hash(self, kind: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{kind}:{text}".encode(), hashlib.sha256)


def pseudonyms(deidentify: bool, key: str | None = None) -> Pseudonyms | None:
    """Return the pseudonyms of a run; None if results name whom their images name.

    Args:
        deidentify: whether results name nobody.
        key: secret of the pseudonyms; without it that of the environment variable :data:`KEY_VARIABLE`, without that
            one which is drawn, used once and forgotten.
    """
    if not deidentify:
        return None
    if known := key or os.environ.get(KEY_VARIABLE):
        return Pseudonyms(known)
    return Pseudonyms(secrets.token_hex(32), lasting=False)
