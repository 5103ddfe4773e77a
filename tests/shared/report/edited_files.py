"""A copy of a bundle with one file changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["edited"]


def edited(four_classes: Path, tmp_path: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """Copy the bundle of an eval folder, change the content of a JSON file in it, and return the copy's eval folder."""
    shutil.copytree(four_classes.parent, tmp_path / "bundle")
    file = tmp_path / "bundle" / name
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return tmp_path / "bundle" / "eval"
