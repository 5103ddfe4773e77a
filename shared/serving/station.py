"""A bundle's commands in this process: the same configs, overrides and errors as ``python -m monai.bundle run``."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from shared.data.errors import DataError
from shared.training.start import data_error_behind

__all__ = ["check_plain", "load_scripts", "open_station", "run_opened", "run_station"]

# what MONAI's parser takes for relative references, wherever they stand in a text
REFERENCE = re.compile(r"[@%]#|^[@%$]")


def load_scripts(root: Path) -> None:
    """Make a bundle's ``scripts`` the package of that name in this process.

    Args:
        root: of the bundle.

    Raises:
        DataError: if another bundle's package is loaded already: all have the same name.
    """
    if (loaded := sys.modules.get("scripts")) is not None and getattr(loaded, "__file__", None):
        folder = Path(str(loaded.__file__)).resolve().parents[1]
        if folder != root.resolve():
            raise DataError(f"{root}: this process serves {folder} already; start another process for it")
        return
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    importlib.import_module("scripts")


def check_plain(key: str, value: str) -> None:
    """Refuse text that MONAI's parser would take for an expression or a reference.

    Raises:
        DataError: naming the key.
    """
    if REFERENCE.search(value):
        raise DataError(f"{key}: {value!r} reads as an expression of a config; use names without @, % and $")


def open_station(root: Path, run_id: str, configs: Sequence[str], overrides: Mapping[str, Any]) -> ConfigWorkflow:
    """Read a command's configs; nothing runs yet.

    Args:
        root: of the bundle, whose ``scripts`` are loaded.
        run_id: of the command, e.g. ``inferring``.
        configs: names of files in ``configs``, each replacing keys of those before.
        overrides: values by key. Text in them is a value, never an expression.

    Raises:
        DataError: if text in the overrides would be taken for an expression or a reference.
    """
    for key, value in overrides.items():
        if isinstance(value, str):
            check_plain(key, value)
    return ConfigWorkflow(
        [str(root / "configs" / f"{name}.json") for name in configs],
        run_id=run_id,
        logging_file=False,
        workflow_type=None,
        **overrides,
    )


def run_station(root: Path, run_id: str, configs: Sequence[str], overrides: Mapping[str, Any]) -> ConfigWorkflow:
    """Run a command, and return it with all that its config has made.

    Args:
        root: of the bundle, whose ``scripts`` are loaded.
        run_id: of the command.
        configs: names of files in ``configs``.
        overrides: values by key.

    Raises:
        DataError: if there is one behind what went wrong.
    """
    workflow = open_station(root, run_id, configs, overrides)
    run_opened(workflow)
    return workflow


def run_opened(workflow: ConfigWorkflow) -> None:
    """Run a command that was opened, and perhaps changed.

    Raises:
        DataError: if there is one behind what went wrong.
    """
    try:
        workflow.initialize()
        workflow.run()
    except Exception as error:  # MONAI wraps what a component says into errors that name the config's expression
        if (behind := data_error_behind(error)) is not None:
            raise behind from error
        raise
