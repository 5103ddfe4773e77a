"""Choosing the model: the weights with the best validation metric, and when to stop looking for better ones."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from shared.training.weights import save_weights

__all__ = ["BestModel"]


class BestModel:
    """Ignite handler that writes the weights whenever the validation metric improves, and stops when it no longer does.

    It has ``state_dict`` and ``load_state_dict``, so that a training that is resumed by
    :class:`~shared.training.training_state.TrainingState` neither forgets the best value nor starts its patience anew.
    List it behind the ``ValidationHandler``.

    Args:
        evaluator: the validation engine; its ``state.metrics`` hold the metric.
        network: the network whose weights are written (the bare one, not its distributed wrapper).
        path: where to write the state dict.
        metric: name of the metric.
        patience: stop after this many validations without improvement; ``None`` never stops early.
        larger_is_better: whether the best value is the largest, or, as for a loss, the smallest.

    Raises:
        ValueError: if ``patience`` is less than one.
        KeyError: while training, if the evaluator has no such metric.
    """

    def __init__(
        self,
        evaluator: Engine,
        network: torch.nn.Module,
        path: str | os.PathLike[str],
        metric: str,
        patience: int | None = None,
        larger_is_better: bool = True,
    ) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"patience must be at least 1 or null, found {patience}")
        self.evaluator = evaluator
        self.network = network
        self.path = Path(path)
        self.metric = metric
        self.patience = patience
        self.larger_is_better = larger_is_better
        self.best_value = -math.inf if larger_is_better else math.inf
        self.best_epoch = 0
        self.last_epoch = 0
        self.validations_without_improvement = 0
        self.logger = logging.getLogger("BestModel")

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if not engine.has_event_handler(self, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.STARTED, self.stop_if_exhausted)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)
            engine.add_event_handler(Events.COMPLETED, self.tell)

    def tell(self, _: Engine) -> None:
        """Say which model was kept."""
        if idist.get_rank() == 0:
            self.logger.info(f"{self.path}: the model of epoch {self.best_epoch}, {self.metric} {self.best_value:.4f}")

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training has to know."""
        return {
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "last_epoch": self.last_epoch,
            "validations_without_improvement": self.validations_without_improvement,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of an earlier run."""
        for name in self.state_dict():
            setattr(self, name, state[name])

    def __call__(self, engine: Engine) -> None:
        """Compare the newest validation with the best one."""
        epoch = self.evaluator.state.epoch
        if epoch == self.last_epoch or epoch != engine.state.epoch:
            return  # no validation in this epoch
        self.last_epoch = epoch
        if self.metric not in self.evaluator.state.metrics:
            known = ", ".join(self.evaluator.state.metrics) or "none"
            raise KeyError(f"the evaluator has no metric {self.metric!r}; it has: {known}")
        value = float(self.evaluator.state.metrics[self.metric])
        if value > self.best_value if self.larger_is_better else value < self.best_value:
            self.best_value, self.best_epoch = value, epoch
            self.validations_without_improvement = 0
            if idist.get_rank() == 0:
                save_weights(self.network.state_dict(), self.path)
        else:
            self.validations_without_improvement += 1
        self.stop_if_exhausted(engine)

    def stop_if_exhausted(self, engine: Engine) -> None:
        """End the training when the patience is used up."""
        if self.patience is not None and self.validations_without_improvement >= self.patience:
            self.logger.info(
                f"{self.metric} has not improved on {self.best_value:.4f} (epoch {self.best_epoch}) "
                f"for {self.validations_without_improvement} validations: training ends"
            )
            engine.terminate()
