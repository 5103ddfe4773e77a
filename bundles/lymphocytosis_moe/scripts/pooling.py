"""The pooling operators that an image classifier can be built with, by the names that configs use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.data.errors import DataError
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.base import Pooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling

__all__ = ["make_pooling"]

# noisy-or and noisy-and pool probabilities of instances, which an embedding is not
WITHOUT_WEIGHTS: dict[str, Callable[..., Pooling]] = {
    "max": MaxPooling,
    "mean": MeanPooling,
    "log_mean_exp": LogMeanExpPooling,
}
ATTENTION: dict[str, Callable[..., Pooling]] = {
    "attention": AttentionPooling,
    "gated_attention": GatedAttentionPooling,
}


def make_pooling(name: str, embedding_size: int, **options: Any) -> Pooling:
    """Return a pooling operator of embeddings.

    Args:
        name: ``mean`` (equation 5 of Sahasrabudhe et al. 2020), ``max`` (equation 4), ``log_mean_exp`` (equation 6,
            there called log-sum-exp), ``attention`` or ``gated_attention`` (Ilse et al. 2018).
        embedding_size: number of elements E of an embedding.
        options: further arguments of the operator, such as ``r`` or ``hidden``.

    Raises:
        DataError: if there is no operator of that name.
    """
    if name in WITHOUT_WEIGHTS:
        return WITHOUT_WEIGHTS[name](**options)
    if name in ATTENTION:
        return ATTENTION[name](embedding_size, **options)
    raise DataError(f"pooling: there is no {name!r}; known: {', '.join([*WITHOUT_WEIGHTS, *ATTENTION])}")
