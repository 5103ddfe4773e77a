"""The slides of a prepared data set, of which only the feature files are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from scripts.prepare import KEYS_WITH_PATHS
from shared.data.datalist import find_datalist, load_section, read_datalist

__all__ = ["load_slides", "slides_if_any"]


def load_slides(datalist: str | os.PathLike[str], section: str | Sequence[str]) -> list[dict[str, Any]]:
    """Return the records of one or several sections with absolute paths.

    Slides and annotations may have been moved away since their features were extracted. A feature file that is missing
    is told when it is read.

    Args:
        datalist: ``datalist.json``.
        section: its name, or several.

    Raises:
        DataError: as :func:`shared.data.datalist.load_section`, but for files that are missing.
    """
    names = [section] if isinstance(section, str) else section
    return [record for name in names for record in load_section(datalist, name, KEYS_WITH_PATHS, require_files=False)]


def slides_if_any(path: str | os.PathLike[str], section: str) -> list[dict[str, Any]]:
    """Return the records of a section of a data set; none if it was not prepared, or lacks the section.

    Args:
        path: whatever is inferred on: ``datalist.json``, a folder with one, or slides or features that have none.
        section: its name.

    Raises:
        DataError: as :func:`load_slides`.
    """
    datalist = find_datalist(path)
    if datalist is None or not isinstance(read_datalist(datalist).get(section), list):
        return []
    return load_slides(datalist, section)
