"""One training through the bundle's own ``train.json``, so that what is measured is what users run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from scripts.study.settings import BUNDLE_ROOT
from shared.data.errors import DataError
from shared.training.best_model import BestModel
from shared.training.weights import load_weights

__all__ = ["Trained", "check_keys", "train", "training_sections"]

TRAIN_CONFIG = BUNDLE_ROOT / "configs" / "train.json"
# the study resumes by whole runs and has one progress bar for all of them
NOT_NEEDED = ("TrainingState", "EpochProgress", "TensorBoardStatsHandler", "BagsTensorBoard")
# what a training learns does not depend on where its files are, nor on how it is watched
PLACES = ("imports", "bundle_root", "dataset_dir", "ckpt_dir", "output_dir", "tensorboard_dir", "device", "resume")


class Trained(NamedTuple):
    """A trained network.

    Attributes:
        network: with the weights of the chosen epoch, in evaluation mode.
        best_epoch: the epoch that was chosen on the validation patients.
        best_value: its validation metric.
        epochs: epochs trained.
    """

    network: torch.nn.Module
    best_epoch: int
    best_value: float
    epochs: int


@cache
def training_sections() -> str:
    """Return the hash of what ``train.json`` says about learning: all but places and handlers that only watch."""
    config = _config()
    deciding = {key: value for key, value in config.items() if key not in PLACES}
    for section in ("train", "validate"):
        handlers = [handler for handler in config[section]["handlers"] if not _only_watches(handler)]
        deciding[section] = {**config[section], "handlers": handlers}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def train(dataset_dir: Path, work_dir: Path, overrides: Mapping[str, Any]) -> Trained:
    """Run ``training`` of the bundle.

    Args:
        dataset_dir: folder with the ``datalist.json``.
        work_dir: where weights are written.
        overrides: keys of ``train.json`` and their values.

    Raises:
        DataError: if ``train.json`` has no such key.
    """
    check_keys(overrides)
    workflow = ConfigWorkflow(
        str(TRAIN_CONFIG),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(BUNDLE_ROOT),
        dataset_dir=str(dataset_dir),
        ckpt_dir=str(work_dir),
        tensorboard_dir=str(work_dir / "logs"),
        resume=False,
        **overrides,
    )
    for section in ("train", "validate"):
        for handler in workflow.parser.config[section]["handlers"]:
            if _only_watches(handler):
                handler["_disabled_"] = True
    workflow.initialize()
    workflow.run()
    handlers = workflow.parser.get_parsed_content("train#handlers")
    best = next(handler for handler in handlers if isinstance(handler, BestModel))
    network = workflow.parser.get_parsed_content("network_def")
    epochs = workflow.parser.get_parsed_content("train#trainer").state.epoch
    return Trained(load_weights(network, best.path), best.best_epoch, best.best_value, epochs)


def check_keys(overrides: Mapping[str, Any]) -> None:
    """Refuse keys that ``train.json`` does not have: MONAI would add them, and nothing would come of it.

    Raises:
        DataError: naming the key.
    """
    config = _config()
    for key in overrides:
        place: Any = config
        # of nested keys the last may be new: an argument that the config leaves at its default
        for part in [key] if "#" not in key else key.split("#")[:-1]:
            if not isinstance(place, dict) or part not in place:
                raise DataError(f"study.json: train.json has no key '{key}'; its keys are {', '.join(config)}")
            place = place[part]


def _config() -> dict[str, Any]:
    config: dict[str, Any] = ConfigParser.load_config_file(str(TRAIN_CONFIG))
    return config


def _only_watches(handler: Any) -> bool:
    return isinstance(handler, dict) and str(handler["_target_"]).rpartition(".")[2].removesuffix("Handler") in {
        name.removesuffix("Handler") for name in NOT_NEEDED
    }
