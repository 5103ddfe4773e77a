"""Numbers that a setting may be, and those that it may not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shared.data.errors import DataError
from shared.data.number_range import COUNT, NOT_NEGATIVE, POSITIVE, SEED, SHARE, NumberRange


@pytest.mark.parametrize(
    ("numbers", "taken", "refused"),
    [
        (COUNT, [1, 7, np.int64(3)], [0, -1, 1.0, True, "1", None, math.nan]),
        (NOT_NEGATIVE, [0, 5], [-1, 0.5, False]),
        (POSITIVE, [1e-9, 3, np.float32(0.5)], [0, -5, "abc", "nan", math.nan, math.inf, None, [1]]),
        (SHARE, [0.6, 1], [0, 7, 1.0001]),
        (SEED, [0, 2**32 - 1], [-1, 2**32]),
        (NumberRange(0, 1, above=True, below=True, optional=True), [None, 0.9], [0, 1, 1.5]),
        (NumberRange(), [-3, 0.5], [math.inf, math.nan, "0"]),
    ],
)
def test_what_is_taken_and_what_is_refused(numbers, taken, refused):
    for value in taken:
        numbers.check("x", value)
    for value in refused:
        with pytest.raises(DataError, match=r"^x: found .*, expected a .*number"):
            numbers.check("x", value)


def test_the_sentence_names_both_ends():
    with pytest.raises(
        DataError, match=r"seed: found -1, expected a whole number of at least 0 and at most 4294967295$"
    ):
        SEED.check("seed", -1)
    with pytest.raises(DataError, match=r"found 7, expected a number above 0 and at most 1$"):
        SHARE.check("region_threshold", 7)
