"""Calibrated predictions from an exported network with ONNX Runtime and NumPy alone.

This file needs nothing else of the project: copy it to where the model is deployed.

Example:
    ::

        from reader import CalibratedModel

        model = CalibratedModel("model.onnx")
        said = model(image=images)              # a bundle of bags: mask=..., attributes=...
        said.probabilities, said.prediction, said.confidence, said.decision

The numbers are those of the bundle's ``predictions.csv``. What the bundle decides by more than the logits does not
travel: an input that is nothing like the training data is not rejected as an outlier here, and there is no alarm on
saliency maps. ``decision`` is by confidence alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CalibratedModel", "Predictions", "calibrated_predictions"]

Floats = NDArray[np.float64]


class Predictions(NamedTuple):
    """What is said of N inputs and K classes or labels.

    Attributes:
        logits: of the network, ``(N, K)``; ``(N, 1)`` where it has one.
        probabilities: calibrated, ``(N, K)``; of labels they need not sum to 1.
        prediction: index of the class ``(N,)``; of labels 0 or 1 ``(N, K)``.
        confidence: above chance, in [0, 1], ``(N,)``; of labels ``(N, K)``.
        decision: ``accept``, ``defer`` (to a person) or ``reject``, by confidence alone, ``(N,)``; ``None`` for labels,
            on which only alarms decide.
    """

    logits: Floats
    probabilities: Floats
    prediction: NDArray[np.int64]
    confidence: Floats
    decision: NDArray[np.str_] | None


class CalibratedModel:
    """An exported network with the calibration that came with it.

    Args:
        path: ONNX file that ``scripts/export.py`` wrote.
        providers: of ONNX Runtime, in the order of preference.

    Attributes:
        export: what was exported: bundle, version, hash of the weights, classes, inputs, outputs.
        calibration: the bundle's calibration.
        metadata: the bundle's metadata: preprocessing, intended use, limits.
        session: ONNX Runtime's.

    Raises:
        ValueError: if the file is no export with a calibration, or its calibration belongs to other weights.
    """

    def __init__(self, path: str | os.PathLike[str], providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> None:
        import onnxruntime

        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file; scripts/export.py writes it")
        self.session = onnxruntime.InferenceSession(str(path), providers=list(providers))
        documents = self.session.get_modelmeta().custom_metadata_map
        if missing := [name for name in ("export.json", "calibration.json", "metadata.json") if name not in documents]:
            raise ValueError(
                f"{path}: holds no {', '.join(missing)}; export the network anew with scripts/export.py, and with its "
                "calibration"
            )
        self.export, self.calibration, self.metadata = (
            json.loads(documents[name]) for name in ("export.json", "calibration.json", "metadata.json")
        )
        for key in ("weights_sha256", "classes"):
            if self.export[key] != self.calibration.get(key):
                raise ValueError(
                    f"{path}: {key} is {self.export[key]} in the export and {self.calibration.get(key)} in its "
                    "calibration; export the network anew"
                )

    @property
    def classes(self) -> list[str]:
        """Names of the classes or labels."""
        return list(self.export["classes"])

    def __call__(self, **inputs: ArrayLike) -> Predictions:
        """Predict.

        Args:
            inputs: arrays by the names in ``export["inputs"]``. Of bags, a ``mask`` that is not given says that all
                instances are there, and ``attributes`` that are not given are unknown.

        Raises:
            ValueError: if an input is missing, unknown or of another shape, or a logit is not finite.
        """
        return calibrated_predictions(self.export, self.calibration, self.outputs(**inputs))

    def outputs(self, **inputs: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """Return the network's outputs by name; arguments and errors are those of a call."""
        expected: dict[str, list[int | str]] = self.export["inputs"]
        if unknown := sorted(inputs.keys() - expected.keys()):
            raise ValueError(f"unknown input {', '.join(unknown)}; expected {', '.join(expected)}")
        if "image" not in inputs:
            raise ValueError(f"the input 'image' is missing; expected {', '.join(expected)}")
        given = {name: np.asarray(value, bool if name == "mask" else np.float32) for name, value in inputs.items()}
        batch = given["image"].shape
        for name, axes in expected.items():
            if name == "mask" and name not in given:
                given[name] = np.ones(batch[:2], dtype=bool)
            elif name == "attributes" and name not in given:
                given[name] = np.full((batch[0], int(axes[1])), np.nan, dtype=np.float32)
            shape = given[name].shape
            if len(shape) != len(axes) or any(
                isinstance(axis, int) and axis != size for axis, size in zip(axes, shape, strict=True)
            ):
                raise ValueError(f"the input {name!r} has the shape {list(shape)}, expected {axes}")
        if "mask" in given and not given["mask"].any(axis=1).all():
            raise ValueError("a bag is empty: every row of 'mask' needs at least one instance")
        names = list(self.export["outputs"])
        return dict(zip(names, self.session.run(names, given), strict=True))


