"""Memory that was freed, but is kept by the C library for later."""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory", "return_freed_memory"]

# mallopt(3) of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_LARGEST_THRESHOLD = 32 * 2**20
_GREATEST = 2**31 - 1


def return_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library can (glibc; elsewhere nothing happens).

    After large arrays came and went, glibc keeps up to 64 MiB of them. That adds up where processes are started next.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_freed_memory(most: int | None = None) -> None:
    """Keep memory that is freed for the next large array, where the C library can (glibc; elsewhere nothing happens).

    By default glibc asks the system for each array above 32 MiB, and gives it back at once; so it does of smaller ones
    until one of that size is freed, and of what lies free at the end of its memory above twice that size. A network on
    the CPU hands such arrays from layer to layer, and at every step the system maps and clears their pages anew, one by
    one.

    Args:
        most: bytes that may lie free at the end of the memory; arrays above that, or above 32 MiB, are given back at
            once. None keeps all.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is None:
        return
    if most is None:
        option(_MMAP_MAX, 0)
    else:
        option(_MMAP_THRESHOLD, min(most, _LARGEST_THRESHOLD))
    option(_TRIM_THRESHOLD, _GREATEST if most is None else most)
