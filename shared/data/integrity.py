"""A check of every record before anything is trained on it, and the list of what was left out and why."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.data.arrays import read_image
from shared.data.errors import DataError
from shared.data.files import atomic_path

__all__ = [
    "Exclusion",
    "IntegrityReport",
    "check_array",
    "check_records",
    "content_digest",
    "find_duplicates",
    "write_excluded",
]


@dataclass(frozen=True)
class Exclusion:
    """Something that was left out.

    Args:
        source: the file at fault.
        item: the part of it, e.g. a frame, a cell or a record's id.
        reason: what was found and what was expected.
        what: what the part is, by which it is counted: a frame, a cell, an image. Empty if only its name is known.
    """

    source: str
    item: str
    reason: str
    what: str = ""


@dataclass
class IntegrityReport:
    """Outcome of :func:`check_records`.

    Args:
        kept: the records that passed, in their order.
        excluded: the others, with the reason.
        digests: SHA-256 of the image's content of each kept record, by the record's id.
    """

    kept: list[dict[str, Any]] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)


def check_array(array: NDArray[Any], shape: Sequence[int] | None = None, name: str = "image") -> None:
    """Refuse an array of another shape, with values that are not finite, or that is constant.

    Args:
        array: the array to check.
        shape: the shape that it must have; None leaves the shape free.
        name: how an error calls the array.

    Raises:
        DataError: naming what was found and what was expected.
    """
    if shape is not None and array.shape != tuple(shape):
        raise DataError(f"{name} has shape {_size(array.shape)}, expected {_size(shape)}")
    if array.size == 0 or not np.issubdtype(array.dtype, np.number):
        raise DataError(f"{name} has {array.size} values of type {array.dtype}, expected numbers")
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise DataError(f"{name} has {bad} of {array.size} values that are NaN or infinite, expected finite values")
    if array.min() == array.max():
        raise DataError(f"{name} is constant (every value is {array.flat[0]}), expected structure")


def check_records(
    records: Sequence[Mapping[str, Any]],
    shape: Sequence[int] | None = None,
    known_labels: Collection[Any] | None = None,
    image_key: str = "image",
    label_key: str = "label",
    load: Callable[[str], NDArray[Any]] = read_image,
    what: str = "",
) -> IntegrityReport:
    """Check that each record's image exists, is readable, of the right shape, finite and not constant.

    Args:
        records: records with an ``id`` and absolute paths.
        shape: the shape of every image; None leaves it free.
        known_labels: labels that may occur; None, or a record without label, skips that check.
        image_key: key of the image's path.
        label_key: key of the label.
        load: reads one image; a :class:`DataError` of it excludes the record.
        what: what a record is (a cell), for the list of what was left out.

    Returns:
        What was kept and what was excluded. A second record with the id of an earlier one is excluded.
    """
    report = IntegrityReport()
    for record in records:
        identity = str(record.get("id", record.get(image_key, "?")))
        try:
            if identity in report.digests:
                raise DataError(f"the id '{identity}' is taken by an earlier record; ids must be unique")
            if image_key not in record:
                raise DataError(f"no '{image_key}' in the record; found the keys {', '.join(sorted(record))}")
            if known_labels is not None and label_key in record and record[label_key] not in known_labels:
                expected = ", ".join(map(str, known_labels))
                raise DataError(f"unknown label {record[label_key]!r}, expected one of {expected}")
            array = load(record[image_key])
            check_array(array, shape)
        except DataError as error:
            source = str(record.get("source", record.get(image_key)))
            report.excluded.append(Exclusion(source, identity, str(error), what))
            continue
        report.kept.append(dict(record))
        report.digests[identity] = content_digest(array)
    return report


def find_duplicates(
    sections: Mapping[str, Sequence[Mapping[str, Any]]], digests: Mapping[str, str], group_key: str | None = None
) -> list[list[str]]:
    """List records of equal content that lie in different sections or groups.

    Equal images of one group in one section are common (an object that does not move) and do no harm. Across sections
    they leak; across groups they show that one recording was filed twice.

    Args:
        sections: records of each section.
        digests: content hash of each record by its id, from :func:`check_records`.
        group_key: key of the donor or patient.

    Returns:
        For each repeated content the records as ``section: id``, sorted.
    """
    places: dict[str, list[tuple[str, str, str]]] = {}
    for section, records in sections.items():
        for record in records:
            group = str(record.get(group_key, "")) if group_key else ""
            places.setdefault(digests[record["id"]], []).append((section, group, record["id"]))
    return sorted(
        sorted(f"{section}: {identity}" for section, _, identity in same)
        for same in places.values()
        if len({place[:2] for place in same}) > 1
    )


def write_excluded(path: str | os.PathLike[str], excluded: Sequence[Exclusion]) -> None:
    """Write what was left out as CSV with the columns ``source``, ``item``, ``reason``, ``what``, atomically."""
    columns = [column.name for column in fields(Exclusion)]
    table = pd.DataFrame([astuple(exclusion) for exclusion in excluded], columns=columns)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def content_digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and values, equal for equal images in whatever files."""
    content = np.ascontiguousarray(array)
    header = f"{content.dtype.str}{content.shape}".encode()
    return hashlib.sha256(header + content.tobytes()).hexdigest()


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(length) for length in shape) or "scalar"
