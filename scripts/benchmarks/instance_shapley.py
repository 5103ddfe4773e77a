"""Exact Shapley values of instances under attention pooling against sampling, and the time for large bags."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from captum.attr import ShapleyValueSampling
from torch import Tensor

from shared.evaluation.timing import Comparison
from shared.mil.shapley.attention import attention_shapley
from shared.mil.shapley.permutation import permutation_shapley
from shared.mil.shapley.prefix_values import PooledPrefixes
from shared.mil.shapley.running_pooling import RunningWeightedMean

INSTANCES = 400
PERMUTATIONS = 100
SPREAD = 40.0
ERROR = 1e-6
HOUR_MS = 3.6e6
LIMITS_MS = {10_000: 200.0, 1_000_000: 10_000.0}


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield a bag of 400 instances, what sampling would need to be as exact, and large bags against their limits."""
    scores, logits = bag(INSTANCES, 8.0, device, seed)
    exact = partial(attention_shapley, scores, logits)
    captum = partial(captum_values, scores, logits, seed)
    yield Comparison(
        name=f"{INSTANCES} instances",
        subject=exact,
        rivals={
            f"captum, {PERMUTATIONS} permutations": captum,
            f"ours, {PERMUTATIONS} permutations": partial(running_sums, scores, logits, seed),
        },
    )
    yield Comparison(
        name=f"{INSTANCES}, error {ERROR:g}",
        subject=lambda: milliseconds(exact) / HOUR_MS,
        rivals={
            "captum, extrapolated": lambda: (
                milliseconds(captum) / HOUR_MS * times_more_permutations(captum(), exact().values)
            )
        },
        unit="h",
        rounds=1,
    )
    for instances, limit in LIMITS_MS.items():
        large = partial(attention_shapley, *bag(instances, SPREAD, device, seed))
        yield Comparison(
            name=f"{instances:,} instances",
            subject=partial(milliseconds, large),
            rivals={"the time allowed": partial(float, limit)},
            goals={"the time allowed": 1.0},
            unit="ms",
        )


def bag(instances: int, spread: float, device: torch.device, seed: int) -> tuple[Tensor, Tensor]:
    """Return scores and attention logits, the latter over a range of ``spread``, ``(N,)`` each."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(instances, dtype=torch.float64, generator=generator)
    logits = spread * torch.rand(instances, dtype=torch.float64, generator=generator)
    return scores.to(device), logits.to(device)


def captum_values(scores: Tensor, logits: Tensor, seed: int) -> Tensor:
    """Return captum's estimate: an instance is a feature of a mask, ``(N,)``."""
    weights = (logits - logits.max()).exp()

    def pooled(masks: Tensor) -> Tensor:
        total = masks @ weights
        return torch.where(total > 0, masks @ (weights * scores) / total.clamp(min=1e-300), 0.0)

    torch.manual_seed(seed)
    masks = torch.ones(1, len(scores), dtype=torch.float64, device=scores.device)
    # more masks at once took longer
    return ShapleyValueSampling(pooled).attribute(masks, n_samples=PERMUTATIONS, perturbations_per_eval=50)[0]


def running_sums(scores: Tensor, logits: Tensor, seed: int) -> Tensor:
    """Return the estimate by running sums from as many permutations, ``(N,)``."""
    prefixes = PooledPrefixes(RunningWeightedMean(scores[:, None], logits), lambda pooled: pooled[:, 0])
    settings = {"max_permutations": PERMUTATIONS, "batch": PERMUTATIONS, "seed": seed}
    return permutation_shapley(prefixes, len(scores), device=scores.device, **settings).values


def times_more_permutations(estimate: Tensor, exact: Tensor) -> float:
    """Return how many times more permutations :data:`ERROR` would take: the error falls as one over their root."""
    return float((estimate - exact).square().mean()) / ERROR**2


def milliseconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)
