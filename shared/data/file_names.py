"""File names made from the names of samples, whatever these contain."""

from __future__ import annotations

import hashlib
import re

__all__ = ["safe_name"]

READABLE_LENGTH = 80
HASH_LENGTH = 16


def safe_name(sample_id: str) -> str:
    """Return a file name (without suffix) for a sample's id.

    Letters, digits, ``_``, ``-`` and inner dots stay readable, anything else becomes ``_``. The first 64 bits of the
    id's SHA-256 follow, always: ids that differ in a replaced character, beyond the readable length or only in case
    (one file on macOS and Windows) get different names, and no id can imitate the name of another.

    Args:
        sample_id: any text: it may hold slashes, ``..``, control characters or be empty.

    Returns:
        At most 97 ASCII characters, the first of which is not a dot.

    Example:
        >>> safe_name("D01_Mon_001/00003/02")
        'D01_Mon_001_00003_02-ab45252b6868ad94'
    """
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "_", sample_id)[:READABLE_LENGTH].strip(".-")
    # lone surrogates stand for bytes of a file name that are no UTF-8
    digest = hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LENGTH]
    return f"{readable or 'sample'}-{digest}"
