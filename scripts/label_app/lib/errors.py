"""What goes wrong, with the HTTP status that says whose fault it is."""

from __future__ import annotations

__all__ = ["RequestError", "StartError", "WorkerError"]


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        message: what was found, what was expected, what to do.
        status: of HTTP, from 400 to 499.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class WorkerError(Exception):
    """A bundle's worker that gave no answer: it ended, took too long, or found a fault of its own."""


class StartError(Exception):
    """The server cannot start as it was asked to; the message says what to do."""
