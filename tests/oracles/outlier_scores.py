"""Outlier scores one image at a time, as the papers' equations stand, with full matrices."""

from __future__ import annotations

import math

import numpy as np
from sklearn.covariance import LedoitWolf


def mahalanobis(training, labels, values):
    """Lee et al. 2018: nearest class mean, one covariance, here shrunk by scikit-learn and inverted as a matrix."""
    classes = sorted(set(labels))
    means = {c: np.mean([x for x, y in zip(training, labels, strict=True) if y == c], axis=0) for c in classes}
    centred = np.array([x - means[y] for x, y in zip(training, labels, strict=True)])
    scale = np.sqrt(np.mean(centred**2, axis=0))
    covariance = LedoitWolf(assume_centered=True).fit(centred / scale).covariance_
    precision = np.linalg.inv(covariance)
    result = []
    for x in values:
        distances = []
        for c in classes:
            z = (x - means[c]) / scale
            distances.append(z @ precision @ z)
        result.append(min(distances))
    return np.array(result)


def nearest_neighbour(training, values, k):
    """Sun et al. 2022: Euclidean distance to the k-th nearest of the normalised features."""
    bank = [x / math.sqrt(sum(x**2)) for x in training]
    result = []
    for x in values:
        z = x / math.sqrt(sum(x**2))
        result.append(sorted(math.sqrt(sum((z - y) ** 2)) for y in bank)[k - 1])
    return np.array(result)


def vim(training, weight, bias, dimensions, values):
    """Wang et al. 2022, equations 5 to 8: softmax probability of the virtual logit."""
    origin = -np.linalg.pinv(weight) @ bias
    moved = training - origin
    eigenvalues, vectors = np.linalg.eigh(moved.T @ moved)
    order = np.argsort(-eigenvalues)
    null_space = vectors[:, order[dimensions:]]  # the paper's R
    largest = [max(weight @ x + bias) for x in training]
    residuals = [np.linalg.norm(null_space.T @ (x - origin)) for x in training]
    alpha = sum(largest) / sum(residuals)
    result = []
    for x in values:
        virtual = alpha * np.linalg.norm(null_space.T @ (x - origin))
        logits = weight @ x + bias
        result.append(math.exp(virtual) / (sum(math.exp(z) for z in logits) + math.exp(virtual)))
    return np.array(result)


def energy(logits, temperature):
    """Liu et al. 2020, equation 3, averaged over the samples."""
    return np.array(
        [
            np.mean([-temperature * math.log(sum(math.exp(z / temperature) for z in sample)) for sample in samples])
            for samples in logits
        ]
    )
