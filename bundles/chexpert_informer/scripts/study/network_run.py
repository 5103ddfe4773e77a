"""Training a network, and keeping what it says of validation and test images, with all doubts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from scripts.study.doubting import Examiner, arrays_of
from scripts.study.films import draw_films
from scripts.study.grid import Run
from scripts.study.real_images import write_split
from scripts.study.settings import BUNDLE_ROOT
from scripts.study.workshop import Workshop
from shared.data.datalist import load_section
from shared.data.files import atomic_path
from shared.study.training import train

__all__ = ["network_run", "train_network"]

Result = tuple[dict[str, NDArray[Any]], dict[str, Any]]
SECTIONS = ("validation", "test")


def network_run(workshop: Workshop, run: Run) -> Result:
    """Train the network of a fold of real images, or of a seed of the phantoms.

    Returns:
        ``validation_<field>`` and ``test_<field>``, see :func:`scripts.study.doubting.arrays_of`; and facts.
    """
    with workshop.workspace(run) as work:
        data = work / "data"
        if run.experiment == "real":
            write_split(data, workshop.radiographs, workshop.split(run))
        else:
            draw_films(data, workshop.settings.phantoms, run.seed, "plain", workshop.settings.training["image_size"])
        facts = train_network(workshop, run, work)
        examiner = Examiner(workshop.weights_path(run), workshop.overrides(run), workshop.settings.doubts)
        arrays: dict[str, NDArray[Any]] = {}
        for section in SECTIONS:
            arrays |= arrays_of(examiner.doubts(load_section(data / "datalist.json", section)), section)
    return arrays, facts


def train_network(workshop: Workshop, run: Run, work: Path) -> dict[str, Any]:
    """Train through ``train.json`` on ``<work>/data``; the weights are kept beside the results.

    Returns:
        Epoch that was chosen, its validation metric, and the number of epochs.
    """
    trained = train(BUNDLE_ROOT, work / "data", work / "models", workshop.overrides(run))
    with atomic_path(workshop.weights_path(run)) as temporary:
        torch.save(trained.network.state_dict(), temporary)
    return {"best_epoch": trained.best_epoch, "best_value": trained.best_value, "epochs": trained.epochs}
