"""All outlier scores under the names by which they are reported, and what of them can be set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from shared.calibration.outliers.base import OutlierScore
from shared.calibration.outliers.logit_scores import Energy, MaximumSoftmax, MutualInformation, PredictiveEntropy
from shared.calibration.outliers.mahalanobis import Mahalanobis
from shared.calibration.outliers.nearest_neighbour import NearestNeighbour
from shared.calibration.outliers.vim import ViM

__all__ = ["SCORE_TYPES", "ScoreSettings", "default_scores"]

SCORE_TYPES: dict[str, type[OutlierScore]] = {
    score.__name__: score
    for score in (MaximumSoftmax, Energy, PredictiveEntropy, MutualInformation, Mahalanobis, NearestNeighbour, ViM)
}


@dataclass(frozen=True)
class ScoreSettings:
    """What of the outlier scores can be set.

    Args:
        trim: share of the training images that the Mahalanobis distances leave out of their final fit, see
            :class:`~shared.calibration.outliers.mahalanobis.Mahalanobis`.
        neighbours: k of the distance to the k-th nearest training image.
        bank_size: number of training images at most among which neighbours are looked for.
        principal_dimensions: dimensions of the principal space of virtual-logit matching; ``None`` for the paper's, see
            :class:`~shared.calibration.outliers.vim.ViM`.
        tail_share: share of the validation images to which the tail of a deciding score is fitted, see
            :class:`~shared.calibration.outliers.tail.Tail`.
        seed: of the choice of the bank.
    """

    trim: float = 0.05
    neighbours: int = 10
    bank_size: int = 2000
    principal_dimensions: int | None = None
    tail_share: float = 0.1
    seed: int = 0


def default_scores(
    sources: Sequence[str],
    temperature: float = 1.0,
    last_layer: nn.Linear | None = None,
    settings: ScoreSettings | None = None,
) -> dict[str, OutlierScore]:
    """Return all scores that can be computed, unfitted, by the names under which they are reported.

    Args:
        sources: names of the features that there are.
        temperature: T of the scores that use logits.
        last_layer: of the network; virtual-logit matching needs it and is left out without.
        settings: of the scores; ``None`` for the default.

    Raises:
        ValueError: if a setting is impossible.

    Example:
        >>> list(default_scores(["logits", "embedding"]))[3:]
        ['mutual_information', 'mahalanobis', 'nearest_neighbour']
    """
    chosen = settings or ScoreSettings()
    scores: dict[str, OutlierScore] = {
        "maximum_softmax": MaximumSoftmax(temperature),
        "energy": Energy(temperature),
        "predictive_entropy": PredictiveEntropy(temperature),
        "mutual_information": MutualInformation(temperature),
        "mahalanobis": Mahalanobis("embedding", trim=chosen.trim),
        "nearest_neighbour": NearestNeighbour(chosen.neighbours, maximum=chosen.bank_size, seed=chosen.seed),
        "mahalanobis_features": Mahalanobis("feature_statistics", class_conditional=False, trim=chosen.trim),
        "mahalanobis_image": Mahalanobis("image_statistics", class_conditional=False, trim=chosen.trim),
    }
    if last_layer is not None:
        bias = np.zeros(last_layer.out_features) if last_layer.bias is None else last_layer.bias.detach().cpu().numpy()
        weight = last_layer.weight.detach().cpu().numpy()
        scores["vim"] = ViM(weight, bias, chosen.principal_dimensions)
    return {name: score for name, score in scores.items() if score.source in sources}
