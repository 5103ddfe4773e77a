"""Pooling one bag ``(n, E)`` after its equation, with loops in double precision where the library uses none."""

from __future__ import annotations

import math

import numpy as np


def maximum(bag: np.ndarray) -> np.ndarray:
    """Sahasrabudhe et al. 2020, equation 4."""
    return np.array([max(column) for column in bag.T])


def mean(bag: np.ndarray) -> np.ndarray:
    """Sahasrabudhe et al. 2020, equation 5."""
    return np.array([math.fsum(column) / len(column) for column in bag.T])


def log_mean_exp(bag: np.ndarray, r: float) -> np.ndarray:
    """Sahasrabudhe et al. 2020, equation 6; right as long as ``exp`` neither overflows nor rounds to 1."""
    return np.array([math.log(math.fsum(math.exp(r * h) for h in column) / len(column)) / r for column in bag.T])


def top_k_mean(bag: np.ndarray, k: int) -> np.ndarray:
    """Mean of the first k in descending order, or of all if there are fewer."""
    return np.array([np.mean(sorted(column, reverse=True)[:k]) for column in bag.T])


def attention_weights(bag: np.ndarray, v_matrix: np.ndarray, v_bias: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Ilse et al. 2018, equation 8, with the bias of the authors' program: ``(n,)``."""
    exponentials = [math.exp(w @ np.tanh(v_matrix @ h + v_bias)) for h in bag]
    return np.array(exponentials) / sum(exponentials)


def gated_attention_weights(
    bag: np.ndarray,
    v_matrix: np.ndarray,
    v_bias: np.ndarray,
    u_matrix: np.ndarray,
    u_bias: np.ndarray,
    w: np.ndarray,
) -> np.ndarray:
    """Ilse et al. 2018, equation 9, with the biases of the authors' program: ``(n,)``."""
    exponentials = [
        math.exp(w @ (np.tanh(v_matrix @ h + v_bias) * [sigmoid(x) for x in u_matrix @ h + u_bias])) for h in bag
    ]
    return np.array(exponentials) / sum(exponentials)


def attention_maximum(bag: np.ndarray, weights: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Weighted mean plus gain times maximum, dimension by dimension; the weights are those of the gated attention."""
    return np.array([math.fsum(weights * column) + g * max(column) for column, g in zip(bag.T, gain, strict=True)])


def noisy_or(bag: np.ndarray) -> np.ndarray:
    """``P = 1 − Π (1 − p)`` of logits, as a logit; right as long as the product neither underflows nor rounds to 1."""
    none_positive = [math.prod(sigmoid(-h) for h in column) for column in bag.T]
    return np.array([math.log((1 - product) / product) for product in none_positive])


def noisy_and(bag: np.ndarray, a: float, b: np.ndarray) -> np.ndarray:
    """Kraus et al. 2016 of logits, as a logit; right as long as no probability rounds to 0 or 1."""
    result = []
    for column, threshold in zip(bag.T, b, strict=True):
        share = sum(sigmoid(h) for h in column) / len(column)
        lowest, highest = sigmoid(-a * threshold), sigmoid(a * (1 - threshold))
        result.append(logit((sigmoid(a * (share - threshold)) - lowest) / (highest - lowest)))
    return np.array(result)


def sigmoid(x: float) -> float:
    """``1 / (1 + e⁻ˣ)``."""
    return 1 / (1 + math.exp(-x))


def logit(p: float) -> float:
    """``log(p / (1 − p))``."""
    return math.log(p / (1 - p))
