"""What a study consists of."""

from __future__ import annotations

from typing import Protocol, TypeVar

__all__ = ["AnyRun", "Run"]


class Run(Protocol):
    """What is done in one go."""

    @property
    def key(self) -> str:
        """Its name, which no other run of the study has."""


AnyRun = TypeVar("AnyRun", bound=Run)
