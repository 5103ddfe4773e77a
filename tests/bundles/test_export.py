"""Every bundle's network as ONNX: ONNX Runtime's logits are the network's, for any number of bags and instances."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser

from shared.export.onnx_file import compare_onnx, write_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
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


@pytest.mark.parametrize("bundle", SMALL)
def test_onnx_runtime_gives_the_same_logits(bundle, bundle_scripts, repository, tmp_path):
    bundle_scripts(bundle)
    settings, shapes = SMALL[bundle]
    parser = ConfigParser()
    configs = repository / "bundles" / bundle / "configs"
    parser.read_config([str(configs / "inference.json"), str(configs / "export.json")])
    parser.update(settings)
    torch.manual_seed(0)
    network, form = parser.get_parsed_content("network_def"), parser.get_parsed_content("export#form")
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.eval()
    path = tmp_path / "model.onnx"
    assert write_onnx(form, {}, path, parser["export_opset"], tolerance=1e-4) <= 1e-4
    assert compare_onnx(form, path, SIZES) <= 1e-4

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    values = form.draw({"batch": 5, "instances": 3}, seed=1)
    given = {place.name: value.numpy() for place, value in zip(form.inputs, values, strict=True)}
    found = dict(zip(form.outputs, session.run(None, given), strict=True))
    assert {name: list(output.shape) for name, output in found.items()} == shapes
    assert found["pred"].std(axis=0).min() > 1e-4, "the logits depend on the input"
