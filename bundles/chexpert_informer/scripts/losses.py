"""Binary cross-entropy of findings that do not exclude one another, some of them unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from shared.data.errors import DataError

__all__ = ["MaskedBinaryCrossEntropy", "label_matrix", "positive_weights"]


class MaskedBinaryCrossEntropy(nn.Module):
    """Mean binary cross-entropy over the known labels of a batch.

    ``L = - sum_ik m_ik [w_k y_ik log p_ik + (1 - y_ik) log(1 - p_ik)] / sum_ik m_ik`` with ``p = sigmoid(z)`` and
    ``m_ik`` 1 where the label is known, 0 where it is NaN. An unknown label contributes neither to the loss nor to a
    gradient; a batch without a known label has loss 0.

    Args:
        weights: w_k, weight of an image that has finding k against one that has it not, ``(K,)``; ``None`` for 1.

    Raises:
        ValueError: if a weight is not positive and finite.
    """

    weights: torch.Tensor | None

    def __init__(self, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        values = None if weights is None else torch.tensor(list(weights), dtype=torch.float32)
        if values is not None and not bool(((values > 0) & values.isfinite()).all()):
            raise ValueError(f"weights must be positive and finite, found {values.tolist()}")
        self.register_buffer("weights", values)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss in nats, a scalar.

        Args:
            logits: ``(B, K)``.
            labels: 0, 1 or NaN, ``(B, K)``.

        Raises:
            ValueError: if the shapes differ, or there is not one weight for each finding.
        """
        if logits.shape != labels.shape:
            raise ValueError(f"expected labels of the logits' shape {tuple(logits.shape)}, found {tuple(labels.shape)}")
        if self.weights is not None and len(self.weights) != logits.shape[1]:
            raise ValueError(f"expected {logits.shape[1]} weights, one for each finding, found {len(self.weights)}")
        known = ~labels.isnan()
        # in float32 also under autocast: the sum over a batch would lose digits
        losses = F.binary_cross_entropy_with_logits(
            logits.float(),
            labels.nan_to_num().float(),
            pos_weight=None if self.weights is None else self.weights.to(logits.device),
            reduction="none",
        )
        return (losses * known).sum() / known.sum().clamp_min(1)


def label_matrix(records: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> np.ndarray:
    """Return the labels of records as ``(N, K)`` float64, NaN where one is unknown.

    Args:
        records: with ``label``, a list of K entries 0, 1 or ``None``.
        classes: names of the K findings.

    Raises:
        DataError: if a record has no label, or one of another form.

    Example:
        >>> label_matrix([{"id": "a", "label": [0, None]}], ["edema", "effusion"])
        array([[ 0., nan]])
    """
    for record in records:
        label = record.get("label")
        if not isinstance(label, list) or len(label) != len(classes) or any(v not in (0, 1, None) for v in label):
            raise DataError(
                f"record {record.get('id')!r}: label is {label!r}, expected a list with 0, 1 or null for each of "
                f"{', '.join(classes)}; correct the datalist or prepare the data anew"
            )
    matrix: np.ndarray = np.array([record["label"] for record in records], dtype=np.float64)
    return matrix.reshape(len(records), len(classes))


def positive_weights(
    choice: Sequence[float] | Literal["balanced"] | None, records: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> list[float] | None:
    """Return the weights of :class:`MaskedBinaryCrossEntropy` that a config asks for.

    Args:
        choice: one weight for each finding; ``"balanced"`` for negative over positive training labels, so that both
            sides of a finding weigh the same; ``None`` for none.
        records: of the training section.
        classes: names of the K findings.

    Raises:
        DataError: if the choice is neither, or with ``"balanced"``, if a finding is nowhere present or nowhere absent.
    """
    if choice is None:
        return None
    if choice == "balanced":
        labels = label_matrix(records, classes)
        positive, negative = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
        for name, n_positive, n_negative in zip(classes, positive, negative, strict=True):
            if min(n_positive, n_negative) == 0:
                raise DataError(
                    f"class_weights 'balanced': {name} is present in {n_positive} and absent in {n_negative} training "
                    "images, both are needed; give the weights as numbers, or null"
                )
        return (negative / positive).tolist()
    if isinstance(choice, str) or len(choice) != len(classes):
        raise DataError(
            f"class_weights is {choice!r}, expected null, 'balanced' or one positive number for each of "
            f"{', '.join(classes)}"
        )
    return [float(weight) for weight in choice]
