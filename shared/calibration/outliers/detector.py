"""A detector that joins several outlier scores into one decision, fitted without any outlier."""

from __future__ import annotations

import logging
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.calibration.outliers.base import Features, OutlierScore
from shared.calibration.outliers.logit_scores import Energy, MaximumSoftmax, MutualInformation, PredictiveEntropy
from shared.calibration.outliers.mahalanobis import Mahalanobis
from shared.calibration.outliers.nearest_neighbour import NearestNeighbour
from shared.calibration.outliers.tail import Tail
from shared.calibration.outliers.vim import ViM
from shared.data.errors import DataError
from shared.data.files import atomic_path, sha256_file

__all__ = ["COMBINED", "Calibration", "OutlierDetector", "default_scores"]

logger = logging.getLogger(__name__)

COMBINED = "combined"
FORMAT = 1
SCORE_TYPES: dict[str, type[OutlierScore]] = {
    score.__name__: score
    for score in (MaximumSoftmax, Energy, PredictiveEntropy, MutualInformation, Mahalanobis, NearestNeighbour, ViM)
}


def default_scores(weight: ArrayLike, bias: ArrayLike, temperature: float = 1.0) -> dict[str, OutlierScore]:
    """Return all scores of the package, unfitted, by the names under which they are reported.

    Args:
        weight: of the network's last linear layer, ``(K, E)``.
        bias: likewise, ``(K,)``.
        temperature: T of the scores that use logits.
    """
    return {
        "maximum_softmax": MaximumSoftmax(temperature),
        "energy": Energy(temperature),
        "predictive_entropy": PredictiveEntropy(temperature),
        "mutual_information": MutualInformation(temperature),
        "mahalanobis": Mahalanobis(),
        "nearest_neighbour": NearestNeighbour(),
        "vim": ViM(weight, bias),
        "mahalanobis_features": Mahalanobis("feature_statistics", class_conditional=False),
        "mahalanobis_image": Mahalanobis("image_statistics", class_conditional=False),
    }


