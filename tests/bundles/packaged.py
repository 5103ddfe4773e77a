"""A trained bundle packaged by the command, unpacked elsewhere, and run there."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shared.data.files import sha256_file
from tests.bundles.commands import REPOSITORY, options, run

__all__ = ["assert_package_runs"]


def assert_package_runs(name: str, trained: Path, data: Path, folder: Path, **settings: Any) -> None:
    """The unpacked package infers, from its own files alone, what the bundle inferred.

    Args:
        name: of the bundle.
        trained: folder with ``models`` and ``eval``.
        data: prepared folder.
        folder: outside the repository, to unpack in.
        settings: that the network was trained with; they become the package's own.
    """
    script = str(REPOSITORY / "scripts" / "package.py")
    arguments = ["--models", str(trained / "models"), "--output", str(folder), *options(settings)]
    package = Path(run([script, name, *arguments], trained).stdout.strip().splitlines()[-1])
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    root, elsewhere = folder / name, folder / "elsewhere"
    elsewhere.mkdir()
    assert sha256_file(root / "models" / "model.pt") == sha256_file(trained / "models" / "model.pt")
    config = str(root / "configs" / "inference.json")
    run(["-m", "monai.bundle", "run", "inferring", "--config_file", config, "--dataset_dir", str(data)], elsewhere)
    assert not list(elsewhere.iterdir())
    found = pd.read_csv(root / "output" / "predictions.csv").set_index("id")
    expected = pd.read_csv(trained / "eval" / "predictions.csv").set_index("id").loc[found.index]
    for prefix, tolerance in (("probability", 1e-5), ("confidence", 1e-4)):
        columns = [name for name in found if name.startswith(prefix)]
        np.testing.assert_allclose(found[columns], expected[columns], atol=tolerance)
    columns = [name for name in found if name.startswith(("prediction", "decision"))]
    assert len(columns) > 1
    pd.testing.assert_frame_equal(found[columns], expected[columns])
