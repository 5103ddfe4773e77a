"""A uniform grid over the logarithms of instance weights, with local polynomial interpolation.

A smooth function of ln w is wanted at every instance, or summed over all of them. Both cost O(N) once the function is
known on a grid whose size depends on the range of ln w and not on N: around every instance the ``ORDER`` nearest nodes
carry the Lagrange polynomial, so that the error is relative to the size of the function near that weight. One
polynomial over the whole range would have an error relative to the largest value anywhere, which a million light
instances beside a heavy one add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["STEP", "LogWeightGrid", "narrow_gaps"]

STEP = 0.15
ORDER = 14
CHUNK = 1 << 15
# beyond this ratio the lighter of two neighbours adds nothing to a sum in float64, however many of them there are
NEGLIGIBLE = 40.0


class LogWeightGrid:
    """Nodes at spacing :data:`STEP` over the range of ln w, in both directions between nodes and instances.

    A gap between neighbouring weights so wide that all lighter instances together vanish beside the heavier one in
    float64 is narrowed to that width, which bounds the grid by the number of instances and not by their weights.

    Attributes:
        nodes: ln w at the nodes, relative to the largest, ascending, ``(G,)``.
        shift: what the narrowed gaps took away from ln w of each instance, at most 0 and ascending with the weight,
            ``(N,)``; ``None`` if no gap was narrowed.
    """

    def __init__(self, log_weights: Tensor) -> None:
        """Lay the grid.

        Args:
            log_weights: finite ln w of the instances in float64, ``(N,)``.
        """
        relative, self.shift = narrow_gaps(log_weights)
        margin = ORDER // 2
        first = math.floor(float(relative.min()) / STEP) - margin
        position = relative / STEP - first
        # an instance between nodes c and c + 1 reaches from c − margin + 1 to c + margin
        self._cells = position.floor().long() - (margin - 1)  # (N,)
        self._offsets = position - position.floor()  # (N,)
        self.nodes = torch.arange(first, margin + 1, dtype=torch.float64, device=log_weights.device) * STEP

    def sum_weights(self, values: Tensor) -> Tensor:
        """Return c with Σ_g c_g f(node_g) = Σ_i values_i f(ln w_i) for smooth f, ``(G,)``.

        Args:
            values: one factor for each instance, ``(N,)``.
        """
        total = torch.zeros_like(self.nodes)
        for rows, indices, weights in self._stencils():
            terms = (weights * values[rows]).flatten()
            total += torch.bincount(indices.flatten(), weights=terms, minlength=len(total))
        return total

    def interpolate(self, functions: Tensor) -> Tensor:
        """Return smooth functions at the weights of the instances, ``(N, F)``.

        Args:
            functions: their values at the nodes, ``(G, F)``.
        """
        result = functions.new_empty(len(self._cells), functions.shape[1])
        for rows, indices, weights in self._stencils():
            result[rows] = torch.einsum("kn,knf->nf", weights, functions[indices])
        return result

    def _stencils(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield in chunks the instances, their ``ORDER`` nodes and the Lagrange weights of these, ``(ORDER, n)``."""
        margin = ORDER // 2
        places = torch.arange(1 - margin, margin + 1, dtype=torch.float64, device=self.nodes.device)[:, None]
        gaps = places - places.T
        scale = gaps.fill_diagonal_(1).prod(dim=1, keepdim=True)  # Π_{m≠k} (x_k − x_m)
        steps = torch.arange(ORDER, device=self.nodes.device)[:, None]
        for start in range(0, len(self._cells), CHUNK):
            rows = slice(start, start + CHUNK)
            distances = self._offsets[rows] - places  # (ORDER, n)
            ones = torch.ones_like(distances[:1])
            below = torch.cat([ones, distances[:-1].cumprod(dim=0)])
            above = torch.cat([ones, distances.flip(0)[:-1].cumprod(dim=0)]).flip(0)
            yield rows, self._cells[rows] + steps, below * above / scale


def narrow_gaps(log_weights: Tensor) -> tuple[Tensor, Tensor | None]:
    """Narrow the gaps beyond which all lighter instances vanish beside the heavier ones in float64.

    Args:
        log_weights: ln w, ``(N,)``.

    Returns:
        ln w relative to the largest and without wider gaps, at most 0, and what this took away from each beside making
        it relative, at most 0; ``None`` if there are no such gaps.
    """
    widest = NEGLIGIBLE + math.log(len(log_weights))
    relative = log_weights - log_weights.max()
    if float(-relative.min()) <= widest:
        return relative, None
    ascending, order = log_weights.sort()
    gaps = ascending.diff()
    if not bool((gaps > widest).any()):
        return relative, None
    # summed from the heaviest down: differences among light instances outlive their distance from the heaviest
    depth = torch.cat([gaps.clamp(max=widest).flip(0).cumsum(0).flip(0), gaps.new_zeros(1)])
    narrowed = torch.empty_like(log_weights).scatter_(0, order, -depth)
    return narrowed, relative - narrowed
