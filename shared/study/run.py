"""What a study consists of, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

__all__ = ["AnyRun", "Outcome", "Run"]


class Run(Protocol):
    """What is done in one go."""

    @property
    def key(self) -> str:
        """Its name, which no other run of the study has."""


AnyRun = TypeVar("AnyRun", bound=Run)


class Outcome(NamedTuple):
    """What a study leaves behind.

    Attributes:
        written: files and folders with what it found.
        failures: the traceback of each run that failed, by its key.
    """

    written: list[Path]
    failures: dict[str, str]
