"""Which studies of an archive are asked for."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from pydicom.uid import UID

from shared.data.errors import DataError

__all__ = ["Query"]

#: characters that match others in a query (PS3.4, C.2.2.2), or divide values from each other
SPECIAL = "*?\\"


@dataclass(frozen=True)
class Query:
    """Studies by their UIDs, or by patient, accession number and date, all of which must match.

    Args:
        studies: StudyInstanceUIDs.
        patient: PatientID.
        accession: AccessionNumber.
        since: first day of the study, ``YYYY-MM-DD``.
        until: last day of the study.

    Raises:
        DataError: if nothing is asked for, which would be the whole archive, or what is no UID, number or day.
    """

    studies: tuple[str, ...] = ()
    patient: str | None = None
    accession: str | None = None
    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        if not (self.studies or self.patient or self.accession or self.since):
            raise DataError("nothing is asked for: name --study, --patient, --accession or --since")
        for study in self.studies:
            if not UID(study).is_valid:
                raise DataError(f"study: {study!r} is no UID; expected a StudyInstanceUID such as 1.2.840.113619.2.5")
        for name, value in (("patient", self.patient), ("accession", self.accession)):
            if value and any(character in value for character in SPECIAL):
                raise DataError(f"{name}: {value!r} holds one of * ? \\, which would match others; give it in full")
        first, last = _day("since", self.since), _day("until", self.until)
        if first and last and first > last:
            raise DataError(f"since: {self.since} is after until, {self.until}")

    def filters(self) -> list[dict[str, str]]:
        """Return the matching keys of each search for studies, by keyword."""
        keys = {"PatientID": self.patient, "AccessionNumber": self.accession, "StudyDate": self._days()}
        common = {name: value for name, value in keys.items() if value}
        return [{"StudyInstanceUID": study} | common for study in self.studies] or [common]

    def _days(self) -> str | None:
        """Return a range of dates (PS3.4, C.2.2.2.5.1)."""
        if not (self.since or self.until):
            return None
        first, last = _day("since", self.since), _day("until", self.until)
        return "-".join(day.strftime("%Y%m%d") if day else "" for day in (first, last))


def _day(name: str, text: str | None) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise DataError(f"{name}: {text!r} is no day, expected YYYY-MM-DD") from error
