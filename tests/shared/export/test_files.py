"""Exported files: what travels in them, that they compute the same, and that nothing wrong is written."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from monai.data.torchscript_utils import load_net_with_metadata
from torch import nn

from shared.calibration.calibration_file import write_calibration
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.export import onnx_file
from shared.export.documents import export_documents
from shared.export.exporter import Exporter
from shared.export.form import TensorInput, image_form
from shared.export.reader import CalibratedModel, calibrated_predictions
from shared.training.weights import save_weights

CLASSES = ["a", "b", "c"]
SETTINGS = {"monte_carlo": {"samples": 6, "seed": 2}}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(18, 7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 3))

    def forward(self, image):
        return self.head(self.features(image).flatten(1))


@pytest.fixture
def arguments(tmp_path):
    """What an exporter of a network with Monte Carlo dropout is made with."""
    torch.manual_seed(0)
    network = Network()
    save_weights(network.state_dict(), tmp_path / "model.pt")
    content = {
        "weights_sha256": sha256_file(tmp_path / "model.pt"),
        "classes": CLASSES,
        "temperature": {"value": 0.7},
        "confidence": {"minimum": 0.1, "accept": 0.3},
        "sensitivity": None,
        **SETTINGS,
    }
    write_calibration(tmp_path / "calibration.json", content)
    fresh = Network()  # its weights come from the file
    return {
        "network": fresh,
        "form": image_form(fresh, channels=1, size=5, samples=6, seed=2, values="normal"),
        "bundle": "small",
        "classes": CLASSES,
        "kind": "classes",
        "metadata": {"version": "1.2.3", "intended_use": "Größe"},
        "model_file": tmp_path / "model.pt",
        "calibration_file": tmp_path / "calibration.json",
        "file": tmp_path / "out" / "model.onnx",
        "settings": SETTINGS,
    }


def test_onnx(arguments, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    # tracing takes most of the time
    monkeypatch.setattr(onnx_file, "_traced", cache(lambda form, opset, traced=onnx_file._traced: traced(form, opset)))
    path = Exporter(**arguments).run()
    model = CalibratedModel(path)
    assert model.classes == CLASSES
    assert model.export["weights_sha256"] == sha256_file(tmp_path / "model.pt")
    assert model.calibration == json.loads((tmp_path / "calibration.json").read_text())
    assert model.metadata == arguments["metadata"]
    for number in (1, 4):
        images = torch.randn(number, 1, 5, 5)
        with torch.no_grad():
            logits, samples = arguments["form"].onnx.eval()(images)
        found = model(image=images.numpy())
        outputs = {"pred": logits, "pred_samples": samples}
        expected = calibrated_predictions(model.export, model.calibration, outputs)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
        wrong = torch.softmax(logits.double() / 0.7, dim=1)
        assert np.abs(found.probabilities - wrong.numpy()).max() > 1e-3, "the samples are used, not the plain logits"
    with pytest.raises(ValueError, match=r"the input 'image' has the shape \[1, 5, 5\], expected \['batch', 1, 5, 5\]"):
        model(image=np.zeros((1, 5, 5)))
    with pytest.raises(ValueError, match="unknown input mask; expected image"):
        model(image=np.zeros((1, 1, 5, 5)), mask=np.ones((1, 1)))
    with pytest.raises(ValueError, match="'image' is missing"):
        model()

    # a network whose exported form computes something else is not published
    before = path.read_bytes()
    object.__setattr__(arguments["form"], "reference", lambda image: arguments["network"](image) + 1e-3)
    with pytest.raises(DataError, match=r"not written, ONNX Runtime's logits differ from the bundle's by 0\.001"):
        Exporter(**arguments).run()
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1

    stripped = onnx.load(path)
    del stripped.metadata_props[:]
    onnx.save(stripped, path)
    with pytest.raises(ValueError, match=r"holds no export\.json, calibration\.json, metadata\.json; export the netw"):
        CalibratedModel(path)


def test_torchscript(arguments, tmp_path):
    path = Exporter(**arguments | {"file": tmp_path / "model.ts", "format": "torchscript"}).run()
    network, metadata, extra = load_net_with_metadata(str(path), more_extra_files=("calibration.json", "export.json"))
    assert metadata["intended_use"] == "Größe"
    assert json.loads(extra["calibration.json"]) == json.loads((tmp_path / "calibration.json").read_text())
    assert json.loads(extra["export.json"])["bundle"] == "small"
    images = torch.randn(3, 1, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(network(images), arguments["network"](images))
        expected = arguments["form"].onnx.eval()(images)[1]
        torch.testing.assert_close(network.logit_samples(images), expected)


def test_without_calibration(arguments, tmp_path):
    arguments |= {"file": tmp_path / "model.ts", "format": "torchscript", "with_calibration": False}
    (tmp_path / "calibration.json").unlink()
    _, _, extra = load_net_with_metadata(str(Exporter(**arguments).run()), more_extra_files=("calibration.json",))
    assert not extra["calibration.json"]


def test_calibration_of_other_weights_or_settings_does_not_travel(arguments, tmp_path):
    with pytest.raises(DataError, match="fitted for monte_carlo"):
        Exporter(**arguments | {"settings": {"monte_carlo": {"samples": 7, "seed": 2}}}).run()
    with pytest.raises(DataError, match="fitted for classes"):
        Exporter(**arguments | {"classes": ["a", "b", "d"]}).run()
    save_weights(Network().state_dict(), tmp_path / "model.pt")
    with pytest.raises(DataError, match="calibrated for weights with SHA-256"):
        Exporter(**arguments).run()
    (tmp_path / "calibration.json").unlink()
    with pytest.raises(DataError, match="no such file; run calibrating"):
        Exporter(**arguments).run()
    (tmp_path / "model.pt").unlink()
    with pytest.raises(DataError, match="no such weights"):
        Exporter(**arguments).run()


def test_unknown_format_and_kind(arguments):
    with pytest.raises(DataError, match="export_format is 'tflite', expected one of onnx, torchscript"):
        Exporter(**arguments | {"format": "tflite"})
    document = {key: arguments[key] for key in ("bundle", "classes", "metadata", "model_file", "calibration_file")}
    with pytest.raises(DataError, match="output_kind is 'boxes', expected one of classes, one_logit, labels"):
        export_documents(arguments["form"], kind="boxes", **document)
    with pytest.raises(DataError, match="one logit is that of the second of two classes, found 3"):
        export_documents(arguments["form"], kind="one_logit", **document)


def test_masks_have_an_instance_in_every_bag():
    given = TensorInput("mask", ("batch", "instances"), "mask")
    masks = given.draw({"batch": 500, "instances": 3}, torch.Generator().manual_seed(0))
    assert masks.any(dim=1).all()
    assert set(masks.sum(dim=1).tolist()) == {1, 2, 3}
    assert not masks[:, 0].all()
