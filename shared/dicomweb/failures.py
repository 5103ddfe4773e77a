"""What an archive says went wrong, in words."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

__all__ = ["failures_of", "told_reason", "told_status"]

#: an instance with this UID is there already: stored, and not once more
DUPLICATE = 0x0111
#: FailureReason (PS3.3, C.14.1.1)
_REASONS = {
    0x0110: "failure in processing",
    DUPLICATE: "an instance with this UID is there already",
    0x0117: "invalid instance UID",
    0x0122: "kind of instance (SOP class) not supported",
    0x0124: "not authorised",
    0x0131: "transfer syntax not supported",
    0x0212: "resources are limited",
}
#: the first two digits of the others
_CLASSES = {0xA7: "out of resources", 0xA9: "does not match its kind (SOP class)", 0xC0: "not understood"}
_STATUSES = {
    400: "refuses the request as malformed; does the server support this part of DICOMweb?",
    401: "refuses the credentials, or expects some; set DICOMWEB_USER and DICOMWEB_PASSWORD, DICOMWEB_TOKEN, or .netrc",
    403: "does not allow this to the user; ask who runs the server for the right",
    404: "has no such thing; is the address the root of the service, and is the study there?",
    405: "does not allow this; does the server store or search at all?",
    413: "refuses what is sent as too large; raise the server's limit",
    415: "does not take this kind of data; does the server support storing (STOW-RS)?",
    429: "is too busy; try later",
    503: "is too busy, or being maintained; try later",
}


def told_status(status: int) -> str:
    """Return what a status of HTTP means for the user.

    Example:
        >>> told_status(429)
        'HTTP 429: is too busy; try later'
    """
    if status in _STATUSES:
        return f"HTTP {status}: {_STATUSES[status]}"
    side = "the server failed; see its log" if status >= 500 else "the request was not accepted"
    return f"HTTP {status}: {side}"


def told_reason(code: int) -> str:
    """Return a FailureReason in words, with its number.

    Example:
        >>> told_reason(0xA700)
        'out of resources (A700H)'
    """
    said = _REASONS.get(code) or _CLASSES.get(code >> 8) or "unknown reason"
    return f"{said} ({code:04X}H)"


def failures_of(answer: Dataset, sent: Sequence[str]) -> dict[str, str]:
    """Return why instances were not stored, by SOPInstanceUID.

    What the answer names neither as stored nor as failed was not confirmed, which is no success. An instance that the
    archive refuses because it has one of this UID is stored.

    Args:
        answer: Store Instances Response (PS3.18, table I.1-2).
        sent: SOPInstanceUIDs of what was sent.
    """
    failed = {
        str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or 0)
        for item in answer.get("FailedSOPSequence") or []
    }
    stored = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or []}
    stored |= {uid for uid, code in failed.items() if code == DUPLICATE}
    return {
        uid: told_reason(failed[uid]) if uid in failed else "the server did not confirm that it is stored"
        for uid in sent
        if uid not in stored
    }
