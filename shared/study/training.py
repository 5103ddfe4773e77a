"""One training through a bundle's own ``train.json``, so that what is measured is what users run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from shared.data.errors import DataError
from shared.training.best_model import BestModel
from shared.training.weights import load_weights

__all__ = ["Trained", "check_keys", "deciding_sections", "read_train_config", "train"]

# a study resumes by whole runs and has one progress bar for all of them
NOT_NEEDED = (
    "TrainingState",
    "EpochProgress",
    "TensorBoardStatsHandler",
    "SaliencyTensorBoardHandler",
    "CellSaliencyHandler",
)
# what a training learns does not depend on where its files are
PLACES = ("bundle_root", "dataset_dir", "ckpt_dir", "output_dir", "tensorboard_dir", "datalist", "model_file", "device")
REFERENCE = re.compile(r"[@%]([A-Za-z_]\w*(?:#\w+)*)")


class Trained(NamedTuple):
    """A trained network.

    Attributes:
        network: with the weights of the chosen epoch, in evaluation mode.
        best_epoch: the epoch with the best validation metric.
        best_value: that value.
        epochs: epochs trained.
    """

    network: torch.nn.Module
    best_epoch: int
    best_value: float
    epochs: int


def read_train_config(bundle_root: Path) -> dict[str, Any]:
    """Return the content of a bundle's ``train.json``."""
    config: dict[str, Any] = ConfigParser.load_config_file(str(bundle_root / "configs" / "train.json"))
    return config


def train(bundle_root: Path, dataset_dir: Path, work_dir: Path, overrides: Mapping[str, Any]) -> Trained:
    """Run ``training`` of a bundle, without handlers that only watch.

    Args:
        bundle_root: folder of the bundle.
        dataset_dir: folder with the ``datalist.json``.
        work_dir: where weights are written.
        overrides: keys of ``train.json`` and their values.

    Raises:
        DataError: if ``train.json`` has no such key.
    """
    check_keys(read_train_config(bundle_root), overrides)
    workflow = ConfigWorkflow(
        str(bundle_root / "configs" / "train.json"),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(bundle_root),
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


def check_keys(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Refuse keys that ``train.json`` does not have: MONAI would add them, and nothing would come of it.

    Args:
        config: content of ``train.json``.
        overrides: keys and their values.

    Raises:
        DataError: naming the key.
    """
    for key in overrides:
        place: Any = config
        # of nested keys the last may be new: an argument that the config leaves at its default
        for part in [key] if "#" not in key else key.split("#")[:-1]:
            if not isinstance(place, dict) or part not in place:
                raise DataError(f"study.json: train.json has no key '{key}'; its keys are {', '.join(config)}")
            place = place[part]


def deciding_sections(config: Mapping[str, Any]) -> str:
    """Return the hash of what decides in ``train.json`` what a training learns.

    That is all that the key ``training`` refers to, directly or through other keys, but for places and for handlers
    that only watch: whatever else is added to the file, a result stays valid.

    Args:
        config: content of ``train.json``.
    """
    found: dict[str, Any] = {}
    left = ["training"]
    while left:
        key = left.pop()
        if key in found or key in PLACES:
            continue
        value: Any = config
        for part in key.split("#"):
            value = value[int(part)] if isinstance(value, list) else value[part]
        found[key] = _without_watchers(value)
        left += REFERENCE.findall(json.dumps(found[key]))
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _only_watches(handler: Any) -> bool:
    return isinstance(handler, dict) and str(handler.get("_target_")).rpartition(".")[2] in NOT_NEEDED


def _without_watchers(value: Any) -> Any:
    """Return a part of a config without handlers that only watch, wherever they are listed."""
    if isinstance(value, dict):
        return {key: _without_watchers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_watchers(item) for item in value if not _only_watches(item)]
    return value
