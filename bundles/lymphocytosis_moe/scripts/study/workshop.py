"""What all runs of the study share, and what tells whether a result may be reused."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scripts.study.grid import Run, required_runs
from scripts.study.patients import Patients
from scripts.study.resolved import metadata_values
from scripts.study.settings import BUNDLE_ROOT, StudySettings
from shared.study.folder import StudyFolder
from shared.study.precision import precision_name
from shared.study.splits import Split, cross_validation, other_validation
from shared.study.training import deciding_sections, read_train_config

__all__ = ["Workshop"]

# raised whenever the code of networks, training or their preprocessing changes what is learned
NETWORK_VERSION = 1
#: settings besides the models' own that decide what a result says
DECIDING = ("folds", "validation_share", "cells", "image_sets", "cell_numbers")


@dataclass(frozen=True)
class Workshop(StudyFolder[Run]):
    """What all runs share; small enough to be sent to a worker.

    Attributes:
        output: folder of the study.
        patients: of the study.
        settings: of the study.
    """

    patients: Patients
    settings: StudySettings

    def weights_path(self, run: Run) -> Path:
        """Return where the weights of a network are."""
        return self.output / "weights" / f"{run.key}.pt"

    @property
    def features_path(self) -> Path:
        """The file of the classical features."""
        return self.output / "features.npz"

    def split(self, run: Run) -> Split:
        """Return the patients that a run trains, validates and tests on; the same for all models."""
        settings, labels = self.settings, self.patients.labels
        first = cross_validation(labels, settings.folds, settings.validation_share, run.repeat)[run.fold]
        return other_validation(first, labels, run.member, run.repeat)

    def is_done(self, run: Run) -> bool:
        """Tell whether a run's result is there and was made by the same recipe; of a network also its weights."""
        weighted = self.settings.models[run.model]["kind"] in ("network", "average")  # an ensemble's are its members'
        return super().is_done(run) and (not weighted or self.weights_path(run).is_file())

    def recipe(self, run: Run) -> str:
        """Return run, data, models and settings that its result depends on, as JSON.

        Of the code the version of the networks' is part of it: delete the study's folder after changing how others
        work.
        """
        settings = asdict(self.settings)
        models = {needed.model: self._learning(needed) for needed in [*required_runs(self.settings, run), run]}
        return json.dumps(
            {
                "run": {name: value for name, value in asdict(run).items() if name != "member" or value},
                "models": models,
                "settings": {name: settings[name] for name in DECIDING},
                "data": self.patients.sha256,
            },
            sort_keys=True,
        )

    def _learning(self, run: Run) -> dict[str, Any]:
        """Return the part of a model's settings that decides what it learns."""
        model = dict(self.settings.models[run.model])
        learning = {key: value for key, value in model.items() if key not in ("title", "inputs", "minutes")}
        if model["kind"] == "network":
            training = dict(self.settings.training)
            learning |= {
                "training": training,
                "train.json": _training_sections(),
                "metadata.json": metadata_values({**training, **model["overrides"]}),
                "precision": precision_name({**training, **model["overrides"]}, self.settings.device),
                "version": NETWORK_VERSION,
            }
        return learning


@cache
def _training_sections() -> str:
    return deciding_sections(read_train_config(BUNDLE_ROOT))
