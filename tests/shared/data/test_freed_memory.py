import os
from pathlib import Path

import numpy as np
import pytest

from shared.data.freed_memory import return_freed_memory
from shared.evaluation.peak_memory import peak_memory

MIB = 1 << 20


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def scatter():
    """Allocate and free arrays of rising size between others that stay: the C library cannot give all of it back."""
    np.ones(30 * MIB, np.uint8)
    kept = []
    before = resident()
    for size in (4, 8, 8, 12):
        freed = np.ones(size * MIB, np.uint8)
        kept.append(np.ones(1000, np.uint8))
        del freed
    return before, kept


def prepare():
    before, kept = scatter()
    held = resident() - before

    def computation():
        return_freed_memory()
        assert held > 4 * MIB
        assert resident() - before < 0.5 * held
        assert len(kept) == 4

    return computation


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from Linux's /proc")
@pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="only glibc gives memory back when asked")
def test_freed_memory_is_given_back():
    peak_memory(prepare)
