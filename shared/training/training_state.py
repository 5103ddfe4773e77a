"""Going on after an interruption: everything that a training needs, saved after each epoch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from shared.data.errors import DataError
from shared.data.files import atomic_path

__all__ = ["TrainingState"]


class Stateful(Protocol):
    """Anything with a state to save, as networks, optimizers and schedulers have."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take up a state."""


class TrainingState:
    """Ignite handler that saves the training after each epoch, and resumes it when it starts.

    With :class:`~shared.training.epoch_seed.EpochSeed` a training that was killed and started again ends in the same
    weights as one that ran through. The file holds tensors and plain types only (``weights_only=True``) and is
    replaced atomically. A training that is complete is not run again. List it first among the trainer's handlers: it
    resumes before the others start, and saves after they have seen the epoch.

    Args:
        path: the file, for instance ``models/training_state.pt``.
        objects: name to object with ``state_dict`` and ``load_state_dict`` (network, optimizer, scheduler, best model).
        settings: plain values that must be the same for a resumed training to make sense (learning rate, data hash…).
        resume: whether to take up an existing file; otherwise training starts anew and replaces it.

    Raises:
        DataError: when training starts, if the file is damaged or comes from a training with other settings.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        objects: Mapping[str, Stateful],
        settings: Mapping[str, Any] | None = None,
        resume: bool = True,
    ) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.settings = dict(settings or {})
        self.resume = resume
        self.logger = logging.getLogger("TrainingState")

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if not engine.has_event_handler(self, Events.STARTED):
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Resume, and see to it that each epoch is saved."""
        self.load(engine)
        # only now, when all handlers are attached, so that it runs behind them
        if not engine.has_event_handler(self.save, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        """Write the state after an epoch."""
        if idist.get_rank() != 0:
            return
        content = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "settings": self.settings,
            "objects": {name: item.state_dict() for name, item in self.objects.items()},
        }
        scaler = getattr(engine, "scaler", None)
        if scaler is not None:
            content["scaler"] = scaler.state_dict()
        with atomic_path(self.path) as temporary:
            torch.save(content, temporary)

    def load(self, engine: Engine) -> None:
        """Take up the state of an interrupted training, if there is one."""
        if not self.resume or not self.path.is_file():
            return
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            epoch, iteration, settings = content["epoch"], content["iteration"], content["settings"]
        except Exception as error:  # torch.load raises many types, depending on where the file is damaged
            raise DataError(
                f"{self.path}: not a readable training state ({error}); delete it or pass --resume False"
            ) from error
        self._compare_settings(settings)
        for name, item in self.objects.items():
            item.load_state_dict(content["objects"][name])
        if getattr(engine, "scaler", None) is not None and "scaler" in content:
            engine.scaler.load_state_dict(content["scaler"])
        engine.state.epoch, engine.state.iteration = epoch, iteration
        done = " (complete: nothing is left to do)" if epoch >= (engine.state.max_epochs or 0) else ""
        self.logger.info(f"resumed after epoch {epoch} from {self.path}{done}")

    def _compare_settings(self, saved: Mapping[str, Any]) -> None:
        different = [
            f"{name}: {saved.get(name)!r} then, {self.settings.get(name)!r} now"
            for name in sorted({*saved, *self.settings})
            if saved.get(name) != self.settings.get(name)
        ]
        if different:
            raise DataError(
                f"{self.path}: belongs to a training with other settings ({'; '.join(different)}); "
                "delete it, choose another --ckpt_dir, or pass --resume False to start anew"
            )
