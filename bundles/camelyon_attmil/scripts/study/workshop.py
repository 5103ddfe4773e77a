"""What all runs of a study of bags share, and what tells whether a result may be reused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.study.grid import Run
from scripts.study.settings import BagStudySettings
from shared.study.folder import StudyFolder

__all__ = ["BagWorkshop"]

# raised whenever the code of networks, training or their preprocessing changes what is learned
NETWORK_VERSION = 1
#: settings besides condition and model that decide what a result says
DECIDING = ("data", "encoder", "attention_dimension", "folds", "validation_share", "stain_deviation", "test_bags")
#: parts of a condition or model that decide nothing
WORDS = ("title", "minutes", "training")


@dataclass(frozen=True)
class BagWorkshop(StudyFolder[Run]):
    """What all runs share; small enough to be sent to a worker, which reads the data itself.

    Attributes:
        output: folder of the study.
        data: folder of the data.
        sha256: hash of the files of each condition.
        settings: of the study.
    """

    data: Path
    sha256: Mapping[str, str]
    settings: BagStudySettings

    def recipe(self, run: Run) -> str:
        """Return run, data, network and settings that its result depends on, as JSON."""
        settings = asdict(self.settings)
        condition, model = settings["conditions"][run.condition], settings["models"][run.model]
        return json.dumps(
            {
                "run": asdict(run),
                "condition": {key: value for key, value in condition.items() if key not in WORDS},
                "model": {key: value for key, value in model.items() if key not in WORDS},
                "training": asdict(self.settings.training_of(run.condition)),
                "settings": {name: settings[name] for name in DECIDING},
                "data": self.sha256[run.condition],
                "version": NETWORK_VERSION,
            },
            sort_keys=True,
        )
