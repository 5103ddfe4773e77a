"""The error that stands for anything wrong with a user's files or records."""

from __future__ import annotations

__all__ = ["DataError"]


class DataError(ValueError):
    """A file or record cannot be used.

    The message names the file or key at fault, what was found, what was expected and what to do about it.
    """
