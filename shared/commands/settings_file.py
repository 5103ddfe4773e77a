"""Settings that a model was trained with, from a file such as a bundle's ``configs/demo.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.data.files import read_json

__all__ = ["read_settings", "settings_of"]


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read settings by the keys of a bundle's configs.

    Raises:
        DataError: if there is no such file, or it holds no JSON object.
    """
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: found {type(content).__name__}, expected a JSON object of settings by their keys")
    return dict(content)


def settings_of(settings: Mapping[str, Any], bundle: str | os.PathLike[str], configs: Sequence[str]) -> dict[str, Any]:
    """Return those settings that some configs of a bundle have; others, of training for instance, say nothing of them.

    Args:
        settings: by the keys of any of the bundle's configs.
        bundle: its folder.
        configs: names of the configs that are wanted, without ``.json``.

    Raises:
        DataError: if no config of the bundle has one of the keys, or none of the wanted ones has any.
    """
    folder = Path(bundle) / "configs"
    keys = {path.stem: set(read_json(path)) for path in sorted(folder.glob("*.json")) if path.name != "metadata.json"}
    # a key with a # leads into an entry of that name
    known = set().union(*keys.values())
    if unknown := sorted(key for key in settings if key.partition("#")[0] not in known):
        raise DataError(f"{', '.join(unknown)}: no config of the bundle has such a key; look for a misspelling")
    wanted = set().union(*(keys[name] for name in configs))
    found = {key: value for key, value in settings.items() if key.partition("#")[0] in wanted}
    if settings and not found:
        raise DataError(f"{', '.join(settings)}: no key of {' or '.join(f'{name}.json' for name in configs)}")
    return found
