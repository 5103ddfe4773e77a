"""Explanations of bags and their quality as they are defined: the model called for every prefix, subset or instance.

``value`` takes a list of instances' indices and returns what the model says of the bag of just these.
"""

import math

import numpy as np


def leave_one_out(n, value):
    """f(X) − f(X without i)."""
    return [value(range(n)) - value([k for k in range(n) if k != i]) for i in range(n)]


def subset_shapley(subsets, value):
    """Mean over the given subsets (lists of booleans) of f(S ∪ i) − f(S without i)."""
    n = len(subsets[0])
    totals = [0.0] * n
    for subset in subsets:
        for i in range(n):
            others = [k for k in range(n) if subset[k] and k != i]
            totals[i] += value(sorted([*others, i])) - value(others)
    return [total / len(subsets) for total in totals]


def drop_curve(order, value, points):
    """Value after dropping the first share of the order, at each point."""
    return [value(order[round_half_up(j * len(order), points - 1) :]) for j in range(points)]


def add_curve(order, value, points):
    """Value of the first share of the order, at each point."""
    return [value(order[: round_half_up(j * len(order), points - 1)]) for j in range(points)]


def round_half_up(numerator, denominator):
    return math.floor(numerator / denominator + 0.5)


def aopc(order, value):
    """Mean fall of the value over dropping the first 1 … N − 1."""
    whole = value(order)
    falls = [whole - value(order[k:]) for k in range(1, len(order))]
    return sum(falls) / len(falls)


def ndcg(values, positive):
    """NDCG@n of values without ties."""
    order = sorted(range(len(values)), key=lambda i: -values[i])
    n = sum(positive)
    gain = sum(1 / math.log2(place + 2) for place, i in enumerate(order[:n]) if positive[i])
    return gain / sum(1 / math.log2(place + 2) for place in range(n))


def auc(values, positive):
    """Share of pairs of a positive and another instance that are in the right order, ties half."""
    wins = [
        (values[i] > values[j]) + 0.5 * (values[i] == values[j])
        for i in range(len(values))
        for j in range(len(values))
        if positive[i] and not positive[j]
    ]
    return sum(wins) / len(wins)


def average_precision(values, positive):
    """Mean of the precision at each positive instance, of values without ties."""
    order = sorted(range(len(values)), key=lambda i: -values[i])
    precisions = []
    for place, i in enumerate(order, start=1):
        if positive[i]:
            precisions.append(sum(positive[k] for k in order[:place]) / place)
    return sum(precisions) / len(precisions)


def root_mean_square(values):
    """Square root of the mean square."""
    return math.sqrt(sum(v * v for v in values) / len(values))


def share_out(terms, bias, relevance, epsilon, gamma):
    """Relevance of the terms of one sum z = Σ terms + bias, by LRP-ε or (gamma not 0) LRP-γ."""
    total = sum(terms) + bias
    sign = np.sign(total)
    raised = [t * (1 + gamma * (np.sign(t) == sign)) for t in terms]
    denominator = sum(raised) + bias * (1 + gamma * (np.sign(bias) == sign)) + epsilon * sign
    return [t / denominator * relevance for t in raised]


def lrp(h, layers, v, theta, b, epsilon, gamma, detached, gain=None, relative=False):
    """Relevance of each instance of attention pooling with a linear head, one sum after another.

    With a ``gain`` g for each dimension its maximum times g is one more term of the pooled embedding. ``layers`` is
    ((V, c),) or ((V, c), (U, d)); tanh, σ, their product and the softmax hand relevance on by
    R(x) = Σ_j (∂y_j/∂x) (x / y_j) R(y_j). A ``relative`` epsilon is a share of the root mean square of all outputs of
    a step, of one instance or of the bag.
    """
    n, e = h.shape

    def added(outputs):
        return epsilon * root_mean_square(outputs) + 1e-9 if relative else epsilon

    pre = [[[W[r] @ h[i] + bias[r] for r in range(len(W))] for i in range(n)] for W, bias in layers]
    units = [
        [
            math.tanh(pre[0][i][r]) * (1 / (1 + math.exp(-pre[1][i][r])) if len(layers) == 2 else 1.0)
            for r in range(len(v))
        ]
        for i in range(n)
    ]
    logits = [sum(v[r] * units[i][r] for r in range(len(v))) for i in range(n)]
    exponentials = [math.exp(a) for a in logits]
    weights = [x / sum(exponentials) for x in exponentials]
    gain = [0.0] * e if gain is None else gain
    holders = [max(range(n), key=lambda i, k=k: h[i][k]) for k in range(e)]
    terms = [[*(weights[i] * h[i][k] for i in range(n)), gain[k] * h[holders[k]][k]] for k in range(e)]
    pooled = [sum(terms[k]) for k in range(e)]
    logit = sum(theta[k] * pooled[k] for k in range(e)) + b

    of_pooled = share_out([theta[k] * pooled[k] for k in range(e)], b, logit, added([logit]), gamma)
    of_products, of_maxima = np.zeros((n, e)), np.zeros(n)
    for k in range(e):
        *of_products[:, k], of_maximum = share_out(terms[k], 0.0, of_pooled[k], added(pooled), gamma)
        of_maxima[holders[k]] += of_maximum
    result = of_products.sum(axis=1) + of_maxima
    if detached:
        return result
    of_weights = of_products.sum(axis=1)
    for i in range(n):
        of_logit = sum(weights[j] * ((i == j) - weights[i]) * logits[i] / weights[j] * of_weights[j] for j in range(n))
        of_units = share_out([v[r] * units[i][r] for r in range(len(v))], 0.0, of_logit, added([logits[i]]), gamma)
        for layer, (W, bias) in enumerate(layers):
            for r in range(len(v)):
                x = pre[layer][i][r]
                if layer == 0:
                    slope, value = 1 - math.tanh(x) ** 2, math.tanh(x)
                else:
                    value = 1 / (1 + math.exp(-x))
                    slope = value * (1 - value)
                relevance = slope * x / value * of_units[r]
                terms_of_x = [W[r][k] * h[i][k] for k in range(e)]
                result[i] += sum(share_out(terms_of_x, bias[r], relevance, added(pre[layer][i]), gamma))
    return result


def lrp_attention(relevance, weights, decades, signed):
    """The package's reading of the combination, one instance after another."""
    largest = max(abs(r) for r in relevance)
    values = []
    for r, w in zip(relevance, weights, strict=True):
        size = abs(r) / largest
        logarithm = max(0.0, 1 + math.log10(size) / decades) if size > 0 else 0.0
        attention = 2 * (w - min(weights)) / (max(weights) - min(weights)) - 1
        values.append((math.copysign(logarithm, r) if signed else logarithm) + attention)
    return values
