"""Memory that was freed, but is kept by the C library for later."""

from __future__ import annotations

import ctypes

__all__ = ["return_freed_memory"]


def return_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library can (glibc; elsewhere nothing happens).

    After large arrays came and went, glibc keeps up to 64 MiB of them. That adds up where processes are started next.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
