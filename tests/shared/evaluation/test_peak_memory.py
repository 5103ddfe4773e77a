import os

import numpy as np
import pytest

from shared.evaluation.peak_memory import peak_memory

linux = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak is read from Linux's /proc"
)
MIB = 1 << 20


def fill(kept_mib, passing_mib, held_before_mib):
    held = np.ones(held_before_mib * MIB, np.uint8)

    def computation():
        np.ones(passing_mib * MIB, np.uint8).sum()
        return np.ones(kept_mib * MIB, np.uint8).sum() + held.size

    return computation


@linux
@pytest.mark.parametrize(
    ("kept", "passing", "before", "expected"), [(64, 0, 0, 64), (32, 128, 0, 128), (16, 0, 256, 16)]
)
def test_measures_the_peak_of_the_computation_alone(kept, passing, before, expected):
    ballast = np.ones(300 * MIB, np.uint8)
    assert peak_memory(fill, kept, passing, before) == pytest.approx(expected, abs=12)
    assert ballast.all()


@linux
def test_an_error_of_the_computation_is_raised_here():
    with pytest.raises(TypeError, match="missing 2 required positional arguments"):
        peak_memory(fill, 1)
