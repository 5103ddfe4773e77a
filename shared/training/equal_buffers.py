"""The same buffers in every process: running statistics, which each process updates by its own batches."""

from __future__ import annotations

import torch
import torch.distributed
from ignite.engine import Engine, Events

__all__ = ["EqualBuffers"]


class EqualBuffers:
    """Ignite handler that gives every process the buffers of the first one, when an engine starts.

    For validation under several processes: their running statistics differ after a training step, and the weights that
    are kept are those of the first process. With it the evaluator can use the bare network. The distributed wrapper
    would synchronise at each batch, for which processes with fewer batches than others never come. Without a process
    group nothing happens.

    Args:
        network: the network, not wrapped.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        if not engine.has_event_handler(self, Events.STARTED):
            engine.add_event_handler(Events.STARTED, self)

    @torch.no_grad()
    def __call__(self, _: Engine) -> None:
        """Take the buffers of rank 0."""
        if not torch.distributed.is_initialized():
            return
        for buffer in self.network.buffers():
            torch.distributed.broadcast(buffer, src=0)
