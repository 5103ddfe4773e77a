"""Shapley values of the instances of a bag under a bag classifier, by the exact formula where there is one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.base import Pooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.shapley.attention import attention_shapley
from shared.mil.shapley.log_mean_exp import log_mean_exp_shapley
from shared.mil.shapley.maximum import max_shapley
from shared.mil.shapley.mean import mean_shapley
from shared.mil.shapley.permutation import permutation_shapley
from shared.mil.shapley.prefix_values import NUMBERS, MaskedPrefixes, PooledPrefixes
from shared.mil.shapley.result import ShapleyValues
from shared.mil.shapley.running_pooling import (
    RunningLogMeanExp,
    RunningMax,
    RunningPair,
    RunningPooling,
    RunningWeightedMean,
)

__all__ = ["instance_shapley", "prefix_values"]

# exactly these classes: a subclass may pool otherwise
ATTENTION = (AttentionPooling, GatedAttentionPooling)
ROWS = 1 << 13

Output = Callable[[Tensor], Tensor]


@torch.no_grad()
def instance_shapley(
    classifier: EmbeddingLevel | InstanceLevel,
    embeddings: Tensor,
    *,
    target: int = 0,
    empty: float | None = None,
    output: Output | None = None,
    sampled: bool = False,
    exact_dimensions: int | None = None,
    standard_error: float | None = None,
    max_permutations: int = 1000,
    seed: int = 0,
) -> ShapleyValues:
    """Share the logit of a bag among its instances.

    Players are removed, the value of a set of instances is the classifier's logit for the bag of just these, in
    evaluation mode and float64. Exact are

    - a linear head after mean or (gated) attention pooling: it collapses to scores ``s_i = θ·h_i + b``;
    - a linear head after max or log-mean-exp pooling: the values of each dimension, added with the weights θ;
    - a linear head after attention with the maximum beside it: the values of the one and of the other, added;
    - any head before mean, max, log-mean-exp or (gated) attention pooling: the instance logits are the scores;
    - a monotone output after an instance-level maximum: the maximum of the scores' outputs.

    Args:
        classifier: a bag classifier; it is left as it is.
        embeddings: of the instances of one bag, ``(N, E)``, on the classifier's device.
        target: index k of the logit that is explained.
        empty: logit of the empty bag; by default the bias of the head's last layer.
        output: function of the logits ``(P,)``, such as ``torch.sigmoid``, to explain instead of the logit.
        sampled: sample permutations where there is no exact formula, instead of refusing.
        exact_dimensions: a linear head after log-mean-exp pooling counts as having no exact formula if the embeddings
            have more dimensions than so many, each of which is a game that takes milliseconds; ``None`` for no limit.
        standard_error: where the sampling stops; see :func:`~shared.mil.shapley.permutation.permutation_shapley`.
        max_permutations: largest number of permutations.
        seed: of the permutations.

    Raises:
        TypeError: if there is no exact formula and ``sampled`` is false, or the classifier is of another class.
        ValueError: if the bag is empty, the target does not exist, or the value of the empty bag has no default.
    """
    if not isinstance(classifier, EmbeddingLevel | InstanceLevel):
        raise TypeError(
            f"expected an EmbeddingLevel or InstanceLevel classifier, found {type(classifier).__name__}; for another "
            "model give its prefix values to permutation_shapley"
        )
    if embeddings.ndim != 2 or embeddings.numel() == 0:
        raise ValueError(f"expected the embeddings of one bag, (N, E), found shape {tuple(embeddings.shape)}")
    classifier = copy.deepcopy(classifier).double().eval()
    last = _last_layer(classifier.head)
    if last is not None and not 0 <= target < last.out_features:
        raise ValueError(f"target {target} does not exist: the classifier has {last.out_features} logits")
    value = _empty_value(last, target) if empty is None else empty
    limited = (
        exact_dimensions is not None and embeddings.shape[1] > exact_dimensions and _solved_by_dimension(classifier)
    )
    exact = None if limited else _exact_values(classifier, embeddings, target, value, output)
    if exact is not None:
        return exact
    if not sampled:
        raise TypeError(
            f"no exact Shapley values for {_description(classifier, output)}"
            f"{f', asked for up to {exact_dimensions} dimensions' if limited else ''}; pass sampled=True to sample "
            "permutations"
        )
    prefixes = prefix_values(classifier, embeddings, target, value, output)
    return permutation_shapley(
        prefixes,
        len(embeddings),
        standard_error=standard_error,
        max_permutations=max_permutations,
        seed=seed,
        device=embeddings.device,
    )


def _exact_values(
    classifier: EmbeddingLevel | InstanceLevel, embeddings: Tensor, target: int, empty: float, output: Output | None
) -> ShapleyValues | None:
    """Return the values by the formula that fits, ``None`` if there is none."""
    pooling = classifier.pooling
    if isinstance(classifier, InstanceLevel):
        logits = _by_rows(classifier.head, embeddings)  # (N, K)
        if output is None:
            return _exact_pooling(pooling, logits[:, target], logits, empty)
        if type(pooling) is MaxPooling:
            return _output_of_maximum(logits[:, target], empty, output)
        return None
    linear = _linear(classifier.head)
    if linear is None or output is not None:
        return None
    weight = linear.weight[target]
    bias = _empty_value(linear, target)
    if type(pooling) in (MaxPooling, LogMeanExpPooling):
        return _exact_by_dimension(pooling, embeddings, weight, bias, empty)
    scores = _by_rows(lambda rows: rows @ weight + bias, embeddings)
    if type(pooling) is AttentionMaximumPooling:
        mean = attention_shapley(scores, _attention_logits(pooling.attention, embeddings), empty)
        maximum = _exact_by_dimension(MaxPooling(), embeddings, weight * pooling.gain, 0.0, 0.0)
        return ShapleyValues(mean.values + maximum.values, mean.efficiency_gap + maximum.efficiency_gap)
    return _exact_pooling(pooling, scores, embeddings, empty)


def _solved_by_dimension(classifier: EmbeddingLevel | InstanceLevel) -> bool:
    """Return whether the exact values take one integral for each dimension of the embeddings."""
    return isinstance(classifier, EmbeddingLevel) and type(classifier.pooling) is LogMeanExpPooling


def _exact_pooling(pooling: Pooling, scores: Tensor, instances: Tensor, empty: float) -> ShapleyValues | None:
    """Return the values of pooled scores ``(N,)``; ``instances`` ``(N, D)`` is what the pooling looks at."""
    if type(pooling) is MeanPooling:
        return mean_shapley(scores, empty)
    if type(pooling) is MaxPooling:
        return max_shapley(scores, empty)
    if type(pooling) is LogMeanExpPooling:
        return log_mean_exp_shapley(scores, pooling.r, empty)
    if isinstance(pooling, AttentionPooling) and type(pooling) in ATTENTION:
        return attention_shapley(scores, _attention_logits(pooling, instances), empty)
    return None


def _exact_by_dimension(
    pooling: Pooling, embeddings: Tensor, weight: Tensor, bias: float, empty: float
) -> ShapleyValues:
    """Return the values of θ·pooled + b for a pooling that works on each dimension by itself."""
    n = len(embeddings)
    values = torch.full((n,), (bias - empty) / n, dtype=torch.float64, device=embeddings.device)
    whole = bias
    width = max(NUMBERS // n, 1)
    for columns, weights in zip(embeddings.split(width, dim=1), weight.split(width), strict=True):
        part = columns.double()
        game = log_mean_exp_shapley(part, pooling.r) if type(pooling) is LogMeanExpPooling else max_shapley(part)
        values += game.values @ weights
        whole += float(pooling(part[None])[0] @ weights)
    return ShapleyValues(values, abs(float(values.sum()) - (whole - empty)))


def _output_of_maximum(scores: Tensor, empty: float, output: Output) -> ShapleyValues | None:
    """Return the values of output(max s), ``None`` if the output does not rise with these scores."""
    outputs = output(scores)
    if bool((outputs[scores.argsort()].diff() < 0).any()):
        return None
    return max_shapley(outputs, float(output(scores.new_tensor([empty]))[0]))


def prefix_values(
    classifier: EmbeddingLevel | InstanceLevel,
    embeddings: Tensor,
    target: int = 0,
    empty: float = 0.0,
    output: Output | None = None,
) -> Callable[[Tensor], Tensor]:
    """Return what evaluates all prefixes of orders of the instances, by running sums where the pooling has them.

    Args:
        classifier: see :func:`instance_shapley`, as what follows.
        embeddings: of one bag, ``(N, E)``.
        target: index of the logit.
        empty: logit of the empty bag.
        output: from the logit to the value; the logit itself if ``None``.

    Returns:
        A function from orders ``(P, N)`` to the values of the first 0, 1, … N instances, ``(P, N + 1)``.
    """
    after: Output = output if output is not None else lambda logits: logits
    value = float(after(embeddings.new_tensor([empty], dtype=torch.float64))[0])
    both = classifier.pooling
    if isinstance(classifier, EmbeddingLevel) and isinstance(both, AttentionMaximumPooling):
        logits, size = _attention_logits(both.attention, embeddings), embeddings.shape[1]
        pair = RunningPair(RunningWeightedMean(embeddings, logits), RunningMax(embeddings))
        return PooledPrefixes(
            pair, lambda rows: after(classifier.head(both.combine(rows[:, :size], rows[:, size:]))[:, target]), value
        )
    if isinstance(classifier, EmbeddingLevel):
        running = _running(classifier.pooling, embeddings, embeddings)
        if running is not None:
            return PooledPrefixes(running, lambda pooled: after(classifier.head(pooled)[:, target]), value)
    else:
        logits = _by_rows(classifier.head, embeddings)
        running = _running(classifier.pooling, logits[:, target : target + 1], logits)
        if running is not None:
            return PooledPrefixes(running, lambda pooled: after(pooled[:, 0]), value)
    exact = embeddings.double()

    def masked(masks: Tensor) -> Tensor:
        return after(classifier(exact.expand(len(masks), -1, -1), None, masks)[:, target])

    return MaskedPrefixes(masked, len(exact), value, max(NUMBERS // embeddings.shape[1], 1))


def _running(pooling: Pooling, pooled: Tensor, instances: Tensor) -> RunningPooling | None:
    """Return the running form of a pooling of ``pooled`` ``(N, D)`` that looks at ``instances``."""
    if type(pooling) is MeanPooling:
        return RunningWeightedMean(pooled)
    if type(pooling) is MaxPooling:
        return RunningMax(pooled)
    if type(pooling) is LogMeanExpPooling:
        return RunningLogMeanExp(pooled, pooling.r)
    if isinstance(pooling, AttentionPooling) and type(pooling) in ATTENTION:
        return RunningWeightedMean(pooled, _attention_logits(pooling, instances))
    return None


def _attention_logits(pooling: AttentionPooling, instances: Tensor) -> Tensor:
    return _by_rows(lambda rows: pooling.attention_logits(rows[None])[0], instances)


def _by_rows(function: Output, instances: Tensor) -> Tensor:
    """Return the function of all instances in float64, some rows at a time: only these are held in float64."""
    return torch.cat([function(rows.double()) for rows in instances.split(ROWS)])


def _layers(head: nn.Module) -> list[nn.Module]:
    """Return the layers of a head that do anything in evaluation mode."""
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    return [layer for layer in layers if type(layer) not in (nn.Dropout, nn.Identity)]


def _linear(head: nn.Module) -> nn.Linear | None:
    """Return the one linear layer of a head that is nothing else."""
    layers = _layers(head)
    return _last_layer(head) if len(layers) == 1 else None


def _last_layer(head: nn.Module) -> nn.Linear | None:
    """Return the linear layer that a head ends in."""
    layers = _layers(head)
    return layers[-1] if layers and type(layers[-1]) is nn.Linear else None


def _empty_value(layer: nn.Linear | None, target: int) -> float:
    if layer is None:
        raise ValueError("the head does not end in a linear layer whose bias could stand for an empty bag; pass empty=")
    return 0.0 if layer.bias is None else float(layer.bias[target])


def _description(classifier: EmbeddingLevel | InstanceLevel, output: Output | None) -> str:
    head = "a linear head" if _linear(classifier.head) is not None else f"the head {type(classifier.head).__name__}"
    text = f"{type(classifier).__name__} with {type(classifier.pooling).__name__} and {head}"
    return text if output is None else f"{text} through the output {getattr(output, '__name__', repr(output))}"
