"""The one JSON file that says which records a data set has, and in which section each belongs.

The form is MONAI's: one list of records (dictionaries) per section, every path relative to the file, so that a data
set can be moved as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.data.files import read_json, write_json
from shared.data.splits import CALIBRATION, check_group_disjoint

__all__ = [
    "GROUP_KEYS",
    "PATH_KEYS",
    "datalist_files",
    "find_datalist",
    "load_section",
    "read_datalist",
    "section_if_any",
    "write_datalist",
]

PATH_KEYS = ("image", "truth")
GROUP_KEYS = ("donor", "patient")
SPLITS = ("training", "validation", CALIBRATION, "test")


def write_datalist(
    datalist_path: str | os.PathLike[str],
    sections: Mapping[str, Sequence[Mapping[str, Any]]],
    classes: Sequence[str],
    info: Mapping[str, Any] | None = None,
    keys_with_paths: Sequence[str] = PATH_KEYS,
) -> None:
    """Write a datalist, atomically, with its paths relative to its own folder.

    Args:
        datalist_path: the JSON file to write.
        sections: records of each section; absolute paths in them become relative, relative ones stay.
        classes: names of the classes in the order of the labels.
        info: anything worth keeping about the origin of the data.
        keys_with_paths: keys of a record whose value is a path or a list of paths.

    Raises:
        ValueError: if a section is called ``classes`` or ``info``.
    """
    if reserved := {"classes", "info"} & set(sections):
        raise ValueError(f"a section may not be called {' or '.join(sorted(reserved))}")
    folder = Path(datalist_path).resolve().parent

    def relative(path: str) -> str:
        return Path(os.path.relpath(path, folder)).as_posix() if Path(path).is_absolute() else path

    content: dict[str, Any] = {"classes": list(classes), "info": dict(info or {})}
    for section, records in sections.items():
        content[section] = [_map_paths(record, keys_with_paths, relative) for record in records]
    write_json(datalist_path, content)


def read_datalist(datalist_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a whole datalist; paths stay relative to it.

    Raises:
        DataError: if the file is missing, is not JSON or has no ``classes``.
    """
    path = Path(datalist_path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such datalist; write it with `python scripts/prepare.py <bundle> --source DIR` (or --phantom) "
            "or set dataset_dir to the folder that holds it"
        )
    content = read_json(path)
    if not isinstance(content, dict) or "classes" not in content:
        raise DataError(f"{path}: not a datalist (expected an object with the key 'classes'); prepare the data anew")
    return content


def find_datalist(path: str | os.PathLike[str]) -> Path | None:
    """Return the datalist that a path is or that the folder there holds; ``None`` if there is none."""
    source = Path(path)
    file = source / "datalist.json" if source.is_dir() else source
    return file if file.name == "datalist.json" and file.is_file() else None


def datalist_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the datalist that a path is or that the folder there holds, as a list to be hashed; empty if none is."""
    datalist = find_datalist(path)
    return [] if datalist is None else [datalist]


def load_section(
    datalist_path: str | os.PathLike[str],
    section: str,
    keys_with_paths: Sequence[str] = PATH_KEYS,
    require_files: bool = True,
    group_key: str | Sequence[str] = GROUP_KEYS,
) -> list[dict[str, Any]]:
    """Return the records of one section with absolute paths.

    A datalist that was edited by hand is checked again for what preparing had made sure of: labels name classes, and
    no group is in two of the sections ``training``, ``validation``, ``calibration`` and ``test``.

    Args:
        datalist_path: the datalist's JSON file.
        section: e.g. ``training``, ``validation``, ``test`` or ``outlier``.
        keys_with_paths: keys of a record whose value is a path or a list of paths; a record may lack them.
        require_files: refuse a section whose files are not all there. Otherwise its records are returned as they are,
            for :func:`shared.data.integrity.check_records` to leave out those whose image is missing.
        group_key: key of the records' group, or several; each is checked where all records of these sections have it.

    Returns:
        One dictionary per record, in the order of the file. Empty if the section is.

    Raises:
        DataError: if the datalist or the section is missing, a label is no class index, a group is in two sections,
            or, with ``require_files``, if files that records name do not exist.
    """
    content = read_datalist(datalist_path)
    path = Path(datalist_path).resolve()
    if section == "classes" or not isinstance(content.get(section), list):
        found = sorted(name for name, value in content.items() if isinstance(value, list) and name != "classes")
        raise DataError(f"{path}: no section '{section}'; found {', '.join(found) or 'none'}; prepare the data anew")
    for key in [group_key] if isinstance(group_key, str) else group_key:
        _check_groups(path, content, key)
    _check_labels(path, section, content)
    records = [
        _map_paths(record, keys_with_paths, lambda name: os.path.normpath(path.parent / name))
        for record in content[section]
    ]
    if not require_files:
        return records
    missing = [name for record in records for name in _paths(record, keys_with_paths) if not Path(name).is_file()]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} file(s) of section '{section}' do not exist, the first is {missing[0]}; "
            "move the data folder only as a whole, or prepare the data anew"
        )
    return records


def section_if_any(path: str | os.PathLike[str], section: str) -> list[dict[str, Any]]:
    """Return the records of a section of the datalist that a path is or that the folder there holds.

    For what is done with a further section where there is one: its records are those of :func:`load_section`.

    Args:
        path: of a datalist, or of data that may have none.
        section: e.g. ``training``.

    Returns:
        The records; none if there is no datalist, or it lacks the section.

    Raises:
        DataError: as :func:`load_section` for a section that is there.
    """
    datalist = find_datalist(path)
    if datalist is None or not isinstance(read_datalist(datalist).get(section), list):
        return []
    return load_section(datalist, section)


def _check_groups(path: Path, content: Mapping[str, Any], group_key: str) -> None:
    sections = {name: content[name] for name in SPLITS if isinstance(content.get(name), list)}
    if all(group_key in record for records in sections.values() for record in records):
        try:
            check_group_disjoint(sections, group_key)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def _check_labels(path: Path, section: str, content: Mapping[str, Any]) -> None:
    """Check labels that are one value; lists of labels are the bundle's own matter."""
    classes = content["classes"]
    for record in content[section]:
        label = record.get("label", 0)
        valid = isinstance(label, int) and 0 <= label < len(classes)
        if not (valid or isinstance(label, list)) and "label" in record:
            raise DataError(
                f"{path}: record {record.get('id')!r} of section '{section}' has label {label!r}; expected an index "
                f"from 0 to {len(classes) - 1} of the classes {', '.join(classes)}; correct it or prepare the data anew"
            )


def _paths(record: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    values = [record[key] for key in keys if key in record]
    return [path for value in values for path in ([value] if isinstance(value, str) else value)]


def _map_paths(record: Mapping[str, Any], keys: Iterable[str], change: Any) -> dict[str, Any]:
    changed = dict(record)
    for key in keys:
        if key in changed:
            value = changed[key]
            if isinstance(value, str | os.PathLike):
                changed[key] = change(str(value))
            else:
                changed[key] = [change(str(item)) for item in value]
    return changed