@dataclass(frozen=True)
class Calibration:
    """What was chosen on validation inliers, and what it costs there.

    Attributes:
        threshold: images whose combined score is above it are outliers.
        keep: share of inliers that was to be kept.
        kept: share of validation inliers that is neither an outlier nor below the minimum confidence.
        kept_by_confidence: share that is not below the minimum confidence.
        kept_by_score: share that is no outlier.
        n: number of validation inliers.
    """

    threshold: float
    keep: float
    kept: float
    kept_by_confidence: float
    kept_by_score: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for a JSON file."""
        return asdict(self)


class OutlierDetector:
    """Several scores, each turned into a tail probability under validation inliers, joined by the smallest.

    ``combined = max_m −ln P(S_m ≥ s_m)`` over the members m (Tippett 1931): an image is an outlier if *any* member
    finds it too unusual, whatever the scales of the scores. The tail probabilities only weigh the members against one
    another; how many inliers are lost is set by the threshold on the combined score itself.

    Members are chosen for what they see, not by how they fare on known outliers: Mahalanobis distances in the
    embedding, in the statistics of the feature maps and in those of the image. The scores that read the logits are
    computed and reported too; in the decision the minimum confidence stands for them.

    Args:
        scores: by name; see :func:`default_scores`.
        members: names of the scores that enter the decision; by default all that need no logits and are Mahalanobis
            distances.

    Raises:
        ValueError: if a member is not among the scores, or there is none.
    """

    def __init__(self, scores: Mapping[str, OutlierScore], members: Sequence[str] | None = None) -> None:
        self.scores = dict(scores)
        if members is None:
            members = [name for name, score in self.scores.items() if isinstance(score, Mahalanobis)]
        self.members = list(members)
        unknown = [name for name in self.members if name not in self.scores]
        if unknown or not self.members or COMBINED in self.scores:
            raise ValueError(f"members {self.members} must be among the scores {list(self.scores)}, none '{COMBINED}'")
        self.tails: dict[str, Tail] = {}
        self.calibration: Calibration | None = None

    def fit(self, features: Features, labels: ArrayLike) -> Self:
        """Fit every score to the training images.

        Args:
            features: of the training images, by name; ``logits`` are not needed.
            labels: class indices ``(N,)``.
        """
        for score in self.scores.values():
            score.fit(features, labels)
        self.tails, self.calibration = {}, None
        return self

    def calibrate(
        self,
        features: Features,
        confidence: ArrayLike | None = None,
        minimum_confidence: float = 0.2,
        keep: float = 0.97,
    ) -> Calibration:
        """Choose the threshold so that a share of the validation inliers is kept, jointly with the minimum confidence.

        The threshold is the ⌈keep (n + 1)⌉-th smallest combined score, where those below the minimum confidence count
        as lost already: a new inlier is then kept with at least that probability (split conformal prediction, Vovk
        et al. 2005). At least half of ``1 − keep`` is left to the outlier score, however much the confidence takes;
        if that makes the share smaller than ``keep``, a warning is logged.

        Args:
            features: of the validation images, by name.
            confidence: their confidence ``(N,)`` in [0, 1]; ``None`` if there is no such rule.
            minimum_confidence: below which an image is rejected.
            keep: share of inliers to be kept, in (0, 1).

        Returns:
            The threshold and the shares that are kept.

        Raises:
            ValueError: if ``keep`` is outside (0, 1), confidences do not fit, or there are no images.
        """
        if not 0 < keep < 1:
            raise ValueError(f"keep must lie between 0 and 1, found {keep}")
        values = {name: self.scores[name].score(features) for name in self.members}
        n = len(values[self.members[0]])
        confident = np.ones(n, dtype=bool) if confidence is None else np.asarray(confidence) >= minimum_confidence
        if n == 0 or confident.shape != (n,) or not confident.any():
            raise ValueError(
                f"expected one confidence for each of {n} validation images, at least one of them from "
                f"{minimum_confidence} on, found shape {confident.shape} with {int(confident.sum())}"
            )
        self.tails = {name: Tail.fit(value) for name, value in values.items()}
        combined = self._combine(values)
        candidates = np.sort(combined[confident])
        wanted = math.ceil(keep * (n + 1))
        at_most = math.ceil((1 - (1 - keep) / 2) * (len(candidates) + 1))
        threshold = float(candidates[min(wanted, at_most, len(candidates)) - 1])
        inlier = combined <= threshold
        kept = float((inlier & confident).mean())
        if kept < keep:
            logger.warning(
                "only %.1f %% of the validation images are kept instead of %.1f %%: %.1f %% are below confidence %g",
                100 * kept, 100 * keep, 100 * (1 - confident.mean()), minimum_confidence,
            )  # fmt: skip
        self.calibration = Calibration(threshold, keep, kept, float(confident.mean()), float(inlier.mean()), n)
        return self.calibration

    def score(self, features: Features) -> dict[str, NDArray[np.float64]]:
        """Return every score ``(N,)`` by name, and the ``combined`` one in nats; larger is more outlying.

        Scores whose features are not given are left out, unless they are members.

        Raises:
            RuntimeError: if the detector is not calibrated.
            KeyError: if a member's features are missing.
        """
        values = {
            name: score.score(features)
            for name, score in self.scores.items()
            if name in self.members or score.source in features
        }
        return {**values, COMBINED: self._combine({name: values[name] for name in self.members})}

    def is_outlier(self, combined: ArrayLike) -> NDArray[np.bool_]:
        """Return for combined scores ``(N,)`` whether they are above the threshold.

        Raises:
            RuntimeError: if the detector is not calibrated.
        """
        if self.calibration is None:
            raise RuntimeError("the outlier detector is not calibrated: call calibrate first")
        return np.asarray(combined) > self.calibration.threshold

    def leading_member(self, scores: Mapping[str, ArrayLike]) -> NDArray[np.str_]:
        """Return for each image the name ``(N,)`` of the member that finds it most unusual.

        Args:
            scores: from :meth:`score`.
        """
        surprise = np.stack([self.tails[name].surprise(scores[name]) for name in self.members])  # (M, N)
        return np.array(self.members)[surprise.argmax(axis=0)]

    def _combine(self, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        if not self.tails:
            raise RuntimeError("the outlier detector is not calibrated: call calibrate first")
        return np.max([self.tails[name].surprise(value) for name, value in values.items()], axis=0)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write everything fitted to an ``.npz`` file of plain arrays, atomically.

        Returns:
            The file's SHA-256, for :meth:`load`.

        Raises:
            RuntimeError: if the detector is not calibrated.
        """
        if self.calibration is None:
            raise RuntimeError("the outlier detector is not calibrated: call calibrate first")
        arrays = {
            "format": np.array(FORMAT),
            "scores": np.array(list(self.scores)),
            "types": np.array([type(score).__name__ for score in self.scores.values()]),
            "members": np.array(self.members),
            **{f"calibration/{name}": np.array(value) for name, value in self.calibration.to_dict().items()},
        }
        for name, score in self.scores.items():
            arrays |= {f"score/{name}/{key}": value for key, value in score.state().items()}
        for name, tail in self.tails.items():
            arrays |= {f"tail/{name}/{key}": value for key, value in tail.state().items()}
        with atomic_path(path) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
        return sha256_file(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], sha256: str | None = None) -> Self:
        """Read a file written by :meth:`save`. It cannot run code.

        Args:
            path: the ``.npz`` file.
            sha256: the file's expected hash, from the calibration file; ``None`` does not check it.

        Raises:
            DataError: if the file is missing, has another hash, is no such file, or lacks something.
        """
        file = Path(path)
        if not file.is_file():
            raise DataError(f"{file}: no such file; run calibrating, which writes it")
        if sha256 is not None and (found := sha256_file(file)) != sha256:
            raise DataError(f"{file}: SHA-256 is {found}, expected {sha256}; it was changed or belongs to another "
                            "calibration: run calibrating anew")  # fmt: skip
        try:
            with np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            return cls._from_arrays(arrays)
        except (KeyError, ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{file}: not a file of outlier statistics ({error}); run calibrating anew") from error

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        if int(arrays["format"]) != FORMAT:
            raise ValueError(f"format {arrays['format']}, expected {FORMAT}")
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"'{name}' holds values that are not finite")

        def below(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        scores = {
            str(name): SCORE_TYPES[str(kind)].from_state(below(f"score/{name}/"))
            for name, kind in zip(arrays["scores"], arrays["types"], strict=True)
        }
        detector = cls(scores, [str(name) for name in arrays["members"]])
        detector.tails = {name: Tail.from_state(below(f"tail/{name}/")) for name in detector.members}
        detector.calibration = Calibration(**{name: value.item() for name, value in below("calibration/").items()})
        return detector
