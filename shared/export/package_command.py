"""A bundle's package as a command: staged, tried as it is staged, and only then written."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from shared.calibration.calibration_file import read_calibration
from shared.data.errors import DataError
from shared.export.package import stage_bundle, write_package
from shared.training.start import data_error_behind
from shared.training.weights import load_weights

__all__ = ["package_bundle"]


def package_bundle(
    root: str | os.PathLike[str],
    output: str | os.PathLike[str],
    models: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    url: str | None = None,
    with_weights: bool = True,
) -> Path:
    """Write the package of a trained bundle.

    Args:
        root: of the bundle.
        output: folder for the archive.
        models: folder of the trained model; ``models`` of the bundle by default.
        settings: see :func:`shared.export.package.stage_bundle`.
        url: see :func:`shared.export.package.large_files`.
        with_weights: see :func:`shared.export.package.write_package`.

    Returns:
        The archive's path.

    Raises:
        DataError: if the package's own configs do not build the network of its weights, the calibration belongs to
            other weights, or something is missing.
    """
    folder = Path(root).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        staged = stage_bundle(folder, temporary, models or folder / "models", settings)
        _try(staged)
        return write_package(staged, output, url, with_weights)


def _try(staged: Path) -> None:
    """Load the weights of a staged bundle by its own configs and code."""
    sys.path.insert(0, str(staged))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    importlib.invalidate_caches()
    try:
        parser = ConfigParser()
        parser.read_config(str(staged / "configs" / "inference.json"))
        weights = staged / "models" / "model.pt"
        read_calibration(staged / "models" / "calibration.json", weights)
        load_weights(parser.get_parsed_content("network_def"), weights)
    except Exception as error:  # MONAI wraps what a component says into errors that name the config's expression
        behind = data_error_behind(error)
        if behind is None:
            raise
        advice = "if the model was trained with settings of its own, give them, as --key value or --settings FILE"
        raise DataError(f"{str(behind).replace(str(staged.parent) + os.sep, '')}; {advice}") from error
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(staged))
