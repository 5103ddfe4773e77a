"""Shapley values by their definition, over all subsets, and the pooled value of a subset written out."""

import itertools
import math


def shapley(n, value):
    """Sum over all subsets S without i of |S|! (n − |S| − 1)! / n! (v(S ∪ i) − v(S)); ``value`` takes a tuple."""
    values = [0.0] * n
    known = {S: value(S) for size in range(n + 1) for S in itertools.combinations(range(n), size)}
    for S, without in known.items():
        share = math.factorial(len(S)) * math.factorial(n - len(S) - 1) / math.factorial(n) if len(S) < n else 0.0
        for i in set(range(n)) - set(S):
            values[i] += share * (known[tuple(sorted((*S, i)))] - without)
    return values


def mean_value(scores, empty):
    """Mean of the scores in S."""
    return lambda S: sum(scores[k] for k in S) / len(S) if S else empty


def max_value(scores, empty):
    """Largest score in S."""
    return lambda S: max(scores[k] for k in S) if S else empty


def attention_value(scores, logits, empty):
    """Scores in S averaged with weights exp(logit); instances with logit −∞ have none."""

    def value(S):
        S = [k for k in S if logits[k] > -math.inf]
        if not S:
            return empty
        largest = max(logits[k] for k in S)
        weights = {k: math.exp(logits[k] - largest) for k in S}
        return sum(weights[k] * scores[k] for k in S) / sum(weights.values())

    return value


def log_mean_exp_value(scores, r, empty):
    """1/r log of the mean of exp(r s) over S."""

    def value(S):
        if not S:
            return empty
        largest = max(r * scores[k] for k in S)
        return (largest + math.log(sum(math.exp(r * scores[k] - largest) for k in S) / len(S))) / r

    return value


def two_kinds_shapley(n, value):
    """Values of each of two kinds of identical instances, n = (n_0, n_1); ``value`` takes how many of each are in S.

    By the definition, with the subsets that hold as many of each kind counted instead of listed.
    """
    total = sum(n)
    shares = []
    for kind in (0, 1):
        others = [n[0] - (kind == 0), n[1] - (kind == 1)]
        share = 0.0
        for k in itertools.product(range(others[0] + 1), range(others[1] + 1)):
            subsets = math.comb(others[0], k[0]) * math.comb(others[1], k[1])
            probability = subsets / (total * math.comb(total - 1, sum(k)))
            added = (k[0] + (kind == 0), k[1] + (kind == 1))
            share += probability * (value(added) - value(k))
        shares.append(share)
    return shares
