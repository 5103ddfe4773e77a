"""Calibration measures written slowly and obviously, sample by sample, to compare the vectorised ones against."""

import math
from itertools import pairwise

import numpy as np


def softmax(logits):
    """Softmax of one vector, by its definition."""
    largest = max(logits)
    exponentials = [math.exp(value - largest) for value in logits]
    return [value / sum(exponentials) for value in exponentials]


def mean_softmax_loss(samples, labels, temperature):
    """Negative log-likelihood of mean_s softmax(z_s / T): samples (N, S, K)."""
    total = 0.0
    for passes, label in zip(samples, labels, strict=True):
        probability = sum(softmax([z / temperature for z in one])[label] for one in passes) / len(passes)
        total -= math.log(probability)
    return total / len(labels)


def equal_width_bins(forecast, n_bins):
    """Indices of the samples of each bin [i / B, (i + 1) / B); the last one includes 1."""
    bins = [[] for _ in range(n_bins)]
    for index, value in enumerate(forecast):
        for b in range(n_bins):
            lower, upper = np.linspace(0, 1, n_bins + 1)[b : b + 2]
            if lower <= value < upper or (b == n_bins - 1 and value == 1):
                bins[b].append(index)
    return bins


def equal_mass_bins(forecast, n_bins):
    """Indices of the samples of each bin when the sorted samples are cut into B runs (no ties)."""
    order = sorted(range(len(forecast)), key=lambda index: forecast[index])
    cuts = [b * len(order) // n_bins for b in range(n_bins + 1)]
    return [order[start:stop] for start, stop in pairwise(cuts)]


def calibration_error(forecast, outcome, bins, norm):
    """Gap between mean forecast and observed frequency over the bins."""
    gaps = [
        (len(members), abs(np.mean([forecast[i] for i in members]) - np.mean([outcome[i] for i in members])))
        for members in bins
        if members
    ]
    if norm == "max":
        return max(gap for _, gap in gaps)
    if norm == "l1":
        return sum(n / len(forecast) * gap for n, gap in gaps)
    return math.sqrt(sum(n / len(forecast) * gap**2 for n, gap in gaps))


def brier_components(forecast, outcome, bins):
    """The five components of Stephenson et al. 2008, by their definitions."""
    n = len(forecast)
    base = np.mean(outcome)
    parts = dict.fromkeys(
        ("reliability", "resolution", "uncertainty", "within_bin_variance", "within_bin_covariance"), 0.0
    )
    parts["uncertainty"] = base * (1 - base)
    for members in bins:
        if members:
            f, o = np.array([forecast[i] for i in members]), np.array([outcome[i] for i in members])
            parts["reliability"] += len(members) / n * (f.mean() - o.mean()) ** 2
            parts["resolution"] += len(members) / n * (o.mean() - base) ** 2
            parts["within_bin_variance"] += sum((f - f.mean()) ** 2) / n
            parts["within_bin_covariance"] += 2 / n * sum((f - f.mean()) * (o - o.mean()))
    return parts


def risk_at(confidence, error, threshold):
    """Error rate among the samples whose confidence reaches the threshold."""
    accepted = [e for c, e in zip(confidence, error, strict=True) if c >= threshold]
    return sum(accepted) / len(accepted)


def aurc(confidence, error):
    """Mean over the samples of the risk at their own threshold."""
    return sum(risk_at(confidence, error, threshold) for threshold in confidence) / len(confidence)
