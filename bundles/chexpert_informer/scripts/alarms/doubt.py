"""How doubtful each prediction is: entropy, spread of repeated draws, INFORMER's distinctiveness, chance.

A source of doubt turns a table of :class:`~scripts.alarms.doubt_table.Doubts` into numbers ``(N, K)``, larger where the
prediction is more doubtful, NaN where nothing can be said. Sources hold plain numbers and names only, so that an alarm
can be written as JSON.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from scripts.alarms.distinctiveness import distinctiveness
from scripts.alarms.doubt_table import Doubts
from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError

__all__ = [
    "DoubtSource",
    "Entropy",
    "ErrorProbability",
    "Informer",
    "MaximumProbability",
    "NoDoubt",
    "RandomDoubt",
    "Spread",
    "binary_entropy",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DoubtSource(ABC):
    """Where an alarm's doubts come from.

    Attributes:
        kind: what the source is called in files.
        ranks: whether the doubts put predictions in an order, or only tell flagged from not flagged.
    """

    kind: ClassVar[str]
    ranks: ClassVar[bool] = True

    @abstractmethod
    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return the doubts ``(N, K)``.

        Raises:
            DataError: if the table does not hold what is needed.
        """

    def to_json(self) -> dict[str, Any]:
        """Return kind and fields as JSON types."""
        return {"kind": self.kind} | asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> DoubtSource:
        """Read what :meth:`to_json` wrote, without its kind."""
        return cls(**content)


@dataclass(frozen=True)
class NoDoubt(DoubtSource):
    """The control that never flags."""

    kind = "none"
    ranks = False

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:  # noqa: ARG002
        """Return zeros."""
        return np.zeros_like(table.logits)


@dataclass(frozen=True)
class RandomDoubt(DoubtSource):
    """The control that draws doubts: what the search for a threshold finds in noise.

    The numbers are uniform in [0, 1) and depend on seed and id alone, not on the order of the table.

    Attributes:
        seed: any integer.
    """

    kind = "random"
    seed: int = 0

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:  # noqa: ARG002
        """Return uniform numbers."""
        size = len(table.classes)
        words = [hashlib.shake_128(f"{self.seed}/{name}".encode()).digest(8 * size) for name in table.id.tolist()]
        drawn = np.frombuffer(b"".join(words), dtype="<u8").reshape(len(table), size)
        return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True)
class Entropy(DoubtSource):
    """Predictive entropy of each finding (INFORMER, equation 2), in bits.

    It depends on the probability alone, is largest at ½, and knows nothing of the decision threshold.

    Attributes:
        calibrated: whether p is the calibrated probability; the paper's is the sigmoid of the logit.
    """

    kind = "entropy"
    calibrated: bool = False

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return the entropies."""
        return binary_entropy(_probability(table, calibration, self.calibrated))


@dataclass(frozen=True)
class MaximumProbability(DoubtSource):
    """One minus the larger of p and 1 − p. It orders predictions as entropy does, and so makes the same alarm.

    Attributes:
        calibrated: as of :class:`Entropy`.
    """

    kind = "maximum_probability"
    calibrated: bool = False

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return min(p, 1 − p)."""
        probability = _probability(table, calibration, self.calibrated)
        return np.minimum(probability, 1 - probability)


@dataclass(frozen=True)
class ErrorProbability(DoubtSource):
    """How probable it is that the prediction is wrong, if the calibrated probabilities are right.

    It is 1 − p where the finding is called present and p where it is not. Below a decision threshold other than ½ this
    is not the same as entropy: of the predictions that a low threshold calls positive, the least probable are the most
    doubtful ones.
    """

    kind = "error_probability"

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return |ŷ − p|."""
        return np.abs(calibration.predictions(table.logits) - calibration.probabilities(table.logits))


@dataclass(frozen=True)
class Spread(DoubtSource):
    """Standard deviation of the logit over repeated draws, in units of the logit.

    Attributes:
        draws: ``tta`` for test-time augmentation, ``mc`` for Monte Carlo dropout.
    """

    kind = "spread"
    draws: Literal["tta", "mc"] = "tta"

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:  # noqa: ARG002
        """Return the standard deviations."""
        values = {"tta": table.tta_std, "mc": table.mc_std}[self.draws]
        if values is None:
            raise DataError(f"doubts: {self.draws}_std was not collected; switch the draws on, or leave this alarm out")
        return values


@dataclass(frozen=True)
class Informer(DoubtSource):
    """Minus the distinctiveness d_i of the finding's saliency map: similar maps mean doubt (INFORMER, section 2).

    Attributes:
        method: saliency method whose maps are compared.
    """

    kind = "informer"
    method: str = "lrp"

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:  # noqa: ARG002
        """Return −d_i, so that ``d_i < τ_i`` is ``doubt > −τ_i``; NaN where a map is 0 everywhere."""
        return -distinctiveness(table.method_distances(self.method))


def binary_entropy(probability: ArrayLike) -> Floats:
    """Return −p log₂ p − (1 − p) log₂(1 − p) in bits, any shape; 0 at 0 and 1.

    Example:
        >>> binary_entropy([0.0, 0.5, 0.75]).round(3).tolist()
        [0.0, 1.0, 0.811]
    """
    p = np.asarray(probability, dtype=np.float64)
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError("probabilities must be in [0, 1]; pass probabilities, not logits")
    # the smaller of the two first: log1p keeps p and 1 − p exactly symmetric
    small = np.minimum(p, 1 - p)
    first = np.where(small > 0, small * np.log2(np.where(small > 0, small, 1.0)), 0.0)
    return -(first + (1 - small) * np.log1p(-small) / np.log(2)) + 0.0


def _probability(table: Doubts, calibration: LabelCalibration, calibrated: bool) -> Floats:
    return calibration.probabilities(table.logits) if calibrated else np.asarray(expit(table.logits))
