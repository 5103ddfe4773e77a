"""Small algorithmic bag data sets: each is easy for a model that holds to its assumption, and lures one that does not.

The training set offers, beside the rule that makes a bag positive, another regularity that agrees with the labels: the
lure. In the test set the rule still holds and the lure is reversed. A model that cannot express the lure is right on
both; a ROC AUC below ½ on the test set proves that a model learned the lure. The idea is that of Raff and Holt
("Reproducibility in Multiple Instance Learning: A Case For Algorithmic Unit Tests", NeurIPS 2023).

======================= ======================================= ===================================================
data set                a bag is positive if and only if        lure
======================= ======================================= ===================================================
:func:`absence_bags`    it holds a concept instance             negative bags hold an obvious instance
:func:`frequency_bags`  it holds a concept instance             positive bags hold many concept instances
:func:`size_bags`       it holds a concept instance             positive bags are larger
:func:`proportion_bags` concept instances are more than half    none: shows who can count at all
======================= ======================================= ===================================================

Instances are points in four dimensions with Gaussian spread: background around the origin, concept instances apart in
the first dimension, obvious ones far apart in the second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ToyBags", "absence_bags", "frequency_bags", "proportion_bags", "size_bags"]

BACKGROUND = (0.0, 0.0, 0.0, 0.0)
CONCEPT = (3.0, 0.0, 0.0, 0.0)
OBVIOUS = (0.0, 8.0, 0.0, 0.0)
SPREAD = 0.5


@dataclass(frozen=True)
class ToyBags:
    """A data set of which every second bag is positive.

    Attributes:
        training: records with ``id``, ``label`` (0 or 1), ``features`` ``(N, 4)`` float32 and ``instance_label``
            ``(N,)`` int64, 1 for a concept instance; the instances are in random order.
        test: the same with the lure reversed.
    """

    training: list[dict[str, Any]]
    test: list[dict[str, Any]]


@dataclass(frozen=True)
class Content:
    """How many instances of each kind a bag holds."""

    concept: int
    background: int
    obvious: int = 0


def absence_bags(bags: int = 100, seed: int = 0) -> ToyBags:
    """Return bags that are positive if they hold a concept instance; in training, negative ones hold an obvious one.

    In the test set the positive bags hold it instead. Whoever can let an instance speak against a bag learns that the
    obvious one does; under the standard multiple-instance assumption no instance can.

    Args:
        bags: number of bags in either set.
        seed: of the random numbers.
    """

    def content(rng: np.random.Generator, positive: bool, training: bool) -> Content:
        concept = int(rng.integers(1, 4)) if positive else 0
        return Content(concept, int(rng.integers(6, 12)), obvious=int(positive != training))

    return _toy_bags(content, bags, seed)


def frequency_bags(bags: int = 100, seed: int = 0) -> ToyBags:
    """Return bags that are positive if they hold a concept instance; in training, positive ones are full of them.

    In the test set one concept instance stands among some 60 others. Whoever averages finds less of it than in any
    positive bag of the training set.

    Args:
        bags: number of bags in either set.
        seed: of the random numbers.
    """

    def content(rng: np.random.Generator, positive: bool, training: bool) -> Content:
        if training:
            return Content(int(rng.integers(5, 9)) if positive else 0, int(rng.integers(3, 6)))
        return Content(int(positive), int(rng.integers(50, 70)))

    return _toy_bags(content, bags, seed)


def size_bags(bags: int = 100, seed: int = 0) -> ToyBags:
    """Return bags that are positive if they hold a concept instance; in training, positive ones are larger.

    In the test set they are smaller.

    Args:
        bags: number of bags in either set.
        seed: of the random numbers.
    """

    def content(rng: np.random.Generator, positive: bool, training: bool) -> Content:
        size = rng.integers(60, 80) if positive == training else rng.integers(4, 8)
        return Content(int(positive), int(size))

    return _toy_bags(content, bags, seed)


def proportion_bags(bags: int = 100, seed: int = 0) -> ToyBags:
    """Return bags that are positive if more than half of their instances are concept instances; none is without.

    Args:
        bags: number of bags in either set.
        seed: of the random numbers.
    """

    def content(rng: np.random.Generator, positive: bool, _training: bool) -> Content:
        size = int(rng.integers(15, 25))
        concept = round(size * rng.uniform(0.6, 0.9) if positive else size * rng.uniform(0.1, 0.4))
        return Content(concept, size - concept)

    return _toy_bags(content, bags, seed)


def _toy_bags(content: Callable[[np.random.Generator, bool, bool], Content], bags: int, seed: int) -> ToyBags:
    """Draw both sets; ``content`` is called with the generator, whether the bag is positive, and whether it trains."""
    if bags < 2:
        raise ValueError(f"at least two bags are needed to have both classes, found {bags}")
    sections = []
    for training in (True, False):
        rng = np.random.default_rng([seed, int(training)])
        sections.append([_bag(rng, content(rng, place % 2 == 1, training), place) for place in range(bags)])
    return ToyBags(*sections)


def _bag(rng: np.random.Generator, content: Content, place: int) -> dict[str, Any]:
    """Draw the instances of a bag and mix them."""
    centres = np.repeat(
        np.array([CONCEPT, OBVIOUS, BACKGROUND]), [content.concept, content.obvious, content.background], axis=0
    )
    order = rng.permutation(len(centres))
    features: NDArray[np.float32] = (centres[order] + rng.normal(0, SPREAD, centres.shape)).astype(np.float32)
    return {
        "id": f"bag_{place:03d}",
        "label": place % 2,
        "features": features,
        "instance_label": (order < content.concept).astype(np.int64),
    }
