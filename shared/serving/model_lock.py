"""A lock on a model's files: many may read them at once, and nobody while they are exchanged."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.data.files import restore_folder

__all__ = ["model_lock"]

SHARED = Path("/tmp")


@contextmanager
def model_lock(ckpt_dir: Path, exclusive: bool) -> Iterator[None]:
    """Hold the lock of a folder of weights, across processes of this machine and user.

    The lock's file is in the machine's folder for temporary files: the weights may stand where nothing can be written,
    and ``TMPDIR`` need not be the same for all who use them. A folder that a process left under another name, since it
    was killed while it exchanged the files, is put back.

    Args:
        ckpt_dir: the folder; need not exist.
        exclusive: to exchange the files; otherwise to read them.
    """
    digest = hashlib.sha256(str(ckpt_dir.resolve()).encode()).hexdigest()[:16]
    path = _folder() / f"monai-explainable-bundles-{os.getuid()}-{digest}.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        restore_folder(ckpt_dir)
        yield
    finally:
        os.close(handle)


def _folder() -> Path:
    return SHARED if os.access(SHARED, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
