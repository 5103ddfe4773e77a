"""One image of a source as its layout describes it, before it is decided whether and how it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.findings import FINDINGS
from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.data.layouts import SourceLayout
from shared.data.text_table import read_text_table

__all__ = ["Layout", "SourceImage", "clean_age", "clean_sex", "finding_codes", "read_table"]

_CODES = {"": np.nan, "nan": np.nan, "0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0, "-1": -1.0, "-1.0": -1.0}


@dataclass(frozen=True)
class SourceImage:
    """One image.

    Args:
        identity: unique name.
        patient: whose image it is.
        path: the file.
        codes: 1, 0, −1 (uncertain) or NaN (blank) of each finding; None if nothing is known of the image.
        frontal: whether it is a frontal view; None if unknown.
        view: ``PA`` or ``AP``; None if unknown or lateral.
        age: years.
        sex: ``F`` or ``M``.
        published: in which of the published tables or lists it is, ``train``, ``valid`` or ``test``; None without such.
        truth: file of the masks of a generated image.
        boxes: drawn around findings by a person, see :data:`scripts.finding_boxes.FindingBoxes`.
    """

    identity: str
    patient: str
    path: Path
    codes: tuple[float, ...] | None = None
    frontal: bool | None = None
    view: str | None = None
    age: float | None = None
    sex: str | None = None
    published: str | None = None
    truth: Path | None = None
    boxes: Mapping[str, Sequence[Sequence[float]]] | None = None


class Layout(SourceLayout, Protocol):
    """One published way to lay radiographs out."""

    def read(self, source: Path) -> tuple[list[SourceImage], list[Exclusion]]:
        """Return the images, and what is left out because its description cannot be used.

        Raises:
            DataError: if a table cannot be used at all.
        """


def read_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Read a CSV as text, every cell stripped, blank where nothing stands.

    Args:
        path: the file.
        columns: name of each needed column by its role.

    Returns:
        The whole table.

    Raises:
        DataError: if the file cannot be read or lacks a column.
    """
    table = read_text_table(path)
    for role, column in columns.items():
        if column not in table.columns:
            found = ", ".join(table.columns[:12])
            raise DataError(
                f"{path}: no column '{column}' ({role}); found {found}; set the column's name in the config"
            )
    return table


def finding_codes(table: pd.DataFrame, columns: dict[str, str]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Return the codes of all rows and what is wrong with some.

    Args:
        table: as :func:`read_table` gives it.
        columns: name of each finding's column.

    Returns:
        Codes ``(N, 5)``, NaN for blank; and the reason for each row, by its number, that holds anything else than 1, 0,
        −1 or nothing.
    """
    texts = np.stack([table[columns[name]].to_numpy(dtype=str) for name in FINDINGS], axis=1)  # (N, 5)
    codes = np.full(texts.shape, np.inf)
    for text, code in _CODES.items():
        codes[np.char.lower(texts) == text] = code
    faults: dict[int, str] = {}
    for row, column in zip(*np.nonzero(np.isinf(codes)), strict=True):
        name = columns[FINDINGS[column]]
        faults.setdefault(int(row), f"{name} is '{texts[row, column]}', expected 1, 0, -1 (uncertain) or nothing")
    return codes, faults


def clean_age(text: str) -> float | None:
    """Return an age in years; None if there is none or it cannot be one (0 to 120), as a few of the NIH's 400 years."""
    try:
        age = float(text.rstrip("Yy"))
    except ValueError:
        return None
    return age if 0 <= age <= 120 else None


def clean_sex(text: str) -> str | None:
    """Return ``F`` or ``M``; None for anything else.

    Example:
        >>> clean_sex("Female"), clean_sex("m"), clean_sex("Unknown")
        ('F', 'M', None)
    """
    letter = text[:1].upper()
    return letter if text.upper() in ("F", "M", "FEMALE", "MALE") else None
