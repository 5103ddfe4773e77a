"""Co-occurrence matrices and their statistics pair by pair, as Haralick et al. 1973 and Clausi 2002 define them."""

from __future__ import annotations

import math

import numpy as np


def matrix(channel, mask, levels, row_step, column_step):
    """Count both orders of every pair of pixels in the mask, one step apart."""
    counts = np.zeros((levels, levels))
    height, width = channel.shape
    for r in range(height):
        for c in range(width):
            s, d = r + row_step, c + column_step
            if 0 <= s < height and 0 <= d < width and mask[r, c] and mask[s, d]:
                i, j = int(channel[r, c]) * levels // 256, int(channel[s, d]) * levels // 256
                counts[i, j] += 1
                counts[j, i] += 1
    return counts / counts.sum()


def _entropy(probabilities):
    return -sum(p * math.log(p) for p in probabilities if p > 0)


def statistics(p):
    """All statistics by name; grey levels count from 1."""
    size = len(p)
    cells = [(i + 1, j + 1, p[i, j]) for i in range(size) for j in range(size)]
    px, py = [sum(p[i]) for i in range(size)], [sum(p[:, j]) for j in range(size)]
    mx, my = sum((i + 1) * q for i, q in enumerate(px)), sum((j + 1) * q for j, q in enumerate(py))
    sx = math.sqrt(sum((i + 1 - mx) ** 2 * q for i, q in enumerate(px)))
    sy = math.sqrt(sum((j + 1 - my) ** 2 * q for j, q in enumerate(py)))
    plus = {k: sum(q for i, j, q in cells if i + j == k) for k in range(2, 2 * size + 1)}
    minus = {k: sum(q for i, j, q in cells if abs(i - j) == k) for k in range(size)}
    f6 = sum(k * q for k, q in plus.items())
    mean_difference = sum(k * q for k, q in minus.items())
    hx, hy, hxy = _entropy(px), _entropy(py), _entropy([q for _, _, q in cells])
    products = [(q, px[i - 1] * py[j - 1]) for i, j, q in cells]
    hxy1 = -sum(q * math.log(r) for q, r in products if r > 0)
    hxy2 = -sum(r * math.log(r) for _, r in products if r > 0)
    return {
        "autocorrelation": sum(i * j * q for i, j, q in cells),
        "contrast": sum((i - j) ** 2 * q for i, j, q in cells),
        "correlation_1": sum((i - mx) * (j - my) * q for i, j, q in cells) / (sx * sy),
        "correlation_2": (sum(i * j * q for i, j, q in cells) - mx * my) / (sx * sy),
        "cluster_prominence": sum((i + j - mx - my) ** 4 * q for i, j, q in cells),
        "cluster_shade": sum((i + j - mx - my) ** 3 * q for i, j, q in cells),
        "dissimilarity": sum(abs(i - j) * q for i, j, q in cells),
        "energy": sum(q**2 for _, _, q in cells),
        "entropy": hxy,
        "homogeneity_1": sum(q / (1 + abs(i - j)) for i, j, q in cells),
        "homogeneity_2": sum(q / (1 + (i - j) ** 2) for i, j, q in cells),
        "maximum_probability": max(q for _, _, q in cells),
        "sum_of_squares": sum((i - mx) ** 2 * q for i, _, q in cells),
        "sum_average": f6,
        "sum_variance": sum((k - f6) ** 2 * q for k, q in plus.items()),
        "sum_entropy": _entropy(plus.values()),
        "difference_variance": sum((k - mean_difference) ** 2 * q for k, q in minus.items()),
        "difference_entropy": _entropy(minus.values()),
        "information_measure_of_correlation_1": (hxy - hxy1) / max(hx, hy),
        "information_measure_of_correlation_2": math.sqrt(1 - math.exp(-2 * (hxy2 - hxy))),
        "inverse_difference": sum(q / (1 + abs(i - j)) for i, j, q in cells),
        "normalised_inverse_difference": sum(q / (1 + abs(i - j) / size) for i, j, q in cells),
        "normalised_inverse_difference_moment": sum(q / (1 + (i - j) ** 2 / size**2) for i, j, q in cells),
    }
