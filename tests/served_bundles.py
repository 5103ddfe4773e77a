"""Bundles of the smallest networks, copied, trained and calibrated, to be served in tests."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.bundles.commands import BundleCommands, run

REPOSITORY = Path(__file__).resolve().parents[1]

# of the small data sets here a few must do
CALIBRATION_SAMPLES = 4

# one process for both commands
TRAINING = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path.cwd()))
from shared.serving.station import load_scripts, run_station
root, overrides = Path(sys.argv[1]), eval(sys.argv[2])
load_scripts(root)
run_station(root, "training", ["train"], overrides)
calibrating = {key: value for key, value in overrides.items() if key != "max_epochs"}
run_station(root, "calibrating", ["train", "calibrate"], calibrating)
"""


@dataclass(frozen=True)
class Recipe:
    """How a bundle is made small.

    Args:
        phantom: settings of its generated data.
        metadata: keys of ``metadata.json`` with other values, nested by ``#``.
        training: keys of ``train.json`` that are changed in the copy.
        max_epochs: trained.
    """

    phantom: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    max_epochs: int = 2


RECIPES = {
    "leukocyte_qpi": Recipe(
        phantom={"phantom#donors": 4, "phantom#frames_per_recording": 2, "phantom#outlier_frames": 1},
        training={"batch_size": 16, "learning_rate": 0.003, "saliency_interval": 99},
        max_epochs=15,
    ),
    "lymphocytosis_moe": Recipe(
        phantom={
            "phantom#patients": 40,
            "phantom#image_size": 32,
            "phantom#bag_size": '{"mean": 8, "std": 3, "low": 5, "high": 14}',
        },
        metadata={"preprocessing#image_size_px": 32, "network#width": 4},
        training={"batch_size": 4, "learning_rate": 0.003, "saliency_interval": 99},
        max_epochs=4,
    ),
    "chexpert_informer": Recipe(
        phantom={"phantom#image_size": 64, "phantom#patients": '{"train": 40, "valid": 40, "test": 30}'},
        metadata={
            "preprocessing#image_size_px": 48,
            "network#init_features": 4,
            "network#growth_rate": 4,
            "network#block_config": [1, 1],
        },
        training={
            "learning_rate": 0.003,
            "saliency_interval": 99,
            "doubts#augmentation_draws#draws": 2,
            "doubts#dropout_draws#draws": 4,
        },
    ),
    # slides of 1.3 mm at 1 µm to a pixel
    "camelyon_attmil": Recipe(
        phantom={
            "phantom#slides": '{"normal": 9, "tumor": 9, "test": 6}',
            "phantom#kinds": '["micro"]',
            "phantom#size": "[1280, 1152]",
            "phantom#parameters": '{"lesions": {"micro": {"mean": 600, "std": 100, "low": 400, "high": 800}}}',
            "mpp": 1,
            "tile_size": 128,
            "readers": 0,
            "workers": 1,
        },
        metadata={"network#embedding": 16, "network#attention_dimension": 8},
        training={"learning_rate": 0.005, "picture_interval": 99},
        max_epochs=4,
    ),
}


@dataclass(frozen=True)
class Served:
    """A bundle that can be served.

    Args:
        root: of the copy, with ``models`` in it.
        data: its generated data, with a ``datalist.json``.
    """

    root: Path
    data: Path

    def records(self, section: str) -> list[dict[str, Any]]:
        """The records of a section of the data."""
        return json.loads((self.data / "datalist.json").read_text())[section]


def served_once(name: str, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Return a bundle that all tests of a run share, made by the first that asks; none may change it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "served"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        if not (folder / f"{name}.made").is_file():
            make_served(name, folder)
            (folder / f"{name}.made").touch()
    return Served(folder / name, folder / f"{name}-data")


def make_served(name: str, folder: Path) -> Served:
    """Copy a bundle to ``folder/<name>``, generate its data beside it, and train it for some seconds."""
    recipe = RECIPES[name]
    root, data = folder / name, folder / f"{name}-data"
    for part in ("configs", "scripts"):
        source = REPOSITORY / "bundles" / name / part
        shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__", "study", "rivals"))
    _change(root / "configs" / "metadata.json", recipe.metadata)
    _change(root / "configs" / "train.json", recipe.training)
    _change(root / "configs" / "serve.json", {"serving#calibration_samples": CALIBRATION_SAMPLES})
    data.mkdir(parents=True)
    run(BundleCommands(name).prepare_phantom(data, **recipe.phantom), data)
    overrides = {"dataset_dir": str(data), "max_epochs": recipe.max_epochs}
    script = folder / f"{name}-training.py"
    script.write_text(TRAINING)
    run([str(script), str(root), str(overrides)], REPOSITORY)
    return Served(root, data)


def _change(file: Path, values: dict[str, Any]) -> None:
    content = json.loads(file.read_text())
    for key, value in values.items():
        place = content
        *above, last = key.split("#")
        for part in above:
            place = place[part]
        assert last in place, f"{file.name} has no {key}"
        place[last] = value
    file.write_text(json.dumps(content))
