"""MONAI's own ``--tracking mlflow`` on trainers that decollate, and on those that do not."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from shared.training.tracking import track_loss_of_batches

OUTPUT = {"loss": torch.tensor(0.25), "pred": torch.zeros(3)}


def tracked(decollate):
    """The transform of a command's output: as MONAI adds it to a trainer, after a first item of the command ran."""
    train = {"trainer": {"decollate": decollate, "handlers": "@train#handlers"}, "handlers": [{"_target_": "Other"}]}
    parser = ConfigParser(
        {"imports": ["$import monai"], "bundle_root": "/nowhere", "save_execute_config": False, "train": train}
    )
    ConfigWorkflow.patch_bundle_tracking(parser, DEFAULT_MLFLOW_SETTINGS)
    parser.get_parsed_content("bundle_root")
    track_loss_of_batches(parser)
    assert parser.get("train#handlers")[1]["_target_"] == "MLFlowHandler"
    assert "from_engine" in DEFAULT_MLFLOW_SETTINGS["configs"]["trainer"]["output_transform"]
    return parser.get_parsed_content("train#handlers#1#output_transform")


def test_the_loss_of_a_batch_is_a_number():
    assert float(tracked(decollate=False)(OUTPUT)) == 0.25


def test_a_list_of_samples_is_read_as_monai_does():
    transform = tracked(decollate=True)
    assert float(transform([OUTPUT, OUTPUT])) == 0.25
    with pytest.raises(TypeError):
        float(transform(OUTPUT))


def test_other_commands_are_left_alone():
    track_loss_of_batches(ConfigParser({"evaluator": {}}))
