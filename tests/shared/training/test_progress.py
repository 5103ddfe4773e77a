"""The bars count what was done, and are closed before an error is printed."""

from __future__ import annotations

import warnings

import pytest
import torch
from ignite.engine import Engine

from shared.training.progress import EpochProgress, IterationProgress


def test_batches_are_counted(capsys):
    engine = Engine(lambda engine, batch: None)
    IterationProgress("evaluating").attach(engine)
    engine.run(range(7))
    assert "evaluating: 100%" in capsys.readouterr().err.splitlines()[-1].split("\r")[-1]


@pytest.mark.parametrize("handler", [IterationProgress("evaluating"), EpochProgress()])
def test_closed_and_raised_on_error(handler):
    def fail(engine, batch):
        if batch == 3:
            raise RuntimeError("broken file")

    engine = Engine(fail)
    handler.attach(engine)
    with pytest.raises(RuntimeError, match="broken file"):
        engine.run(range(7))
    assert handler.bar is None


def test_loss_and_metric_are_shown(capsys):
    evaluator = Engine(lambda engine, batch: None)
    evaluator.state.metrics = {"f1": 0.75}
    loss = torch.tensor(0.25, requires_grad=True)
    trainer = Engine(lambda engine, batch: {"loss": 1 * loss})
    EpochProgress(evaluator, "f1").attach(trainer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.run([0], max_epochs=3)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "loss=0.250, f1=0.750" in shown
