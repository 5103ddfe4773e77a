"""Bags of features with planted evidence: a few instances of a positive bag are shifted in a direction of their own.

They stand for the features of whole-slide images, in which a metastasis may show in one to five of ten thousand tiles.
The instances of all bags come from the same tissues, mixed anew in each bag, and a bag as a whole is shifted, as slides
differ in their stain. Hard negatives are shifted as far as the evidence, in other directions, and are in all bags
alike: to stand out is no sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PlantedBags", "PlantedSet"]

TISSUES = 6
HARD_DIRECTIONS = 3
TISSUE_DISTANCE = 0.7
BAG_SHIFT = 0.15

Floats = NDArray[np.float32]


class PlantedSet(NamedTuple):
    """B bags of N instances.

    Attributes:
        features: ``(B, N, E)``, of about unit variance.
        labels: ``(B,)``, 0 and 1 in turns.
        truth: whether an instance carries evidence, ``(B, N)``.
    """

    features: Floats
    labels: NDArray[np.int64]
    truth: NDArray[np.bool_]


@dataclass(frozen=True)
class PlantedBags:
    """What the bags have in common.

    Args:
        features: of an instance, E.
        instances: of a bag, N.
        evidence: least and greatest number of instances with evidence in a positive bag.
        distance: by which they are shifted, in standard deviations of an instance within its tissue, along a direction
            drawn by the seed. In each of the features that is ``distance / √E`` on average.
        hard: hard negatives of a bag, on average.
        seed: of tissues and directions.
    """

    features: int = 128
    instances: int = 10_000
    evidence: Sequence[int] = (1, 5)
    distance: float = 12.0
    hard: float = 30.0
    seed: int = 0

    def draw(self, bags: int, seed: int) -> PlantedSet:
        """Draw bags; those of different seeds are independent.

        Raises:
            ValueError: if a bag is too small for what is to be planted.
        """
        least, greatest = self.evidence
        if not 1 <= least <= greatest <= self.instances:
            raise ValueError(f"evidence: found {least} to {greatest} of {self.instances} instances")
        rng = np.random.default_rng([self.seed, 1, seed])
        labels = np.arange(bags, dtype=np.int64) % 2
        features = np.empty((bags, self.instances, self.features), dtype=np.float32)
        truth = np.zeros((bags, self.instances), dtype=bool)
        for bag, label in enumerate(labels):
            features[bag] = self._tissue(rng)
            order = rng.permutation(self.instances)
            positive = int(rng.integers(least, greatest + 1))
            hard = min(int(rng.poisson(self.hard)), self.instances - positive)
            # both labels draw the same numbers, so that only the evidence tells the bags apart
            if label:
                truth[bag, order[:positive]] = True
                features[bag, order[:positive]] += self._directions[0]
            places = order[positive : positive + hard]
            features[bag, places] += self._directions[rng.integers(1, HARD_DIRECTIONS + 1, hard)]
        return PlantedSet(features, labels, truth)

    def projection(self, features: Floats) -> Floats:
        """Return how far instances ``(…, E)`` lie along the direction of the evidence, ``(…)``."""
        direction = self._directions[0]
        return features @ (direction / np.linalg.norm(direction))

    @cached_property
    def _centres(self) -> Floats:
        rng = np.random.default_rng([self.seed, 0])
        return (TISSUE_DISTANCE * rng.standard_normal((TISSUES, self.features))).astype(np.float32)

    @cached_property
    def _directions(self) -> Floats:
        """Shifts of the evidence and of the hard negatives, ``(1 + H, E)``."""
        rng = np.random.default_rng([self.seed, 2])
        directions = rng.standard_normal((1 + HARD_DIRECTIONS, self.features))
        return (self.distance * directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)

    def _tissue(self, rng: np.random.Generator) -> Floats:
        """Return a bag without evidence, ``(N, E)``."""
        tissue = rng.choice(TISSUES, self.instances, p=rng.dirichlet(np.ones(TISSUES)))
        shift = BAG_SHIFT * rng.standard_normal(self.features, dtype=np.float32)
        noise = rng.standard_normal((self.instances, self.features), dtype=np.float32)
        return noise + self._centres[tissue] + shift
