"""Expectations over random subsets of weighted instances, for all instances at once.

The Shapley value of instance i is ``φ_i = ∫₀¹ E[v(S ∪ i) − v(S)] dt`` where S holds every other instance with
probability t (Owen 1972, the multilinear extension). Pooling with weights w makes v a function of sums over S, which an
integral over exponentials, such as ``1/x = ∫₀^∞ e^{−λx} dλ``, turns into products over the instances:

``E[e^{−λ Σ_{k∈S} w_k}] = Π_k q_k``, ``q(w) = 1 − t + t z``, ``z(w) = e^{−λw}``.

What is left are a double integral over t and ln λ, and functions of the one variable ``u = ln λ + ln w``. On uniform
grids of ln λ and ln w with the same spacing, a sum over the instances and an integral over λ are therefore convolutions
with tables over a window of u, below which the functions vanish like e^u and above which they are constant:

- t by Gauss–Legendre in t = x⁶: sets of a few among N instances weigh as much as all others, so that nodes are needed
  down to t far below 1/N; their number grows with ln N;
- ln λ by the trapezoidal rule, which converges exponentially for these functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from shared.mil.shapley.log_weight_grid import STEP

__all__ = ["RandomSubsets"]

POWER = 6
HIGHEST = 4.0  # of u: z is e^{−e^4} = 2e-24 there
LOWEST = -34.0  # of u, less ln N: what N instances contribute below is 1e-15
COLUMNS = 1 << 12
NUMBERS = 1 << 22


class RandomSubsets:
    """Nodes t with the tables of q, z and e^u over the window of u, for a block of the t at a time.

    Attributes:
        t: inclusion probabilities, ``(T, 1)``.
        absent: 1 − t, without cancellation, ``(T, 1)``.
        measure: quadrature weight of each t times the step in ln λ, ``(T, 1)``.
        power: e^u = λw, ``(K,)``.
        z: e^{−λw}, ``(K,)``.
        q: 1 − t + t z, ``(T, K)``.
        log_q: ln q, ``(T, K)``.
    """

    def __init__(self, t: Tensor, absent: Tensor, measure: Tensor, window: Tensor) -> None:
        self.t, self.absent, self.measure = t[:, None], absent[:, None], measure[:, None]
        self.power = window.exp()
        self.z = (-self.power).exp()
        self.log_q = torch.log1p(self.t * torch.expm1(-self.power))
        self.q = self.absent + self.t * self.z

    @classmethod
    def blocks(cls, instances: int, nodes: Tensor) -> Iterator[RandomSubsets]:
        """Yield the quadrature for a bag, in blocks of t small enough for a wide range of weights.

        Args:
            instances: N.
            nodes: ln w on the uniform grid, ``(G,)``.
        """
        lowest = LOWEST - math.log(instances)
        window = torch.arange(round((HIGHEST - lowest) / STEP) + 1, dtype=torch.float64, device=nodes.device)
        window = lowest + STEP * window
        x, weight = np.polynomial.legendre.leggauss(30 + round(5 * math.log(instances)))
        x = (x + 1) / 2
        quadrature = (x**POWER, -np.expm1(POWER * np.log(x)), weight / 2 * POWER * x ** (POWER - 1) * STEP)
        size = max(NUMBERS // (len(window) + len(nodes)), 1)
        columns = (torch.as_tensor(column, device=nodes.device).split(size) for column in quadrature)
        for t, absent, measure in zip(*columns, strict=True):
            yield cls(t, absent, measure, window)

    def sum_over_instances(self, function: Tensor, factors: Tensor, above: Tensor | float) -> Tensor:
        """Return Σ_g factors_g f(ln λ_j + node_g) for every t and λ_j, ``(T, J)`` with J = K + G − 1.

        Args:
            function: f over the window, ``(T, K)``.
            factors: at the nodes of ln w, ``(G,)``.
            above: f above the window, ``(T, 1)`` or one number.
        """
        width = function.shape[1]
        # with the heaviest node first, λ_j meets it at place j of the window, and node m at place j − m
        descending = factors.flip(0)
        padded = torch.nn.functional.pad(descending, (width - 1, width - 1))
        reversed_function = function.flip(1)
        inside = [reversed_function @ part.T for part in padded.unfold(0, width, 1).split(COLUMNS)]  # (T, COLUMNS) each
        passed = torch.nn.functional.pad(descending.cumsum(0)[: len(factors) - 1], (width, 0))  # (J,)
        return torch.cat(inside, dim=1) + above * passed

    @staticmethod
    def integrate(function: Tensor, measure: Tensor, above: Tensor) -> Tensor:
        """Return ΣΣ measure_tj f_t(ln λ_j + node_g) over t and λ_j at every node of ln w, ``(G,)``.

        Args:
            function: f over the window, ``(T, K)``.
            measure: what to integrate f with, ``(T, J)``.
            above: f above the window, ``(T, 1)``.
        """
        width = function.shape[1]
        nodes = measure.shape[1] - width + 1
        inside = []
        for start in range(0, nodes, COLUMNS):
            count = min(COLUMNS, nodes - start)
            table = function.T @ measure[:, start : start + count + width - 1]  # (K, count + K − 1)
            # node start + m meets place k of the window at λ of index start + m + k: sum along the diagonals
            inside.append(table.as_strided((width, count), (table.shape[1] + 1, 1)).sum(dim=0))
        tail = (above * measure).sum(dim=0).flip(0).cumsum(0).flip(0)[width:]  # from index m + K on, (G − 1,)
        return (torch.cat(inside) + torch.nn.functional.pad(tail, (0, 1))).flip(0)
