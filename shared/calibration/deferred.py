"""A classifier of a calibration file that is there only after calibrating."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, TypeVar

__all__ = ["Deferred"]

Classifier = TypeVar("Classifier", bound=Callable[..., Any])


class Deferred(Generic[Classifier]):
    """A classifier that reads its files when it is first used.

    A config that names one can be parsed and checked before anything was trained.

    Args:
        load: reads the classifier.
    """

    def __init__(self, load: Callable[[], Classifier]) -> None:
        self._load = load

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier; reading it may raise what ``load`` does."""
        return self._load()

    def __call__(self, given: Any) -> Any:
        """Apply the classifier."""
        return self.classifier(given)
