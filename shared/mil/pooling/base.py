"""What all pooling operators have in common: ragged and padded input, checks, and how instance weights are given."""

from __future__ import annotations

import torch
from torch import nn

from shared.mil.ragged import from_padded

__all__ = ["Pooling", "WeightedPooling", "ragged_batch", "scatter_to_padded"]


class Pooling(nn.Module):
    """A permutation-invariant function of each bag, dimension by dimension or by one weight per instance.

    A batch comes in one of two forms, with the same result for each bag:

    - ragged: ``instances`` ``(T, E)``, the concatenation of the bags, with ``lengths`` ``(B,)``;
    - padded: ``instances`` ``(B, N, E)``, with a boolean ``mask`` ``(B, N)``, true where there is an instance, or
      without one where all bags have N instances. What padding holds is not looked at, and gets no gradient.

    A subclass computes :meth:`pool` on ragged batches. An operator pools embeddings (embedding level) or the logits of
    an instance classifier (instance level); see :mod:`shared.mil.levels`. All operators can be scripted by TorchScript.
    """

    def forward(
        self, instances: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Pool each bag.

        Args:
            instances: ``(T, E)`` with ``lengths``, else ``(B, N, E)``.
            lengths: instances of each bag, ``(B,)``, int64.
            mask: true where there is an instance, ``(B, N)``; only without ``lengths``.

        Returns:
            One vector for each bag, ``(B, E)``.

        Raises:
            ValueError: if a bag is empty, or shapes, lengths and mask do not fit together.
        """
        flat, sizes = ragged_batch(instances, lengths, mask)
        return self.pool(flat, sizes)

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch: ``(T, E)`` and ``(B,)`` give ``(B, E)``."""
        raise NotImplementedError


class WeightedPooling(Pooling):
    """A pooling operator that is a weighted mean, with one weight per instance: ``z = Σ_i w_i h_i``, ``Σ_i w_i = 1``.

    A subclass computes :meth:`weigh` on ragged batches.
    """

    @torch.jit.export
    def instance_weights(
        self, instances: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the weights ``w``, ``(T,)`` or, for a padded batch, ``(B, N)`` with 0 where there is no instance.

        The weights of half-precision instances are float32.

        Arguments and errors are those of :meth:`forward`.
        """
        flat, sizes = ragged_batch(instances, lengths, mask)
        weights = self.weigh(flat, sizes)
        return weights if lengths is not None else scatter_to_padded(weights, instances, mask, 0.0)

    def weigh(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the weights of a ragged batch: ``(T, E)`` and ``(B,)`` give ``(T,)``."""
        raise NotImplementedError


def ragged_batch(
    instances: torch.Tensor, lengths: torch.Tensor | None, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return instances ``(T, E)`` and lengths ``(B,)`` of a batch in either form; see :class:`Pooling`."""
    if lengths is None:
        if instances.dim() != 3:
            raise ValueError(
                f"without lengths, pooling needs padded instances (bags, instances, dimensions), found "
                f"{list(instances.shape)}"
            )
        return from_padded(instances, mask)
    if mask is not None:
        raise ValueError("pooling needs lengths (ragged batch) or a mask (padded batch), found both")
    if instances.dim() != 2:
        raise ValueError(
            f"with lengths, pooling needs instances (instances, dimensions), found {list(instances.shape)}"
        )
    return instances, lengths


def scatter_to_padded(
    values: torch.Tensor, instances: torch.Tensor, mask: torch.Tensor | None, padding: float
) -> torch.Tensor:
    """Return values ``(T, ...)`` of a padded batch's instances at their places, ``(B, N, ...)``; elsewhere ``padding``.

    Args:
        values: one entry for each instance.
        instances: the padded batch that they belong to, ``(B, N, E)``.
        mask: its mask, ``(B, N)``.
        padding: what stands where there is no instance.
    """
    shape = list(instances.shape[:2]) + list(values.shape[1:])
    if mask is None:
        return values.view(shape)
    padded = values.new_full(shape, padding)
    padded[mask] = values
    return padded
