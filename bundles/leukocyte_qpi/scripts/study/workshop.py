"""What all runs of the study share, and what tells whether a result may be reused."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.study.grid import Run
from scripts.study.settings import StudySettings
from scripts.study.stand_in import Cells
from scripts.study.training import training_sections

__all__ = ["Workshop", "recipe"]


@dataclass(frozen=True)
class Workshop:
    """What all runs share; small enough to be sent to a worker.

    Attributes:
        output: folder of the study.
        cells: the stand-in.
        data_sha256: hash of the file that it comes from.
        settings: of the study.
        phase_range: phases that become 0 and 1: the bundle's own.
    """

    output: Path
    cells: Cells
    data_sha256: str
    settings: StudySettings
    phase_range: tuple[float, float]

    def result_path(self, run: Run) -> Path:
        """Return where the result of a run is."""
        return self.output / "runs" / f"{run.key}.npz"

    @property
    def crops(self) -> Path:
        """The folder of the prepared crops."""
        return self.output / "cells"


def recipe(workshop: Workshop, run: Run) -> str:
    """Return what the result of a run depends on, as JSON; a result with another recipe is not reused.

    The code is not part of it: delete the study's folder after changing how networks or training work.
    """
    settings = asdict(workshop.settings)
    wanted = ["validation_share", "folds", "monte_carlo_samples"]
    wanted += ["perturbations", "pgd_steps"] if run.perturbed else []
    wanted += ["explanations"] if run.experiment == "explanations" else ["black_rad"]
    return json.dumps(
        {
            "run": asdict(run),
            "network": settings["networks"].get(run.network),
            "settings": {name: settings[name] for name in wanted},
            "phase_range": list(workshop.phase_range),
            "data": workshop.data_sha256,
            "training": training_sections(),
        },
        sort_keys=True,
    )
