"""Bags whose concept is known: a positive bag has instances near a point, the others lie anywhere else."""

from __future__ import annotations

import numpy as np

CONCEPT = np.array([2.0, -1.0])


def concept_bags(number=60, share=0.2, noise_features=0, seed=0):
    """Return bags, labels, and for each instance whether it is of the concept.

    The first two features tell: instances of the concept lie within a normal distribution of deviation 0.25 around
    :data:`CONCEPT`, the others in the square from -4 to 4 but not within a distance of 1.5 of it. The share of
    instances of the concept in a positive bag is given; at least one.
    """
    generator = np.random.default_rng(seed)
    bags, labels, truth = [], [], []
    for index in range(number):
        size = int(generator.integers(5, 15))
        other = generator.uniform(-4, 4, (20 * size, 2))
        points = other[np.hypot(*(other - CONCEPT).T) > 1.5][:size]
        label = index % 2
        inside = np.arange(size) < (max(1, round(share * size)) if label else 0)
        points[inside] = generator.normal(CONCEPT, 0.25, (inside.sum(), 2))
        order = generator.permutation(size)
        bags.append(np.hstack([points, generator.normal(size=(size, noise_features))])[order])
        labels.append(label)
        truth.append(inside[order])
    return bags, np.array(labels), np.concatenate(truth)
