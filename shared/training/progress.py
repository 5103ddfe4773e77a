"""Progress bars over epochs and over batches, closed whatever happens."""

from __future__ import annotations

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from tqdm.auto import tqdm

__all__ = ["EpochProgress", "IterationProgress"]


class IterationProgress:
    """Ignite handler that shows a bar over the batches of an evaluation.

    Unlike ignite's own bar it is also closed when an error ends the run, so that nothing is printed behind the error.

    Args:
        description: what is being done.
    """

    unit = "batch"

    def __init__(self, description: str) -> None:
        self.description = description
        self.bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to an engine."""
        if not engine.has_event_handler(self, Events.ITERATION_COMPLETED):
            engine.add_event_handler(Events.STARTED, self.open)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)
            # the last batch is done; what follows writes files and may say so
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.close)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self.close)

    def open(self, engine: Engine) -> None:
        """Open the bar."""
        self._open(engine.state.epoch_length, 0)

    def __call__(self, _: Engine) -> None:
        """Advance by one batch."""
        if self.bar is not None:
            self.bar.update()

    def close(self, _: Engine, error: Exception | None = None) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        if error is not None:
            raise error

    def _open(self, total: int | None, done: int) -> None:
        self.bar = tqdm(total=total, initial=done, desc=self.description, unit=self.unit, disable=idist.get_rank() != 0)


class EpochProgress(IterationProgress):
    """Ignite handler that shows one bar for the whole training, with the loss and the validation metric.

    Args:
        evaluator: the validation engine, whose metric is shown; ``None`` shows the loss alone.
        metric: name of that metric.
    """

    unit = "epoch"

    def __init__(self, evaluator: Engine | None = None, metric: str | None = None) -> None:
        super().__init__("training")
        self.evaluator = evaluator
        self.metric = metric

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, behind the ``ValidationHandler``."""
        if not engine.has_event_handler(self, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_STARTED, self.open)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)
            engine.add_event_handler(Events.COMPLETED | Events.TERMINATE | Events.EXCEPTION_RAISED, self.close)

    def open(self, engine: Engine) -> None:
        """Open the bar in the first epoch, at the epoch that a resumed training starts with."""
        if self.bar is None:
            self._open(engine.state.max_epochs, engine.state.epoch - 1)

    def __call__(self, engine: Engine) -> None:
        """Advance by one epoch."""
        if self.bar is None:
            return
        shown: dict[str, str] = {}
        output = engine.state.output
        first = output[0] if isinstance(output, list) else output
        if isinstance(first, dict) and "loss" in first:
            shown["loss"] = f"{float(torch.as_tensor(first['loss']).detach()):.3f}"
        if self.evaluator is not None and self.metric is not None and self.metric in self.evaluator.state.metrics:
            shown[self.metric] = f"{float(self.evaluator.state.metrics[self.metric]):.3f}"
        self.bar.set_postfix(shown)
        self.bar.update()
