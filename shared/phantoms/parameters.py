"""How phantoms vary: distributions with limits, and parameter objects whose single values a config replaces by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spread", "override"]

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """Normal distribution cut to an interval.

    Args:
        mean, std: of the normal distribution before it is cut.
        low, high: values outside are drawn again.

    Raises:
        ValueError: if the mean lies outside the interval or the standard deviation is negative.
    """

    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.mean <= self.high or self.std < 0:
            raise ValueError(f"expected low <= mean <= high and std >= 0, found {self}")

    def draw(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        while True:
            value = rng.normal(self.mean, self.std)
            if self.low <= value <= self.high:
                return float(value)

    def draw_many(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw ``(count,)`` independent values.

        Example:
            >>> values = Spread(0.0, 1.0, -0.5, 0.5).draw_many(np.random.default_rng(0), 100)
            >>> bool((np.abs(values) <= 0.5).all()), values.shape
            (True, (100,))
        """
        values = rng.normal(self.mean, self.std, count)
        while (outside := (values < self.low) | (values > self.high)).any():
            values[outside] = rng.normal(self.mean, self.std, int(outside.sum()))
        return values


def override(parameters: T, changes: Mapping[str, Any], key: str = "parameters") -> T:
    """Return a copy of a parameter object with the values of a nested mapping put in.

    A mapping for a parameter object, or for a mapping of such, changes the values that it names. Any other mapping is
    replaced as a whole; its keys take the type of the keys before, since those of JSON are text.

    Args:
        parameters: a frozen dataclass or a mapping of such.
        changes: new values by name.
        key: where we are, for the error message.

    Raises:
        ValueError: if a key names no parameter.

    Example:
        >>> override(Spread(1.0, 0.1, 0.0, 2.0), {"mean": 1.5}).mean
        1.5
    """
    if isinstance(parameters, Mapping):
        known = dict(parameters)
    else:
        known = {f.name: getattr(parameters, f.name) for f in dataclasses.fields(parameters)}  # type: ignore[arg-type]
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"{key}: no parameter is called '{name}'; choose one of {sorted(known)}")
        known[name] = _changed(known[name], value, f"{key}.{name}")
    if isinstance(parameters, Mapping):
        return known  # type: ignore[return-value]
    return dataclasses.replace(parameters, **known)  # type: ignore[type-var]


def _changed(before: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(before):
        return override(before, value, key)
    if isinstance(before, Mapping):
        if any(dataclasses.is_dataclass(item) for item in before.values()):
            return override(before, value, key)
        kind = type(next(iter(before), ""))
        return {kind(name): item for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
