"""What all runs of the study share, and what tells whether a result may be reused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from scripts.phantom_parameters import PhantomParameters
from scripts.study.grid import Run
from scripts.study.real_images import Radiographs
from scripts.study.settings import BUNDLE_ROOT, StudySettings
from shared.study.folder import StudyFolder
from shared.study.precision import precision_name
from shared.study.splits import Split, grouped_cross_validation
from shared.study.training import deciding_sections, read_train_config

__all__ = ["Workshop"]

# raised whenever the code of networks, phantoms, training or their preprocessing changes what is learned
NETWORK_VERSION = 1


@dataclass(frozen=True)
class Workshop(StudyFolder[Run]):
    """What all runs share; small enough to be sent to a worker.

    Attributes:
        output: folder of the study.
        radiographs: real images.
        settings: of the study.
    """

    radiographs: Radiographs
    settings: StudySettings

    def weights_path(self, run: Run) -> Path:
        """Return where the weights of a network are."""
        return self.output / "weights" / f"{run.key}.pt"

    def is_done(self, run: Run) -> bool:
        """Tell whether a run's result is there and was made by the same recipe, and its weights."""
        return super().is_done(run) and self.weights_path(run).is_file()

    def split(self, run: Run) -> Split:
        """Return the real images that a run trains, validates and tests on."""
        real, images = self.settings.real, self.radiographs
        return grouped_cross_validation(images.patients, images.labels, real.folds, real.validation_share, run.seed)[
            run.fold
        ]

    def overrides(self, run: Run) -> dict[str, Any]:
        """Return the keys of ``train.json`` that a run changes."""
        settings = self.settings
        own = settings.real.training if run.experiment == "real" else settings.phantoms.training
        return {"device": settings.device, **settings.training, **own, "seed": run.seed}

    def recipe(self, run: Run) -> str:
        """Return run, data, training and doubts that its result depends on, as JSON.

        Alarms are no part of it: they are fitted when the table is made. Of the code the version of the networks' is:
        delete the study's folder after changing how others work.
        """
        settings, config = self.settings, read_train_config(BUNDLE_ROOT)
        overrides = self.overrides(run)
        content: dict[str, Any] = {
            "run": asdict(run),
            "training": overrides,
            "train.json": _training_sections(),
            "metadata.json": _metadata_values(),
            "doubts": {**config["doubts"], "changed": settings.doubts},
            "precision": precision_name(overrides, settings.device),
            "version": NETWORK_VERSION,
        }
        if run.experiment == "real":
            real = asdict(settings.real)
            content["data"] = [self.radiographs.sha256, {name: real[name] for name in ("folds", "validation_share")}]
        else:
            parameters = asdict(PhantomParameters.from_config(settings.phantoms.parameters))
            content["data"] = [parameters, dict(settings.phantoms.patients)]
        if run.experiment == "shortcut":
            shortcut = asdict(settings.shortcut)
            content["shortcut"] = {name: shortcut[name] for name in ("films", "mapped", "shown", "shown_method")}
        return json.dumps(content, sort_keys=True)

    def recipe_hash(self, run: Run) -> str:
        """Return a short hash of the recipe, for the page."""
        return hashlib.sha256(self.recipe(run).encode()).hexdigest()[:16]


@cache
def _training_sections() -> str:
    return deciding_sections(read_train_config(BUNDLE_ROOT))


@cache
def _metadata_values() -> dict[str, Any]:
    """Return what ``train.json`` takes from the metadata."""
    metadata = ConfigParser.load_config_file(str(BUNDLE_ROOT / "configs" / "metadata.json"))
    return {name: metadata[name] for name in ("preprocessing", "network")}
