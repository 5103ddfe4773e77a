"""A detector that joins several outlier scores into one decision, fitted without any outlier."""

from __future__ import annotations

import logging
import math
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from shared.calibration.outliers.all_scores import SCORE_TYPES, ScoreSettings, default_scores
from shared.calibration.outliers.base import Features, OutlierScore
from shared.calibration.outliers.tail import Tail
from shared.data.errors import DataError
from shared.data.files import atomic_path, sha256_file

__all__ = ["OutlierDetector"]

logger = logging.getLogger(__name__)

FORMAT = 1
DECIDING = ("mahalanobis_image", "mahalanobis_features", "mahalanobis")


@dataclass(frozen=True)
class OutlierDetector:
    """Several scores, each turned into a tail probability under validation inliers, joined by the smallest.

    ``combined = max_m −ln P(S_m ≥ s_m)`` over the members m (Tippett 1931), in nats: an image is an outlier if *any*
    member finds it too unusual, whatever the scales of the scores. The tail probabilities only weigh the members
    against one another; how many inliers are lost is set by the threshold on the combined score itself.

    By default one score decides, the Mahalanobis distance in the statistics of the image, or, where these are not
    given, of the feature maps or the embedding, in this order. The earlier, the less it depends on what the network was
    trained to see: an embedding that was fitted to the training images has new inliers lie farther out than these, and
    forgets what spoils all classes alike. Each further member has to share the inliers that may be lost with the
    others. All other scores are reported; in the decision the minimum confidence stands for those that read the logits.

    Attributes:
        scores: fitted scores by name.
        members: names of the scores that enter the decision.
        tails: each member's distribution among validation inliers; empty before calibration.
        threshold: an image whose combined score is above it is an outlier; infinite before calibration.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> training, validation = ({"embedding": rng.normal(size=(500, 4))} for _ in range(2))
        >>> detector = OutlierDetector.fit(training, np.zeros(500, dtype=int)).calibrated(validation, keep=0.95)
        >>> scores = detector.member_scores({"embedding": [[0.0, 0.5, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]]})
        >>> detector.combine(scores) > detector.threshold
        array([False,  True])
    """

    scores: Mapping[str, OutlierScore]
    members: tuple[str, ...]
    tails: Mapping[str, Tail] = field(default_factory=dict)
    threshold: float = math.inf

    def __post_init__(self) -> None:
        unknown = [name for name in self.members if name not in self.scores]
        if unknown or not self.members:
            raise ValueError(f"the members {list(self.members)} must be some of the scores {list(self.scores)}")

    @classmethod
    def fit(
        cls,
        features: Features,
        labels: ArrayLike,
        temperature: float = 1.0,
        last_layer: nn.Linear | None = None,
        members: Sequence[str] | None = None,
        settings: ScoreSettings | None = None,
    ) -> Self:
        """Fit every score that the given features allow to the training images.

        Args:
            features: of the training images, by name; see :class:`~shared.calibration.outliers.base.OutlierScore`.
                The values of the logits are not used in fitting, so they need not be drawn (NaN).
            labels: class indices ``(N,)``.
            temperature: T of the scores that use logits.
            last_layer: of the network, for virtual-logit matching.
            members: names of the scores that enter the decision; ``None`` for the default.
            settings: of the scores; ``None`` for the default.

        Raises:
            ValueError: if a member is not among the scores, a setting is impossible, or features and labels do not fit.
        """
        scores = default_scores(list(features), temperature, last_layer, settings)
        for score in scores.values():
            score.fit(features, labels)
        if members is None:
            members = [name for name in DECIDING if name in scores][:1]
        return cls(scores, tuple(members))

    def calibrated(
        self, features: Features, keep: float = 0.97, also_kept: ArrayLike | None = None, tail_share: float = 0.1
    ) -> Self:
        """Return the detector with tails and threshold from validation inliers.

        The threshold is the ⌈keep (n + 1)⌉-th smallest combined score, where images that another rule rejects count
        as lost already: a new inlier of the same distribution then passes both rules with at least that probability
        (split conformal prediction, Vovk et al. 2005, section 4.1). At least half of ``1 − keep`` is left to this
        detector, however many the other rule takes; if fewer than ``keep`` pass both for that reason, a warning is
        logged. So it is if n is below ``keep / (1 - keep)``: the threshold then is the largest score there is, which
        new inliers exceed more often than was asked for.

        Args:
            features: of the n validation images, by name.
            keep: share of inliers that pass both rules, in (0, 1). What is fitted to few donors loses some more on
                new ones, so choose it above the share that is needed.
            also_kept: whether the other rule, the minimum confidence, keeps the image ``(n,)``; ``None`` if all.
            tail_share: see :meth:`Tail.fit <shared.calibration.outliers.tail.Tail.fit>`.

        Raises:
            ValueError: if ``keep`` or ``tail_share`` is outside its range, ``also_kept`` does not fit, or there are too
                few images.
        """
        if not 0 < keep < 1:
            raise ValueError(f"keep must lie between 0 and 1, found {keep}")
        values = self.member_scores(features, self.members)
        n = len(values[self.members[0]])
        others = np.ones(n, dtype=bool) if also_kept is None else np.asarray(also_kept, dtype=bool)
        if others.shape != (n,) or not others.any():
            raise ValueError(
                f"also_kept must have shape ({n},) and keep some image, found {others.shape}, {others.sum()}"
            )
        calibrated = replace(self, tails={name: Tail.fit(value, tail_share) for name, value in values.items()})
        combined = calibrated.combine(values)
        candidates = np.sort(combined[others])
        wanted = math.ceil(keep * (n + 1))
        at_most = math.ceil((1 - (1 - keep) / 2) * (len(candidates) + 1))
        threshold = float(candidates[min(wanted, at_most, len(candidates)) - 1])
        if wanted > n:
            logger.warning(
                f"{n} validation images are too few to keep {keep:.1%} of new ones: the outlier threshold is the "
                f"largest score among them, which one in {n + 1} inliers may exceed"
            )
        kept = ((combined <= threshold) & others).mean()
        if kept < keep:
            logger.warning(
                f"{kept:.1%} of the validation images are kept instead of {keep:.1%}: "
                f"the other rule alone rejects {1 - others.mean():.1%}"
            )
        return replace(calibrated, threshold=threshold)

    def member_scores(self, features: Features, names: Iterable[str] | None = None) -> dict[str, NDArray[np.float64]]:
        """Return scores ``(N,)`` by name; larger is more outlying.

        Args:
            features: of the N images, by name.
            names: the scores that are computed; ``None`` for every one, members or not.

        Raises:
            KeyError: if features that a score needs are missing.
            ValueError: if they do not fit.
        """
        return {name: self.scores[name].score(features) for name in (self.scores if names is None else names)}

    def combine(self, scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Join the members' scores: ``(N,)`` in nats, larger is more outlying.

        Args:
            scores: from :meth:`member_scores`.

        Raises:
            RuntimeError: if the detector is not calibrated.
        """
        if not self.tails:
            raise RuntimeError("the outlier detector is not calibrated: use what calibrated() returns")
        return np.max([self.tails[name].surprise(scores[name]) for name in self.members], axis=0)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write everything fitted to an ``.npz`` file of plain arrays, atomically.

        Returns:
            The file's SHA-256, for :meth:`load`.

        Raises:
            RuntimeError: if the detector is not calibrated.
        """
        if not self.tails:
            raise RuntimeError("the outlier detector is not calibrated: use what calibrated() returns")
        arrays = {
            "format": np.array(FORMAT),
            "scores": np.array(list(self.scores)),
            "types": np.array([type(score).__name__ for score in self.scores.values()]),
            "members": np.array(self.members),
            "threshold": np.array(self.threshold),
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
            raise DataError(
                f"{file}: its SHA-256 is {found}, expected {sha256}; it was changed or belongs to another "
                "calibration: run calibrating anew"
            )
        try:
            with np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            return cls._from_arrays(arrays)
        # numpy returns a plain array, which is no context manager, for a file that is no archive
        except (KeyError, ValueError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{file}: not a whole file of outlier statistics ({error}); run calibrating anew"
            ) from error

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
        members = tuple(str(name) for name in arrays["members"])
        tails = {name: Tail.from_state(below(f"tail/{name}/")) for name in members}
        return cls(scores, members, tails, float(arrays["threshold"]))
