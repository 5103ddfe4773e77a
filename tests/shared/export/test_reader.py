"""The reader that is deployed: the numbers of the bundle's own classes, without torch, and errors that say why."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys

import numpy as np
import pytest

from shared.calibration.calibrated_classifier import CalibratedClassifier
from shared.calibration.label_calibration import LabelCalibration
from shared.export import reader
from shared.export.reader import calibrated_predictions


class Detector:
    """Nothing is an outlier."""

    threshold, members = 1.0, ()

    def member_scores(self, arrays, _):
        return {"none": np.zeros(len(arrays["logits"]))}

    def combine(self, scores):
        return scores["none"]


def calibration(temperature, minimum=0.2, accept: float | None = 0.6, sensitivity: float | str | None = "none"):
    content = {"temperature": {"value": temperature}, "confidence": {"minimum": minimum, "accept": accept}}
    content["sensitivity"] = None if sensitivity == "none" else {"threshold": sensitivity}
    return content


def classifier(content, classes):
    accept, sensitivity = content["confidence"]["accept"], content["sensitivity"]
    return CalibratedClassifier(
        classes=classes,
        temperature=content["temperature"]["value"],
        minimum_confidence=content["confidence"]["minimum"],
        accept_confidence=math.inf if accept is None else accept,
        detector=Detector(),
        sensitivity_threshold=None
        if sensitivity is None
        else -math.inf
        if sensitivity["threshold"] is None
        else sensitivity["threshold"],
    )


def assert_equal(found, expected):
    np.testing.assert_array_equal(found.probabilities, expected["probabilities"])
    np.testing.assert_array_equal(found.prediction, expected["prediction"])
    np.testing.assert_array_equal(found.confidence, expected["confidence"])
    assert found.decision.tolist() == expected["decision"].tolist()
    assert len(set(found.decision)) > 1


@pytest.mark.parametrize("accept", [0.6, None])
@pytest.mark.parametrize("samples", [1, 20])
def test_classes(accept, samples):
    draws = np.random.default_rng(0).normal(0, 3, (200, samples, 4)).astype(np.float32)
    content = calibration(1.7, accept=accept)
    outputs = {"pred": draws[:, 0]} | ({"pred_samples": draws} if samples > 1 else {})
    found = calibrated_predictions({"output_kind": "classes"}, content, outputs)
    assert_equal(found, classifier(content, ("a", "b", "c", "d"))({"logits": draws}))


@pytest.mark.parametrize("sensitivity", ["none", None, 0.1])
def test_one_logit(sensitivity):
    logit = np.random.default_rng(1).normal(0, 4, (300, 1)).astype(np.float32)
    content = calibration(0.8, sensitivity=sensitivity)
    found = calibrated_predictions({"output_kind": "one_logit"}, content, {"pred": logit})
    both = np.stack([np.zeros_like(logit), logit], axis=2)
    assert_equal(found, classifier(content, ("normal", "tumour"))({"logits": both}))


def test_labels():
    names = ("edema", "effusion", "atelectasis")
    fitted = LabelCalibration(
        names, "platt", np.array([1.2, 0.4, 3.0]), np.array([-0.3, 0.9, 0.0]), np.array([0.5, 0.1, 0.7])
    )
    logits = np.random.default_rng(2).normal(0, 30, (100, 3)).astype(np.float32)
    export = {"output_kind": "labels", "classes": list(names)}
    found = calibrated_predictions(export, {"label_calibration": fitted.to_json()}, {"pred": logits})
    np.testing.assert_allclose(found.probabilities, fitted.probabilities(logits), rtol=1e-14)
    np.testing.assert_array_equal(found.prediction, fitted.predictions(logits))
    said = np.where(found.prediction == 1, found.probabilities, 1 - found.probabilities)
    np.testing.assert_allclose(found.confidence, np.maximum(0, 2 * said - 1))
    assert found.decision is None


def test_not_finite():
    with pytest.raises(ValueError, match="logits of input 1 are not finite"):
        calibrated_predictions({"output_kind": "one_logit"}, calibration(1.0), {"pred": [[0.0], [np.nan]]})


def test_it_needs_neither_torch_nor_the_project(tmp_path):
    shutil.copy(reader.__file__, tmp_path / "reader.py")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'monai', 'shared', 'onnx', 'scipy', 'pandas']))\n"
        "from reader import calibrated_predictions\n"
        "said = calibrated_predictions({'output_kind': 'classes'}, {'temperature': {'value': 1.0}, 'sensitivity': None,"
        " 'confidence': {'minimum': 0, 'accept': None}}, {'pred': [[0.0, 0.0]]})\n"
        "print(said.probabilities.tolist(), said.decision.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[[0.5, 0.5]] ['defer']", done.stderr


def test_a_missing_file(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match=r"none\.onnx: no such file; scripts/export\.py writes it"):
        reader.CalibratedModel(tmp_path / "none.onnx")
