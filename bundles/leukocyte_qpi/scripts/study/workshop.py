"""What all runs of the study share, and what tells whether a result may be reused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from scripts.study.grid import Run
from scripts.study.settings import BUNDLE_ROOT, StudySettings
from scripts.study.stand_in import Cells
from shared.study.folder import StudyFolder
from shared.study.splits import Split, cross_validation, leave_one_group_out
from shared.study.training import read_train_config

__all__ = ["Workshop"]


@dataclass(frozen=True)
class Workshop(StudyFolder[Run]):
    """What all runs share; small enough to be sent to a worker.

    Attributes:
        output: folder of the study.
        cells: the stand-in.
        data_sha256: hash of the file that it comes from.
        settings: of the study.
        phase_range: phases that become 0 and 1: the bundle's own.
    """

    cells: Cells
    data_sha256: str
    settings: StudySettings
    phase_range: tuple[float, float]

    @property
    def crops(self) -> Path:
        """The folder of the prepared crops."""
        return self.output / "cells"

    def split(self, run: Run) -> Split:
        """Return the cells that a run trains, validates and tests on; the same for all networks."""
        strata, share = self.cells.strata, self.settings.validation_share
        if run.experiment == "leave_one_source_out":
            return leave_one_group_out(strata, self.cells.sources, share, run.seed)[run.part]
        fold = int(run.part.removeprefix("fold")) - 1
        return cross_validation(strata, self.settings.folds, share, run.seed)[fold]

    def recipe(self, run: Run) -> str:
        """Return run, data, network and settings that its result depends on, as JSON."""
        settings = asdict(self.settings)
        wanted = ["validation_share", "folds", "monte_carlo_samples"]
        wanted += ["perturbations", "pgd_steps"] if run.perturbed else []
        wanted += ["explanations"] if run.experiment == "explanations" else ["black_rad"]
        return json.dumps(
            {
                "run": asdict(run),
                "network": settings["networks"].get(run.network),
                "settings": {name: settings[name] for name in wanted},
                "phase_range": list(self.phase_range),
                "data": self.data_sha256,
                "training": _training_sections(),
            },
            sort_keys=True,
        )


@cache
def _training_sections() -> str:
    """Return the hash of those sections of ``train.json`` that decide what a training learns."""
    config = read_train_config(BUNDLE_ROOT)
    train, validate = config["train"], config["validate"]
    deciding = {name: config[name] for name in ("network_def", "loss", "optimizer", "preprocessing")}
    deciding |= {f"train#{name}": train[name] for name in ("augmentation", "preprocessing", "dataset", "dataloader")}
    deciding |= {f"validate#{name}": validate[name] for name in ("dataset", "key_metric")}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
