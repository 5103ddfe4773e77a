"""Calibrated probabilities and decisions of labels that do not exclude one another, each with a threshold of its own.

What is fitted on the validation split and used from then on: one slope and intercept per label (a temperature T is the
slope 1 / T without intercept), and the probability above which the label is called present.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from shared.calibration.multi_label import fit_label_temperatures, fit_platt
from shared.calibration.youden import fit_youden
from shared.data.errors import DataError

__all__ = ["LabelCalibration", "Method", "fit_label_calibration"]

Floats = NDArray[np.float64]
Method = Literal["temperature", "platt", "none"]

UNFITTED_THRESHOLD = 0.5


@dataclass(frozen=True)
class LabelCalibration:
    """Slope, intercept and threshold of each of L labels.

    Attributes:
        classes: names of the labels.
        method: how slope and intercept were fitted.
        slope: factor of the logits ``(L,)``.
        intercept: added to the scaled logits ``(L,)``.
        thresholds: a label is called present if its calibrated probability is above this, ``(L,)``.
        fits: by label, the numbers of its fits, ready for JSON.
        undetermined: by label, why nothing was fitted; such a label keeps its logits and the threshold 0.5.
    """

    classes: tuple[str, ...]
    method: Method
    slope: Floats
    intercept: Floats
    thresholds: Floats
    fits: Mapping[str, Any] = field(default_factory=dict)
    undetermined: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.classes),)
        for name in ("slope", "intercept", "thresholds"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(f"{name} must be {shape[0]} finite numbers, one per label, found {values}")
            object.__setattr__(self, name, values)
        if self.method not in get_args(Method):
            raise ValueError(f"method must be one of {get_args(Method)}, found {self.method!r}")

    def logits(self, logits: ArrayLike) -> Floats:
        """Return the calibrated logits ``slope · z + intercept`` ``(…, L)`` in float64."""
        values = np.asarray(logits, dtype=np.float64)
        if values.ndim == 0 or values.shape[-1] != len(self.classes):
            raise ValueError(f"expected logits (…, {len(self.classes)}), one column per label, found {values.shape}")
        return self.slope * values + self.intercept

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Return the calibrated probabilities ``(…, L)``."""
        return np.asarray(expit(self.logits(logits)))

    def predictions(self, logits: ArrayLike) -> NDArray[np.int64]:
        """Return whether each label is called present, 0 or 1, ``(…, L)``."""
        return (self.probabilities(logits) > self.thresholds).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return JSON types, numbers by label."""
        labels = {
            name: {"slope": slope, "intercept": intercept, "threshold": threshold, **self.fits.get(name, {})}
            for name, slope, intercept, threshold in zip(
                self.classes, self.slope.tolist(), self.intercept.tolist(), self.thresholds.tolist(), strict=True
            )
        }
        return {"method": self.method, "labels": labels, "undetermined": dict(self.undetermined)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LabelCalibration:
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: if a key is missing or a value is of another kind.
        """
        try:
            labels = content["labels"]
            numbers = {key: [entry[key] for entry in labels.values()] for key in ("slope", "intercept", "threshold")}
            rest = {name: {key: entry[key] for key in entry if key not in numbers} for name, entry in labels.items()}
            return cls(
                classes=tuple(labels),
                method=content["method"],
                slope=np.array(numbers["slope"], dtype=np.float64),
                intercept=np.array(numbers["intercept"], dtype=np.float64),
                thresholds=np.array(numbers["threshold"], dtype=np.float64),
                fits=rest,
                undetermined=dict(content.get("undetermined", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"label calibration: expected 'method' and 'labels' with slope, intercept and threshold each, found "
                f"{error!r}; run calibrating again"
            ) from error


def fit_label_calibration(
    logits: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    method: Method = "temperature",
    undetermined: Literal["raise", "record"] = "raise",
) -> LabelCalibration:
    """Fit slope, intercept and Youden threshold of each label on its known samples.

    Args:
        logits: ``(N, L)``.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown.
        classes: names of the L labels.
        method: ``temperature`` (:func:`~shared.calibration.multi_label.fit_label_temperatures`; on separable samples
            not below 1), ``platt`` (:func:`~shared.calibration.multi_label.fit_platt`), or ``none``.
        undetermined: what to do about a label that cannot be fitted, because all its known samples are positive or all
            negative, say: ``raise``, or ``record``: its logits stay as they are, its threshold is 0.5, and the reason
            is kept by its name.

    Raises:
        DataError: if shapes do not fit, or by ``undetermined``; the message names the label.
        ValueError: if ``method`` or ``undetermined`` is none of those.

    Example:
        >>> fitted = fit_label_calibration([[-1.0], [0.5], [0.0], [2.0]], [[0], [0], [1], [1]], ["edema"])
        >>> fitted.predictions([[-3.0], [3.0]]).ravel().tolist()
        [0, 1]
    """
    if method not in get_args(Method) or undetermined not in ("raise", "record"):
        raise ValueError(
            f"expected method {get_args(Method)} and undetermined raise or record, found {method!r}, {undetermined!r}"
        )
    values, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    names = tuple(classes)
    if values.ndim != 2 or values.shape != truth.shape or values.shape[1] != len(names):
        raise DataError(
            f"expected logits and labels of shape (N, {len(names)}), found {values.shape} and {truth.shape}"
        )
    slope, intercept = np.ones(len(names)), np.zeros(len(names))
    thresholds = np.full(len(names), UNFITTED_THRESHOLD)
    fits: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for index, name in enumerate(names):
        column = slice(index, index + 1)
        try:
            a, b, record = _fit_scale(values[:, column], truth[:, column], method)
            youden = fit_youden(expit(a * values[:, index] + b), truth[:, index])
        except DataError as error:
            reason = str(error).removeprefix("label 0: ")
            if undetermined == "raise":
                raise DataError(f"{name}: {reason}") from error
            reasons[name] = reason
            continue
        slope[index], intercept[index], thresholds[index] = a, b, youden.threshold
        caveats = [text for text in (record.pop("caveat", None), youden.caveat) if text]
        fits[name] = {**({method: record} if record else {}), "youden": youden.to_dict()}
        fits[name] |= {"caveats": caveats} if caveats else {}
    return LabelCalibration(names, method, slope, intercept, thresholds, fits, reasons)


def _fit_scale(logits: Floats, labels: Floats, method: Method) -> tuple[float, float, dict[str, Any]]:
    """Return slope and intercept of one label's logits ``(N, 1)``, and the fit's numbers."""
    if method == "temperature":
        (fit,) = fit_label_temperatures(logits, labels, at_bound="conservative")
        return 1 / fit.temperature, 0.0, fit.to_dict() | {"caveat": fit.caveat}
    if method == "platt":
        (platt,) = fit_platt(logits, labels)
        return platt.slope, platt.intercept, platt.to_dict()
    return 1.0, 0.0, {}
