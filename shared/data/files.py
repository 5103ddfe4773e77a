"""Files and folders that are whole whenever they exist: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.data.errors import DataError

__all__ = ["atomic_folder", "atomic_path", "read_json", "restore_folder", "sha256_file", "write_json"]

logger = logging.getLogger(__name__)

#: in the hidden name of a folder that has left its place and is not yet replaced
OLDER = "-older-"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``, and rename it to ``path`` when the block ends without an error.

    The temporary file has the suffixes of ``path``, so that writers which choose a format by suffix work. If the
    block raises, the temporary file is removed and an older ``path`` stays as it was.

    Args:
        path: the file to be written; its folder is made if missing.

    Yields:
        The path to write to.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("1 2 3")
        >>> target.read_text()
        '1 2 3'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name.split('.')[0]}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    if target.name.endswith(".nii.gz"):
        temporary.unlink()
        temporary = temporary.with_name(temporary.stem + ".nii.gz")
    try:
        yield temporary
        _publish(temporary, 0o666)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder beside ``path``, and put it in the place of ``path`` when the block ends without an error.

    For files that only make sense together: weights and what was fitted to them. An older folder goes as a whole, with
    all that is in it. If the block raises, it stays as it was. No system call exchanges two folders everywhere: a
    process killed between the two renames leaves the older folder beside its place, under a hidden name. Whoever needs
    it next puts it back by :func:`restore_folder`, as this does before the block begins.

    Args:
        path: the folder to be written; the one that holds it is made if missing.

    Yields:
        The folder to write into.

    Raises:
        NotADirectoryError: if there is a file at ``path``.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target}: is a file where a folder is to be written")
    target.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(target)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield temporary
        _publish(temporary, 0o777)
        _put_in_place(temporary, target)
    finally:
        # an interrupt may come between the two renames
        restore_folder(target)
        shutil.rmtree(temporary, ignore_errors=True)


def restore_folder(path: str | os.PathLike[str]) -> bool:
    """Put back the older folder that a process left beside ``path`` when it was killed within :func:`atomic_folder`.

    Args:
        path: the folder that is wanted.

    Returns:
        Whether it was put back; nothing is done if there is a folder in its place, or none that was left.
    """
    target = Path(path)
    if target.exists():
        return False
    left = [older for older in target.parent.glob(f".{glob.escape(target.name)}{OLDER}*") if any(older.iterdir())]
    if not left:
        return False
    older = max(left, key=lambda folder: folder.stat().st_mtime)
    try:
        older.rename(target)
    except OSError:  # another process was faster
        return False
    logger.warning("%s: put back from %s: a process was ended while it replaced the folder", target, older.name)
    return True


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename a folder to ``target``; an older one there takes its name and is left to be removed."""
    older = None
    while True:
        if target.exists():
            older = older or Path(tempfile.mkdtemp(prefix=f".{target.name}{OLDER}", dir=target.parent))
            # an empty folder is replaced by a rename
            target.replace(older)
        try:
            temporary.replace(target)
            break
        except OSError as error:
            # somebody who missed the older folder has put it back meanwhile
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    if older is not None:
        # under a name from which nobody restores it, however far its removal comes
        older.replace(temporary)


def _publish(path: Path, mode: int) -> None:
    """Give the usual permissions: temporary files and folders are private, what we write is meant for others too."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(mode & ~umask)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write ``content`` as JSON (indented, no NaN or infinity), atomically.

    Raises:
        ValueError: if a number is not finite; JSON has no form for it.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        DataError: if the file is missing or is not JSON.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a valid JSON file ({error}); restore it or write it anew") from error


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
