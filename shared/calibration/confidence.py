"""A confidence that is 0 at chance level."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

__all__ = ["DEFINITION", "chance_corrected_confidence"]

Array = TypeVar("Array", np.ndarray, torch.Tensor)

DEFINITION = "(K * max_k p_k - 1) / (K - 1): 0 at chance level, 1 at certainty"


def chance_corrected_confidence(probabilities: Array) -> Array:
    """Rescale the largest class probability so that chance is 0 and certainty is 1.

    The largest of K probabilities never falls below 1/K, so that a rule such as "reject below 20 %" on it could never
    act with four classes (chance 25 %). The chance-corrected confidence is

    ``confidence = (K * max_k p_k - 1) / (K - 1)``,

    which keeps the order of the samples, is 0 exactly when all classes are equally probable and 1 exactly when one
    class has probability 1. For two classes it is the margin ``|p_1 - p_0|``. It is not itself a probability of being
    right: that remains ``max_k p_k = (1 + (K - 1) confidence) / K``.

    Args:
        probabilities: ``(..., K)``, summing to 1 along the last axis.

    Returns:
        Confidence in [0, 1], ``(...)``, of the same kind as the input (array or tensor).

    Raises:
        ValueError: if there are fewer than two classes.

    Example:
        >>> chance_corrected_confidence(np.array([[0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0], [0.4, 0.2, 0.2, 0.2]]))
        array([0. , 1. , 0.2])
    """
    num_classes = probabilities.shape[-1]
    if num_classes < 2:
        raise ValueError(f"a confidence above chance needs at least two classes, found {num_classes}")
    largest = probabilities.amax(-1) if isinstance(probabilities, torch.Tensor) else probabilities.max(-1)
    # rounding may take a uniform row a hair below 0
    return ((num_classes * largest - 1) / (num_classes - 1)).clip(0, 1)
