"""``scripts/benchmarks/bag_explanations.py``: subject and rivals compute the same, and it runs through."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.smooth_grad import SmoothGradXInput


@pytest.fixture
def module(repository, monkeypatch):
    file = repository / "scripts" / "benchmarks" / "bag_explanations.py"
    spec = importlib.util.spec_from_file_location("bag_explanations_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in {"INSTANCES": 200, "FEATURES": 16, "HIDDEN": 4}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_subject_and_rivals_compute_the_same(module, monkeypatch):
    monkeypatch.setattr(module, "DRAWS", 2000)
    monkeypatch.setattr(module, "SPREAD", 4.0)  # sharper attention would take many more draws to average
    model, bag = module.model_and_bag(20, torch.device("cpu"), 0)
    expected = GradientXInput(model).attribute(bag)
    torch.testing.assert_close(module.captum_gradient(module.double(model), bag.double()), expected)
    smooth = SmoothGradXInput(model, samples=2000, noise_level=module.NOISE).attribute(bag)
    spread = float(smooth.std())
    for rival in (module.plain_passes, module.captum_smooth_gradient):
        assert (rival(model, bag) - smooth).abs().max() < 0.1 * spread
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_every_comparison_runs(module):
    names = []
    for comparison in module.comparisons(torch.device("cpu"), 0):
        names.append(comparison.name)
        for function in (comparison.subject, *comparison.rivals.values()):
            result = function()
            assert comparison.unit == "s" or result > 0
    assert len(names) == 9
