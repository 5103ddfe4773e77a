"""When a result was made, in the time zone in which its image tells the time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

__all__ = ["date_result", "offset_of"]

DATES = (
    ("ContentDate", "ContentTime"),
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
)


def offset_of(header: Dataset) -> timezone | None:
    """Return the zone of an image's dates and times (TimezoneOffsetFromUTC, ``&ZZXX``); None if it states none.

    Example:
        >>> header = Dataset()
        >>> header.TimezoneOffsetFromUTC = "-0330"
        >>> offset_of(header)
        datetime.timezone(datetime.timedelta(days=-1, seconds=73800))
    """
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})", str(header.get("TimezoneOffsetFromUTC") or "").strip())
    if match is None:
        return None
    minutes = 60 * int(match[2]) + int(match[3])
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))


def date_result(result: Dataset, source: Dataset, moment: datetime) -> None:
    """Write when a result was made.

    One TimezoneOffsetFromUTC holds for all dates of an instance (PS3.3, C.12.1.1.8), also for those of the study,
    which are copied: the result has its image's offset and its own dates in that zone. Where the image states none, the
    zone of its study is unknown; none is stated of the result, and its own dates are local.

    Args:
        result: to write to.
        source: header of its image.
        moment: with its time zone.
    """
    zone = offset_of(source)
    local = moment.astimezone(zone)
    for date, time in DATES:
        if date in result:
            setattr(result, date, DA(local.date()))
            setattr(result, time, TM(local.time()))
    if zone is not None:
        result.TimezoneOffsetFromUTC = local.strftime("%z")
