"""Multiple-instance classifiers one instance at a time, as their papers' equations stand."""

from __future__ import annotations

import math


def miles_embedding(bags, prototypes, squared_bandwidth):
    """Chen et al. 2006, equation 6."""
    return [
        [
            max(math.exp(-sum((a - b) ** 2 for a, b in zip(x, z, strict=True)) / squared_bandwidth) for x in bag)
            for z in prototypes
        ]
        for bag in bags
    ]


def one_norm_objective(weights, intercept, features, signs, regularisation, slack_weights):
    """Chen et al. 2006, equation 10: the penalty and the weighted hinge losses."""
    total = regularisation * sum(abs(w) for w in weights)
    for row, sign, weight in zip(features, signs, slack_weights, strict=True):
        decision = sum(w * m for w, m in zip(weights, row, strict=True)) + intercept
        total += weight * max(0.0, 1 - sign * decision)
    return total


def negative_log_diverse_density(target, scale, bags, positive):
    """Maron and Lozano-Pérez 1998 with the nearest instance of each bag for the bag (Zhang and Goldman 2002)."""
    total = 0.0
    for bag, label in zip(bags, positive, strict=True):
        probability = max(
            math.exp(-sum((s * (x - t)) ** 2 for x, t, s in zip(instance, target, scale, strict=True)))
            for instance in bag
        )
        total -= math.log(probability if label else 1 - probability)
    return total
