import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.data.freed_memory import keep_freed_memory, return_freed_memory
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


def pages_asked_for(size, count):
    """Return how many pages the system gave for arrays that come and go, each as large as a layer's output."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        layers = [torch.ones(size, dtype=torch.uint8) for _ in range(count)]
        del layers
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def prepare_layers(size, count, most, kept):
    def computation():
        pages_asked_for(size, count)
        usual = pages_asked_for(size, count)
        # by itself the C library gives the system most of it back each time
        assert usual * os.sysconf("SC_PAGE_SIZE") > 2 * count * size
        keep_freed_memory(most)
        pages_asked_for(size, count)
        assert (pages_asked_for(size, count) < 0.05 * usual) == kept

    return computation


linux = pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from Linux's /proc")
glibc = pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="only glibc does so when asked")


@linux
@glibc
@pytest.mark.parametrize(
    ("size", "count", "most", "kept"),
    [
        (48 * MIB, 1, None, True),
        (48 * MIB, 1, 64 * MIB, False),
        (30 * MIB, 3, 128 * MIB, True),
    ],
)
def test_freed_memory_is_kept_for_the_next_array(size, count, most, kept):
    peak_memory(prepare_layers, size, count, most, kept)


@linux
@glibc
def test_freed_memory_is_given_back():
    peak_memory(prepare)
