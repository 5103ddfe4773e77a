"""An encoder that works through a large bag in chunks, so that the chunk sets its memory and not the bag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

__all__ = ["ChunkedEncoder"]


class ChunkedEncoder(nn.Module):
    """Encodes instances ``(T, C, H, W)`` into embeddings ``(T, E)``, at most ``chunk_size`` of them at a time.

    The instances are divided into ``⌈T / chunk_size⌉`` chunks whose sizes differ by at most one. While gradients are
    recorded, only a chunk's input and output are kept; what lies between is computed again in the backward pass
    (gradient checkpointing, Chen et al. 2016), with the same dropout masks and the same precision. The last chunk is
    not computed twice, since the backward pass begins with it. Memory for activations is thus that of one chunk,
    whatever T is, for at most one more forward pass in time.

    Outputs and gradients equal those of the encoder alone, if the encoder treats every instance by itself. With group
    normalisation, or batch normalisation in evaluation mode, it does, and the chunk size is a matter of memory alone.

    Batch normalisation in training mode does not: it uses the statistics of each chunk (ghost batch normalisation,
    Hoffer, Hubara and Soudry 2017). The chunk size is then part of the model, like the batch size: another one trains
    another network, and a bag smaller than a chunk is normalised by itself. Each chunk updates the running statistics
    once; one that is computed again updates no buffer a second time. Layers in which processes wait for each other
    (``SyncBatchNorm``) would wait for ever, unless the bags of all processes make equally many chunks.

    TorchScript cannot recompute: a scripted encoder works in chunks as well, which bounds the memory of inference.

    Args:
        encoder: maps ``(n, ...)`` to ``(n, ...)``.
        chunk_size: greatest number of instances at a time.

    Raises:
        ValueError: if ``chunk_size`` is below 1.

    Example:
        >>> encoder = ChunkedEncoder(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten()), chunk_size=2)
        >>> encoder(torch.zeros(7, 3, 4, 4)).shape
        torch.Size([7, 20])
    """

    def __init__(self, encoder: nn.Module, chunk_size: int) -> None:
        super().__init__()
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, found {chunk_size}")
        self.encoder = encoder
        self.chunk_size = chunk_size

    def forward(self, instances: torch.Tensor) -> torch.Tensor:
        """Return the embeddings ``(T, E)`` of instances ``(T, C, H, W)``.

        Raises:
            ValueError: if there is no instance.
        """
        if instances.shape[0] == 0:
            raise ValueError("there is no instance to encode")
        number = (instances.shape[0] + self.chunk_size - 1) // self.chunk_size
        chunks = torch.tensor_split(instances, number)
        if not torch.jit.is_scripting() and torch.is_grad_enabled():
            return self._recomputing(list(chunks))
        return torch.cat([self.encoder(chunk) for chunk in chunks])

    @torch.jit.unused
    def _recomputing(self, chunks: list[torch.Tensor]) -> torch.Tensor:
        """Encode the chunks so that the backward pass computes all but the last one again."""
        embeddings = [
            checkpoint(self.encoder, chunk, use_reentrant=False, context_fn=self._contexts) for chunk in chunks[:-1]
        ]
        return torch.cat([*embeddings, self.encoder(chunks[-1])])

    @torch.jit.unused
    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Return what surrounds the computation of a chunk, and its repetition."""
        return nullcontext(), _buffers_set_aside(self.encoder)


@contextmanager
def _buffers_set_aside(network: nn.Module) -> Iterator[None]:
    """Let the network work on copies of its buffers, and put the buffers back afterwards, untouched.

    Restoring their values in place would not do: autograd would take the buffers for modified and refuse to go on.
    """
    kept = [(module, dict(module.named_buffers(recurse=False))) for module in network.modules()]
    try:
        for module, buffers in kept:
            for name, buffer in buffers.items():
                setattr(module, name, buffer.clone())
        yield
    finally:
        for module, buffers in kept:
            for name, buffer in buffers.items():
                setattr(module, name, buffer)
