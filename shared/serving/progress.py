"""Progress of a training as lines of a log, for whoever waits for it in another process."""

from __future__ import annotations

import logging

from ignite.engine import Engine, Events

__all__ = ["PROGRESS", "EpochLines"]

PROGRESS = logging.getLogger("shared.serving.progress")
PROGRESS.setLevel(logging.INFO)


class EpochLines:
    """Ignite handler that logs one line after each epoch; list it behind the ``ValidationHandler``.

    Args:
        evaluator: the validation engine, whose metrics are told.
    """

    def __init__(self, evaluator: Engine) -> None:
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if not engine.has_event_handler(self, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Log the epoch and the metrics of its validation."""
        numbers = {name: value for name, value in self.evaluator.state.metrics.items() if isinstance(value, float)}
        told = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        PROGRESS.info(f"epoch {engine.state.epoch} of {engine.state.max_epochs}: {told or 'no metrics'}")
