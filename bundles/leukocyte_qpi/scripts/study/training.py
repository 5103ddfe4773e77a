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
from monai.utils import set_determinism

from scripts.study.grid import Run
from scripts.study.settings import BUNDLE_ROOT, StudySettings
from shared.training.best_model import BestModel
from shared.training.weights import load_weights

__all__ = ["Trained", "bundle_metadata", "train", "training_overrides", "training_sections", "untrained"]

# the study resumes by whole runs and has one progress bar for all of them
NOT_NEEDED = ("TrainingState", "EpochProgress", "TensorBoardStatsHandler", "SaliencyTensorBoard")


class Trained(NamedTuple):
    """A trained network.

    Attributes:
        network: with the weights of the best epoch, in evaluation mode, on the CPU.
        best_epoch: epoch with the best validation macro F1.
        best_value: that value.
        epochs: epochs trained.
    """

    network: torch.nn.Module
    best_epoch: int
    best_value: float
    epochs: int


def bundle_metadata() -> dict[str, Any]:
    """Return the bundle's ``metadata.json``."""
    return ConfigParser.load_config_file(BUNDLE_ROOT / "configs" / "metadata.json")


@cache
def training_sections() -> str:
    """Return the hash of those sections of ``train.json`` that decide what a training learns."""
    config = ConfigParser.load_config_file(BUNDLE_ROOT / "configs" / "train.json")
    train, validate = config["train"], config["validate"]
    deciding = {name: config[name] for name in ("network_def", "loss", "optimizer", "preprocessing")}
    deciding |= {f"train#{name}": train[name] for name in ("augmentation", "preprocessing", "dataset", "dataloader")}
    deciding |= {f"validate#{name}": validate[name] for name in ("dataset", "key_metric")}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def train(dataset_dir: Path, work_dir: Path, overrides: Mapping[str, Any]) -> Trained:
    """Run ``training`` of the bundle.

    Args:
        dataset_dir: folder with the ``datalist.json``.
        work_dir: where weights are written.
        overrides: keys of ``train.json`` and their values.
    """
    workflow = ConfigWorkflow(
        str(BUNDLE_ROOT / "configs" / "train.json"),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(BUNDLE_ROOT),
        dataset_dir=str(dataset_dir),
        ckpt_dir=str(work_dir),
        tensorboard_dir=str(work_dir / "logs"),
        device="$torch.device('cpu')",
        resume=False,
        # the same update as one kernel: AlexNet's 24 million parameters make a third of a step on a CPU otherwise
        **{"optimizer#fused": True},
        **overrides,
    )
    _disable_handlers(workflow.parser)
    workflow.initialize()
    workflow.run()
    handlers = workflow.parser.get_parsed_content("train#handlers")
    best = next(handler for handler in handlers if isinstance(handler, BestModel))
    network = workflow.parser.get_parsed_content("network_def")
    epochs = workflow.parser.get_parsed_content("train#trainer").state.epoch
    return Trained(load_weights(network, best.path), best.best_epoch, best.best_value, epochs)


def untrained(overrides: Mapping[str, Any]) -> torch.nn.Module:
    """Return the network that :func:`train` starts with, in evaluation mode."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLE_ROOT / "configs" / "train.json"))
    parser.update({"bundle_root": str(BUNDLE_ROOT), **overrides})
    set_determinism(seed=overrides["seed"])
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network.eval()


def training_overrides(run: Run, settings: StudySettings) -> dict[str, Any]:
    """Return the keys of ``train.json`` that a run changes."""
    return {
        "network_name": run.network,
        "dropout_rate": run.dropout,
        "seed": run.seed,
        "label_noise": run.label_noise,
        **settings.networks[run.network],
    }


def _disable_handlers(parser: Any) -> None:
    for section in ("train", "validate"):
        for handler in parser.config[section]["handlers"]:
            if isinstance(handler, dict) and handler["_target_"].rpartition(".")[2] in NOT_NEEDED:
                handler["_disabled_"] = True
