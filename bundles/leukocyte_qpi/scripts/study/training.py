"""What a run changes in the bundle's ``train.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from scripts.study.grid import Run
from scripts.study.settings import BUNDLE_ROOT, StudySettings

__all__ = ["training_overrides", "untrained"]


def training_overrides(run: Run, settings: StudySettings) -> dict[str, Any]:
    """Return the keys of ``train.json`` that a run changes, and their values."""
    return {
        "network_name": run.network,
        "dropout_rate": run.dropout,
        "seed": run.seed,
        "label_noise": run.label_noise,
        **settings.networks[run.network],
        "device": "$torch.device('cpu')",
        # the same update as one kernel: AlexNet's 24 million parameters make a third of a step on a CPU otherwise
        "optimizer#fused": True,
    }


def untrained(overrides: Mapping[str, Any]) -> torch.nn.Module:
    """Return the network that a training with these overrides starts with, in evaluation mode."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLE_ROOT / "configs" / "train.json"))
    parser.update({"bundle_root": str(BUNDLE_ROOT), **overrides})
    set_determinism(seed=overrides["seed"])
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network.eval()
