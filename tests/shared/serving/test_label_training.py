"""Settings of a training on labels, and how few samples calibrate nothing. What it does is tried by a worker."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from shared.data.errors import DataError
from shared.serving.label_training import LabelTraining, calibrate


@pytest.mark.parametrize(
    "content",
    [
        {"max_epochs": "3"},
        {"max_epochs": True},
        {"max_epochs": 10_001},
        {"seed": 2**31},
        {"seed": None},
        {"from_scratch": 1},
    ],
)
def test_settings_are_checked(content):
    with pytest.raises(DataError, match=f"train: {next(iter(content))} is "):
        LabelTraining.of_json(content)


def test_settings():
    assert LabelTraining.of_json({}) == LabelTraining(None, 0, False)
    content = {"max_epochs": 3, "seed": 5, "from_scratch": True}
    assert LabelTraining.of_json(content) == LabelTraining(**content)


def test_too_few_samples_calibrate_nothing(tmp_path):
    bundle = SimpleNamespace(settings={"calibration_samples": 20}, root=tmp_path)
    reason = calibrate(bundle, {"ckpt_dir": str(tmp_path)}, 19)
    assert reason == "19 labelled samples for validation, calibrating needs 20; label more"
    assert not list(tmp_path.iterdir()), "nothing ran"
