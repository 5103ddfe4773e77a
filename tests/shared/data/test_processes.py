from __future__ import annotations

import os

import pytest

from shared.data.processes import in_processes


def _square(number):
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number**2, os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_has_its_result(workers):
    results = dict(in_processes(_square, range(20), workers))
    assert {index: result for index, (result, _) in results.items()} == {n: n**2 for n in range(20)}
    assert (os.getpid() in {process for _, process in results.values()}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through(workers):
    with pytest.raises(ValueError, match="-1 is negative"):
        list(in_processes(_square, [1, -1, 2], workers))
    assert list(in_processes(_square, [], workers)) == []
