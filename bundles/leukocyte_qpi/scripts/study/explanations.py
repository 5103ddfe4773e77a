"""How well explanations point at the cause of the class, where that is known: on phantoms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from scripts.phantom import draw_crops
from scripts.phantom_cells import CLASSES, TRUTH
from scripts.study.grid import Run
from scripts.study.inference import normalised, predicted_logits
from scripts.study.settings import BUNDLE_ROOT
from scripts.study.training import training_overrides, untrained
from scripts.study.workshop import Workshop
from shared.data.datalist import write_datalist
from shared.saliency.quality import map_quality
from shared.study.training import train

__all__ = ["explain_phantoms", "write_phantoms"]

SECTIONS = ("training", "validation", "test")
DONORS_PER_SECTION = 8
CHUNK = 16


def write_phantoms(
    folder: Path, counts: dict[str, int], seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """Draw phantom crops and write the training's and the validation's as a datalist.

    The sections have different donors. The classes are equally frequent.

    Args:
        folder: where ``datalist.json`` and the crops are written.
        counts: crops of each section.
        seed: of the phantoms.

    Returns:
        The test section: phases ``(N, H, W)``, labels ``(N,)``, and masks of the cause ``(N, H, W)``.
    """
    kinds, donors, sections = [], [], []
    for number, section in enumerate(SECTIONS):
        count = counts[section]
        kinds += [CLASSES[i % len(CLASSES)] for i in range(count)]
        donors += [number * DONORS_PER_SECTION + (i // len(CLASSES)) % DONORS_PER_SECTION for i in range(count)]
        sections += [section] * count
    images, labels, truth = draw_crops(kinds, seed=seed, donors=donors)
    (folder / "crops").mkdir(parents=True, exist_ok=True)
    records: dict[str, list[dict[str, Any]]] = {"training": [], "validation": []}
    for index, section in enumerate(sections):
        if section in records:
            np.save(folder / "crops" / f"{index:05d}.npy", images[index])
            record = {"id": f"{index:05d}", "image": f"crops/{index:05d}.npy", "label": int(labels[index])}
            records[section].append(record)
    write_datalist(folder / "datalist.json", records, classes=CLASSES, info={"data": "phantom crops"})
    tested = np.array(sections) == "test"
    return images[tested], labels[tested], TRUTH.decode(truth[tested], "cause")


def explain_phantoms(workshop: Workshop, run: Run) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Train on phantoms, explain the true class of test phantoms, and measure the maps against the cause.

    All runs share the phantoms, so that only the training differs between seeds. A run with an untrained network is the
    control of Adebayo et al. 2018: what its maps show comes from the image and not from what was learned.

    Returns:
        Labels and logits of the N test phantoms, and ``quality <method>|<metric>|value`` and ``…|chance``, each
        ``(N,)``; and facts about the training.
    """
    plan = workshop.settings.explanations
    with workshop.workspace(run) as work:
        phase, labels, masks = write_phantoms(work / "data", plan["crops"])
        overrides = training_overrides(run, workshop.settings)
        facts: dict[str, Any] = {}
        if run.part == "untrained":
            network = untrained(overrides)
        else:
            trained = train(BUNDLE_ROOT, work / "data", work / "models", overrides)
            network, facts = trained.network, {"best_epoch": trained.best_epoch, "epochs": trained.epochs}
    images = normalised(phase, workshop.phase_range)
    arrays: dict[str, NDArray[Any]] = {"labels": labels, "test_logits": predicted_logits(network, images)}
    for name, description in plan["methods"].items():
        method = _instantiate(description, network)
        target = torch.from_numpy(labels)
        maps = torch.cat(
            [
                method.attribute(part, chosen)
                for part, chosen in zip(images.split(CHUNK), target.split(CHUNK), strict=True)
            ]
        )
        for metric, result in map_quality(maps.sum(dim=1).numpy(), masks, sign=method.sign).items():
            for key, values in result.items():
                arrays[f"quality {name}|{metric}|{key}"] = values
    return arrays, facts


def _instantiate(description: Mapping[str, Any], network: torch.nn.Module) -> Any:
    """Build an attribution method from its config."""
    parser = ConfigParser({"method": {**description, "network": "@network"}, "network": network})
    return parser.get_parsed_content("method")
