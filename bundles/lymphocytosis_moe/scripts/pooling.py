"""The pooling operators that an image classifier can be built with, by the names that configs use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from shared.data.errors import DataError
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.base import Pooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.top_k_mean import TopKMeanPooling

__all__ = ["make_pooling", "pooling_settings"]

# noisy-or and noisy-and pool probabilities of instances, which an embedding is not
WITHOUT_WEIGHTS: dict[str, Callable[..., Pooling]] = {
    "max": MaxPooling,
    "mean": MeanPooling,
    "log_mean_exp": LogMeanExpPooling,
    "top_k_mean": TopKMeanPooling,
}
ATTENTION: dict[str, Callable[..., Pooling]] = {
    "attention": AttentionPooling,
    "gated_attention": GatedAttentionPooling,
}


def make_pooling(name: str, embedding_size: int, **options: Any) -> Pooling:
    """Return a pooling operator of embeddings.

    Args:
        name: ``mean`` (equation 5 of Sahasrabudhe et al. 2020), ``max`` (equation 4), ``log_mean_exp`` (equation 6,
            there called log-sum-exp), ``top_k_mean``, ``attention`` or ``gated_attention`` (Ilse et al. 2018).
        embedding_size: number of elements E of an embedding.
        options: further arguments of the operator: ``r`` of ``log_mean_exp``, ``k`` of ``top_k_mean``, ``hidden`` of
            the attentions.

    Raises:
        DataError: if there is no operator of that name, or it does not take these options.
    """
    settings = pooling_settings(name, options)
    try:
        if name in WITHOUT_WEIGHTS:
            return WITHOUT_WEIGHTS[name](**settings)
        return ATTENTION[name](embedding_size, **settings)
    except (TypeError, ValueError) as error:
        raise DataError(f"pooling_options: {name} cannot be made with {options}: {error}") from error


def pooling_settings(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of an operator, with its defaults for those that are not given.

    Raises:
        DataError: as :func:`make_pooling`.

    Example:
        >>> pooling_settings("log_mean_exp", {})
        {'r': 1.0}
    """
    operators = {**WITHOUT_WEIGHTS, **ATTENTION}
    if name not in operators:
        raise DataError(f"pooling: there is no {name!r}; known: {', '.join(operators)}")
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    signature = inspect.signature(operators[name]).parameters
    parameters = {key: value for key, value in signature.items() if key != "embedding" and value.kind not in variadic}
    known = ", ".join(parameters) or "none"
    if unknown := sorted(options.keys() - parameters.keys()):
        raise DataError(f"pooling_options: {name} has no option {', '.join(unknown)}; its options: {known}")
    settings = {key: options.get(key, parameter.default) for key, parameter in parameters.items()}
    if missing := [key for key, value in settings.items() if value is inspect.Parameter.empty]:
        raise DataError(f"pooling_options: {name} needs {', '.join(missing)}, found {dict(options)}")
    return settings
