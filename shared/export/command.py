"""A bundle's export as a command: its configs read, settings overridden, errors without a traceback."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from shared.training.start import data_error_behind

__all__ = ["export_bundle"]


def export_bundle(folder: str | os.PathLike[str], overrides: Mapping[str, Any]) -> None:
    """Run a bundle's command ``exporting``.

    Args:
        folder: of the bundle; its ``scripts`` package is the one that is imported.
        overrides: values by the keys of its configs.

    Raises:
        DataError: if the network cannot be exported; see :class:`~shared.export.exporter.Exporter`.
    """
    root = Path(folder)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    configs = [str(root / "configs" / f"{name}.json") for name in ("inference", "export")]
    # what MONAI tells developers of workflows would stand before the one line that a user wants to read
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    workflow = ConfigWorkflow(configs, logging_file=False, workflow_type=None, **overrides)
    try:
        workflow.initialize()
        workflow.run()
    except Exception as error:  # MONAI wraps what a component says into errors that name the config's expression
        if (behind := data_error_behind(error)) is not None:
            raise behind from error
        raise
