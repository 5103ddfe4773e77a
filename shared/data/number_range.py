"""What a number that a user gives may be, and the sentence that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from shared.data.errors import DataError

__all__ = ["COUNT", "NOT_NEGATIVE", "POSITIVE", "SEED", "SHARE", "NumberRange"]


@dataclass(frozen=True)
class NumberRange:
    """Finite numbers between two ends; neither truth values nor words are numbers.

    Args:
        low: lower end.
        high: upper end.
        above: the lower end is left out.
        below: the upper end is left out.
        whole: whole numbers only.
        optional: or null.

    Example:
        >>> print(NumberRange(0, 1, above=True), "|", NumberRange(1, whole=True, optional=True))
        a number above 0 and at most 1 | a whole number of at least 1, or null
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    whole: bool = False
    optional: bool = False

    def __contains__(self, value: object) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number = float(value)
        enough = self.low < number if self.above else self.low <= number
        not_too_much = number < self.high if self.below else number <= self.high
        return math.isfinite(number) and enough and not_too_much

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that is none of these numbers.

        Args:
            name: of the setting.
            value: of the setting.

        Raises:
            DataError: naming the setting, what was found and what is expected.

        Example:
            >>> COUNT.check("max_epochs", 0)
            Traceback (most recent call last):
            ...
            shared.data.errors.DataError: max_epochs: found 0, expected a whole number of at least 1
        """
        if value not in self:
            raise DataError(f"{name}: found {value!r}, expected {self}")

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.above else f"of at least {self.low:g}"
        high = f"below {self.high:.10g}" if self.below else f"at most {self.high:.10g}"
        ends = [text for text, end in ((low, self.low), (high, self.high)) if math.isfinite(end)]
        words = ["a whole number" if self.whole else "a number", " and ".join(ends)]
        return " ".join(filter(None, words)) + (", or null" if self.optional else "")


#: how many, at least one
COUNT = NumberRange(1, whole=True)
#: how many, or none
NOT_NEGATIVE = NumberRange(0, whole=True)
POSITIVE = NumberRange(0, above=True)
#: of a whole, not nothing
SHARE = NumberRange(0, 1, above=True)
#: what NumPy and torch both take
SEED = NumberRange(0, 2**32 - 1, whole=True)
