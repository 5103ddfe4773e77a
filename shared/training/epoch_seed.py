"""Seeding by epoch: what happens in an epoch depends on the seed and on the epoch's number alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.utils import set_determinism

__all__ = ["EpochSeed"]


class EpochSeed:
    """Ignite handler that seeds Python, NumPy, torch and the random transforms at the start of each epoch.

    A generator that runs on from epoch to epoch has to be saved to resume a training exactly, one for each library and
    worker. Seeding every epoch anew from ``(seed, epoch)`` makes a resumed training equal to an uninterrupted one with
    nothing to save.

    Args:
        seed: the training's seed, not negative.
        dataset: data set whose random transforms are seeded too (those that draw in the main process).
    """

    def __init__(self, seed: int, dataset: Any = None) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, found {seed}")
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, Events.EPOCH_STARTED):
            engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed for the epoch that starts."""
        seed = int(np.random.SeedSequence([self.seed, engine.state.epoch]).generate_state(1)[0])
        set_determinism(seed=seed)
        if self.dataset is not None:
            set_rnd(self.dataset, seed=seed)
        # a DistributedSampler shuffles anew only if it is told the epoch
        set_epoch = getattr(getattr(engine.state.dataloader, "sampler", None), "set_epoch", None)
        if set_epoch is not None:
            set_epoch(engine.state.epoch)
