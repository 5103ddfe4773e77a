"""Images out of a ZIP archive that nobody has looked into yet."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lib.errors import RequestError

__all__ = ["ArchiveLimits", "unpack_images"]

CHUNK = 1 << 20
ENCRYPTED = 0x1


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may be.

    Args:
        members: greatest number of files and folders.
        total_bytes: of all files, unpacked.
        ratio: of a file's size to its packed size; images are packed already.
    """

    members: int = 5000
    total_bytes: int = 1 << 30
    ratio: float = 200.0


def unpack_images(archive: Path, folder: Path, suffixes: Collection[str], limits: ArchiveLimits) -> list[Path]:
    """Unpack the images of an archive, with the folders that they are in; other files are left out.

    Everything is checked before anything is written, and sizes once more while writing: an archive may lie about them.

    Args:
        archive: the file.
        folder: an empty folder, or none yet. If the archive is refused, nothing is left in it.
        suffixes: of images, in small letters.
        limits: see :class:`ArchiveLimits`.

    Returns:
        The images.

    Raises:
        RequestError: 400 for what is no ZIP archive, is encrypted or broken, holds links, names that leave the folder
            or that occur twice, or no image; 413 for too many members, too much, or too high a ratio.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.infolist()
            chosen = _checked(members, suffixes, limits)
            left = limits.total_bytes
            for member, place in chosen:
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                left -= _write(content, member, target, left)
            return [folder / place for _, place in chosen]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RequestError(f"archive: cannot be read as ZIP ({error})") from error
    except RequestError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _checked(
    members: list[zipfile.ZipInfo], suffixes: Collection[str], limits: ArchiveLimits
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return the images and their places, if there is nothing wrong with any member."""
    if len(members) > limits.members:
        raise RequestError(f"archive: {len(members)} members, expected at most {limits.members}", 413)
    chosen: dict[str, tuple[zipfile.ZipInfo, PurePosixPath]] = {}
    for member in members:
        place = _place(member)
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise RequestError(f"archive: {member.filename[:200]!r} is a link or a device, expected files")
        if member.flag_bits & ENCRYPTED:
            raise RequestError(f"archive: {member.filename[:200]!r} is encrypted")
        if member.file_size > limits.ratio * max(member.compress_size, 1) and member.file_size > CHUNK:
            raise RequestError(f"archive: {member.filename[:200]!r} unpacks to far more than it is packed", 413)
        hidden = any(part.startswith((".", "__MACOSX")) for part in place.parts)
        if member.is_dir() or hidden or place.suffix.lower() not in suffixes:
            continue
        # one file on systems that do not tell capitals apart
        if chosen.setdefault(str(place).lower(), (member, place))[0] is not member:
            raise RequestError(f"archive: {member.filename[:200]!r} is there twice")
    if sum(member.file_size for member, _ in chosen.values()) > limits.total_bytes:
        raise RequestError(f"archive: more than {limits.total_bytes / (1 << 20):g} MiB unpacked", 413)
    if not chosen:
        raise RequestError(f"archive: no image in it, expected {', '.join(suffixes)}")
    return list(chosen.values())


def _place(member: zipfile.ZipInfo) -> PurePosixPath:
    """Return where a member goes, below the folder.

    Raises:
        RequestError: if that is outside of it, or no system could write the name.
    """
    # what the archive says, before zipfile has cut it at a zero byte
    name = member.orig_filename
    place = PurePosixPath(name)
    unusual = "\\" in name or any(ord(letter) < 32 for letter in name) or ":" in name
    if unusual or place.is_absolute() or ".." in place.parts or any(len(part.encode()) > 200 for part in place.parts):
        raise RequestError(f"archive: the name {name[:200]!r} leaves the archive's folder, or is no plain name")
    return place


def _write(content: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write a member; return the number of its bytes."""
    written = 0
    with content.open(member) as source, target.open("xb") as stream:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > min(left, member.file_size):
                raise RequestError(f"archive: {member.filename[:200]!r} is larger than the archive says", 413)
            stream.write(chunk)
    return written
