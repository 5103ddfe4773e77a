"""Mahalanobis distance to the nearest class under one shared, shrunk covariance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

from shared.calibration.outliers.base import Features, OutlierScore

__all__ = ["Mahalanobis"]

# Keeps the distance finite in directions in which the training images do not vary at all.
SMALLEST_SHRINKAGE = 1e-6


class Mahalanobis(OutlierScore):
    """Squared Mahalanobis distance ``min_c (x − μ_c)ᵀ Σ⁻¹ (x − μ_c)`` (Lee et al. 2018, equations 1 and 2).

    Features are divided by their standard deviation within the classes, since they may have different units. With
    fewer images than features the empirical covariance ``C`` of the centred features has no inverse; it is shrunk,
    ``Σ = (1 − α) C + α (tr C / D) I``, with α by Ledoit and Wolf (2004). By its eigenvectors ``v_i`` and eigenvalues
    ``λ_i > 0``, at most N of them, the distance is exactly

    ``Σ_i (v_i · z)² / ((1 − α) λ_i + α m) + (‖z‖² − Σ_i (v_i · z)²) / (α m)``,  ``m = tr C / D``,

    so that no matrix of D × D numbers is needed.

    Some training images are not what they should be (a cut cell, a poor background), and a few of them widen the
    covariance until others like them pass. The fit is therefore repeated without the share ``trim`` of the images that
    lie farthest (a reweighted estimate, Rousseeuw and van Zomeren 1990).

    Args:
        source: name of the features that the score uses.
        class_conditional: whether each class has its own mean; else all images share one.
        trim: share of the training images that the final fit leaves out, in [0, 0.5).

    Raises:
        ValueError: if ``trim`` is outside its range.
    """

    def __init__(self, source: str = "embedding", class_conditional: bool = True, trim: float = 0.05) -> None:
        super().__init__(source)
        if not 0 <= trim < 0.5:
            raise ValueError(f"trim must lie in [0, 0.5), found {trim}")
        self.class_conditional = class_conditional
        self.trim = float(trim)
        self.scale: NDArray[np.float64] | None = None
        self.means: NDArray[np.float64] | None = None
        self.directions: NDArray[np.float64] | None = None
        self.variances: NDArray[np.float64] | None = None
        self.floor: NDArray[np.float64] | None = None

    def fit(self, features: Features, labels: ArrayLike) -> Self:
        """Fit means and covariance to the training images.

        Args:
            features: with :attr:`source` ``(N, D)``.
            labels: class indices ``(N,)``.

        Raises:
            ValueError: if labels and features differ in number, or there are fewer than two images.
        """
        values = self._values(features)
        groups = np.asarray(labels) if self.class_conditional else np.zeros(len(values), dtype=int)
        if groups.shape != (len(values),) or len(values) < 2:
            raise ValueError(
                f"expected one label for each of at least two images, found {groups.shape}, {values.shape}"
            )
        self._fit(values, groups)
        if self.trim > 0:
            distances = self.score(features)
            kept = distances <= np.quantile(distances, 1 - self.trim)
            self._fit(values[kept], groups[kept])
        return self

    def _fit(self, values: NDArray[np.float64], groups: NDArray[Any]) -> None:
        classes, index = np.unique(groups, return_inverse=True)
        means = np.stack([values[index == c].mean(axis=0) for c in range(len(classes))])
        centred = values - means[index]
        scale = centred.std(axis=0)
        # a feature that is constant in training keeps its own unit
        scale[scale <= 1e-12 * np.abs(values).max(axis=0)] = 1.0
        centred /= scale
        shrinkage = max(ledoit_wolf_shrinkage(centred, assume_centered=True), SMALLEST_SHRINKAGE)
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        eigenvalues = singular**2 / len(values)
        floor = shrinkage * eigenvalues.sum() / values.shape[1]
        kept = eigenvalues > 0
        # single precision of the directions is far finer than the fit, and halves the file
        self.scale, self.means = scale, means / scale
        self.directions = directions[kept].astype(np.float32)
        self.variances = (1 - shrinkage) * eigenvalues[kept] + floor
        self.floor = np.array(floor if floor > 0 else 1.0)

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the squared distances ``(N,)`` to the nearest class mean."""
        scale, means, floor = self._fitted("scale"), self._fitted("means"), self._fitted("floor")
        directions, variances = self._fitted("directions").astype(np.float64), self._fitted("variances")
        values = self._values(features, len(scale)) / scale
        distances = []
        for mean in means:
            centred = values - mean  # (N, D)
            projected = centred @ directions.T  # (N, R)
            inside = (projected**2 / variances).sum(axis=1)
            outside = np.maximum((centred**2).sum(axis=1) - (projected**2).sum(axis=1), 0) / floor
            # with as many directions as features, what is left over is rounding only
            distances.append(inside + (outside if len(directions) < len(scale) else 0))
        return np.min(distances, axis=0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return means, scale, eigenvectors and shrunk eigenvalues."""
        fitted = {name: self._fitted(name) for name in ("scale", "means", "directions", "variances", "floor")}
        settings = {name: np.array(getattr(self, name)) for name in ("source", "class_conditional", "trim")}
        return {**settings, **fitted}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make the score from its :meth:`state`."""
        score = cls(str(state["source"]), bool(state["class_conditional"]), float(state["trim"]))
        for name in ("scale", "means", "directions", "variances", "floor"):
            setattr(score, name, state[name])
        return score