def calibrated_predictions(
    export: Mapping[str, Any], calibration: Mapping[str, Any], outputs: Mapping[str, ArrayLike]
) -> Predictions:
    """Turn a network's outputs into calibrated predictions.

    - classes: ``p = mean_s softmax(z_s / T)`` over the Monte Carlo samples s, or of the logits where there are none;
      one logit z stands for the classes' logits ``(0, z)``. The confidence is ``(K max_k p_k − 1) / (K − 1)``.
    - labels: ``p_k = σ(a_k z_k + b_k)``, present if above the label's threshold. The confidence is
      ``max(0, 2 q − 1)`` for the probability q of what is said.

    Args:
        export: the document ``export.json``.
        calibration: the document ``calibration.json``.
        outputs: ``pred`` ``(N, K)`` or ``(N, 1)``, and where there are samples ``pred_samples`` ``(N, S, K)``.

    Raises:
        ValueError: if a logit is not finite.
    """
    logits = np.asarray(outputs["pred"], dtype=np.float64)
    samples = np.asarray(outputs.get("pred_samples", logits[:, np.newaxis]), dtype=np.float64)  # (N, S, K)
    if wrong := np.flatnonzero(~(np.isfinite(samples).all(axis=(1, 2)) & np.isfinite(logits).all(axis=1))).tolist():
        raise ValueError(f"the logits of input {wrong[0]} are not finite: is there NaN in it?")
    if export["output_kind"] == "labels":
        return _labels(calibration["label_calibration"]["labels"], export["classes"], logits)
    if export["output_kind"] == "one_logit":
        samples = np.concatenate([np.zeros_like(samples), samples], axis=2)
    return _classes(calibration, logits, samples)


def _classes(calibration: Mapping[str, Any], logits: Floats, samples: Floats) -> Predictions:
    scaled = samples / calibration["temperature"]["value"]
    weights = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    probabilities = (weights / weights.sum(axis=2, keepdims=True)).mean(axis=1)  # (N, K)
    number = probabilities.shape[1]
    confidence = np.clip((number * probabilities.max(axis=1) - 1) / (number - 1), 0, 1)
    prediction = probabilities.argmax(axis=1)
    limits = calibration["confidence"]
    # null: calibrating found no confidence that reaches the target, so nothing is accepted
    accept = np.inf if limits["accept"] is None else limits["accept"]
    decision = np.where(confidence < limits["minimum"], "reject", np.where(confidence < accept, "defer", "accept"))
    if (sensitivity := calibration.get("sensitivity")) is not None:
        threshold = -np.inf if sensitivity["threshold"] is None else sensitivity["threshold"]
        possible_miss = (prediction == 0) & (probabilities[:, 1] >= threshold) & (decision == "accept")
        decision = np.where(possible_miss, "defer", decision)
    return Predictions(logits, probabilities, prediction, confidence, decision)


def _labels(labels: Mapping[str, Any], classes: list[str], logits: Floats) -> Predictions:
    slope, intercept, threshold = (
        np.array([labels[name][key] for name in classes]) for key in ("slope", "intercept", "threshold")
    )
    probabilities = _sigmoid(slope * logits + intercept)
    prediction = (probabilities > threshold).astype(np.int64)
    said = np.where(prediction == 1, probabilities, 1 - probabilities)
    return Predictions(logits, probabilities, prediction, np.clip(2 * said - 1, 0, 1), None)


def _sigmoid(values: Floats) -> Floats:
    # no exponential of a positive number: it could overflow
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))
