"""Names from outside, of images, tags, sessions and files: none becomes a path before it is checked."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from pathlib import PurePosixPath

from lib.errors import RequestError

__all__ = ["check_image_id", "check_session_id", "check_tag", "file_suffix"]

NAME = re.compile(r"[^\W_][\w .,()+=-]{0,149}")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")


def check_image_id(name: str) -> str:
    """Return an image's name in the datastore, if it is one.

    Raises:
        RequestError: if it has separators, is hidden, or has other characters than letters, digits and ``_ .,()+=-``.
    """
    if not NAME.fullmatch(name) or ".." in name or name.endswith((".", " ")):
        raise RequestError(
            f"image {name[:200]!r}: expected a name that begins with a letter or digit, of letters, digits, spaces and "
            "_.,()+=- and without '..'"
        )
    return name


def check_tag(name: str) -> str:
    """Return a label's tag, if it is one.

    Raises:
        RequestError: if it has other characters than letters, digits, ``_`` and ``-``.
    """
    if not TAG.fullmatch(name):
        raise RequestError(f"tag {name[:200]!r}: expected at most 50 letters, digits, _ and -")
    return name


def check_session_id(name: str) -> str:
    """Return a session's name, if it is one that the server gives.

    Raises:
        RequestError: if it is no UUID.
    """
    try:
        if str(uuid.UUID(name)) == name:
            return name
    except ValueError:
        pass
    raise RequestError(f"session {name[:200]!r}: expected what PUT /session/ returned")


def file_suffix(name: str | None, accepted: Collection[str], what: str = "file") -> str:
    """Return the suffix, in small letters, of a file that was sent; nothing else of its name is used.

    MONAI Label's client sends the path that the file has on its own machine: folders before the name are passed over.

    Args:
        name: as the client says it.
        accepted: suffixes, in small letters.
        what: how an error calls it.

    Raises:
        RequestError: 400 if the name climbs (``..``), is hidden or has characters that no name has; 415 if its suffix
            is none of those that are accepted.
    """
    given = name or ""
    last = PurePosixPath(given.replace("\\", "/")).name
    parts = given.replace("\\", "/").split("/")
    if ".." in parts or last.startswith(".") or not last or any(ord(letter) < 32 for letter in given):
        raise RequestError(f"{what} {given[:200]!r}: expected a plain file name")
    suffix = PurePosixPath(last).suffix.lower()
    if suffix not in accepted:
        raise RequestError(f"{what} {last[:200]!r}: expected one of {', '.join(accepted)}", 415)
    return suffix
