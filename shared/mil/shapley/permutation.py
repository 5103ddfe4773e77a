"""Shapley values of the instances of a bag under any model, by sampling permutations."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from shared.mil.shapley.result import ShapleyValues

__all__ = ["permutation_shapley"]

# fewer give no standard error to stop by
LEAST_PAIRS = 16


@torch.no_grad()
def permutation_shapley(
    prefix_values: Callable[[Tensor], Tensor],
    instances: int,
    *,
    standard_error: float | None = None,
    max_permutations: int = 1000,
    batch: int = 32,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> ShapleyValues:
    """Estimate Shapley values as mean marginal contributions over random permutations.

    ``φ_i = E_π[v(before i ∪ i) − v(before i)]`` (Castro, Gómez and Tejada 2009). The values of the N + 1 prefixes of
    one permutation hold the marginal contributions of all N instances as their differences. Every permutation is paired
    with its reverse (antithetic sampling; Mitchell et al. 2022): an instance that comes early in one comes late in the
    other. A pair's mean is one independent sample, from whose spread the standard errors come.

    To be the first, preceded by nobody, happens to an instance in one permutation of N only, and is often what decides
    its value. The N bags of one instance are therefore evaluated once, and their part ``(v({i}) − v(∅))/N`` is exact
    instead of sampled. What a sample then lacks in its sum is given to all instances alike, so that the values add up
    to v(all) − v(∅) whatever the number of permutations. Both leave the estimate unbiased. A value that rests on other
    rare orders may still have a larger error than its standard error says when the permutations are fewer than N.

    Args:
        prefix_values: ``f(orders (P, C)) -> (P, C + 1)``, the values of the first 0, 1, … C instances of each order,
            C = N or 1; see :class:`~shared.mil.shapley.prefix_values.PooledPrefixes` and
            :class:`~shared.mil.shapley.prefix_values.MaskedPrefixes`.
        instances: N.
        standard_error: stop as soon as no value has a larger standard error, in the unit of v; ``None`` uses all
            permutations. Where the permutations do not suffice the result's standard errors say so.
        max_permutations: largest number of permutations, even, at least 4.
        batch: permutations evaluated at once, even.
        seed: of the permutations.
        device: where the orders are made.

    Raises:
        ValueError: if a number is out of its range, or the model returns anything but finite values of that shape.
    """
    _check_settings(instances, standard_error, max_permutations, batch)
    generator = torch.Generator().manual_seed(seed)
    single = _checked_values(prefix_values, torch.arange(instances, device=device)[:, None]).diff(dim=1)[:, 0]  # (N,)
    mean = torch.zeros_like(single)
    squares = torch.zeros_like(single)  # Σ (x − mean)²
    pairs, total = 0, 0.0
    while 2 * pairs < max_permutations:
        count = min(batch, max_permutations - 2 * pairs) // 2
        forth = torch.rand(count, instances, generator=generator, dtype=torch.float64).argsort(dim=1).to(device)
        orders = torch.cat([forth, forth.flip(1)])  # (2 count, N)
        values = _checked_values(prefix_values, orders)
        total = float(values[0, -1] - values[0, 0])
        marginal = values.diff(dim=1)
        marginal[:, 0] = 0
        samples = torch.empty_like(marginal).scatter_(1, orders, marginal).view(2, count, -1).mean(dim=0)
        samples += single / instances
        samples += (total - samples.sum(dim=1, keepdim=True)) / instances
        # pooled mean and spread of two groups (Chan, Golub and LeVeque 1983)
        difference = samples.mean(dim=0) - mean
        squares += (samples - samples.mean(dim=0)).square().sum(dim=0)
        squares += difference.square() * (pairs * count / (pairs + count))
        mean += difference * (count / (pairs + count))
        pairs += count
        if standard_error is not None and pairs >= LEAST_PAIRS and _errors(squares, pairs).max() <= standard_error:
            break
    return ShapleyValues(mean, abs(float(mean.sum()) - total), _errors(squares, pairs), 2 * pairs)


def _checked_values(prefix_values: Callable[[Tensor], Tensor], orders: Tensor) -> Tensor:
    """Return the values of all prefixes in float64."""
    values = prefix_values(orders)
    expected = (orders.shape[0], orders.shape[1] + 1)
    if values.shape != expected or not bool(values.isfinite().all()):
        raise ValueError(
            f"expected finite values of all prefixes, {expected}, found shape {tuple(values.shape)} with "
            f"{int((~values.isfinite()).sum())} NaN or infinite"
        )
    return values.to(torch.float64)


def _errors(squares: Tensor, pairs: int) -> Tensor:
    """Return the standard error of the mean over the pairs, ``(N,)``."""
    return (squares / (pairs - 1) / pairs).sqrt()


def _check_settings(instances: int, standard_error: float | None, max_permutations: int, batch: int) -> None:
    if instances < 1:
        raise ValueError(f"a bag needs at least one instance, found {instances}")
    if standard_error is not None and not (math.isfinite(standard_error) and standard_error > 0):
        raise ValueError(f"the standard error to stop at must be positive, found {standard_error}")
    if max_permutations < 4 or max_permutations % 2 or batch < 2 or batch % 2:
        raise ValueError(
            "permutations come in pairs: max_permutations must be even and at least 4, batch even and at least 2; "
            f"found {max_permutations} and {batch}"
        )
