"""Tables that users write: read as text, so that whoever judges a value can quote what the file says."""

from __future__ import annotations

import os

import pandas as pd

from shared.data.errors import DataError

__all__ = ["read_text_table"]


def read_text_table(path: str | os.PathLike[str], separator: str = ",", header: bool = True) -> pd.DataFrame:
    """Read a CSV file in UTF-8, with or without a byte order mark; every cell is stripped, empty where nothing stands.

    Args:
        path: the file.
        separator: between the columns.
        header: whether the first line names the columns; else they have numbers.

    Returns:
        A row for each line that is not empty.

    Raises:
        DataError: if the file is missing or empty, is not in UTF-8, or its rows are longer than the first.
    """
    first = 0 if header else None
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, sep=separator, header=first, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors and those of decoding are ValueErrors
        raise DataError(
            f"{path}: cannot be read as a table ({' '.join(str(error).split())}); expected CSV in UTF-8 with "
            f"'{separator}' between the columns" + (", which its first line names" if header else "")
        ) from error
    if header:
        table.columns = table.columns.str.strip()
    return table.fillna("").apply(lambda column: column.str.strip())
