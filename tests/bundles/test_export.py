"""Every bundle's network as ONNX and TorchScript: logits are the network's, for any number of bags and instances."""

from __future__ import annotations

import json

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data.torchscript_utils import load_net_with_metadata

from shared.export.onnx_file import compare_onnx, write_onnx
from shared.export.torchscript_file import write_torchscript

pytestmark = pytest.mark.slow

#: settings that make each bundle's own kind of network small, and the outputs that its file has
SMALL = {
    "leukocyte_qpi": ({}, {"pred": [5, 4], "pred_samples": [5, 100, 4]}),
    "lymphocytosis_moe": ({"width": 4, "image_size": 32}, {"pred": [5, 1]}),
    "chexpert_informer": (
        {"image_size": 32, "init_features": 8, "growth_rate": 4, "block_config": [2, 2]},
        {"pred": [5, 5]},
    ),
    "camelyon_attmil": ({"in_features": 16, "embedding": 8, "attention_dimension": 4}, {"pred": [5, 1]}),
}
SIZES = [{"batch": batch, "instances": instances} for batch, instances in ((1, 1), (1, 40), (5, 1), (4, 13))]


@pytest.fixture(params=SMALL)
def exported(request, bundle_scripts, repository):
    """A bundle's config, the form in which its network is exported, and the shapes of the outputs."""
    bundle_scripts(request.param)
    settings, shapes = SMALL[request.param]
    parser = ConfigParser()
    configs = repository / "bundles" / request.param / "configs"
    parser.read_config([str(configs / "inference.json"), str(configs / "export.json")])
    parser.update(settings)
    torch.manual_seed(0)
    network, form = parser.get_parsed_content("network_def"), parser.get_parsed_content("export#form")
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.eval()
    return parser, form, shapes


def test_onnx_runtime_gives_the_same_logits(exported, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    parser, form, shapes = exported
    path = tmp_path / "model.onnx"
    assert write_onnx(form, {}, path, parser["export_opset"], tolerance=1e-4) <= 1e-4
    assert compare_onnx(form, path, SIZES) <= 1e-4

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    values = form.draw({"batch": 5, "instances": 3}, seed=1)
    given = {place.name: value.numpy() for place, value in zip(form.inputs, values, strict=True)}
    found = dict(zip(form.outputs, session.run(None, given), strict=True))
    assert {name: list(output.shape) for name, output in found.items()} == shapes
    assert found["pred"].std(axis=0).min() > 1e-4, "the logits depend on the input"


def test_torchscript_gives_the_same_logits(exported, tmp_path):
    parser, form, _ = exported
    path = tmp_path / "model.ts"
    documents = {"metadata.json": '{"version": "1"}', "calibration.json": '{"temperature": {"value": 2}}'}
    assert write_torchscript(form, documents, path, tolerance=1e-4) <= 1e-4
    network, metadata, further = load_net_with_metadata(str(path), more_extra_files=("calibration.json",))
    assert metadata["version"] == "1"
    assert json.loads(further["calibration.json"]) == {"temperature": {"value": 2}}, "calibration travels along"
    for seed, sizes in enumerate(SIZES):
        image = form.draw(sizes, seed)[0]
        with torch.no_grad():
            expected = parser.get_parsed_content("network_def")(image)
            torch.testing.assert_close(network(image), expected)
