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
    monkeypatch.setattr(module, "DRAWS", 20)
    monkeypatch.setattr(module, "SPREAD", 4.0)  # sharper attention has too heavy tails for standard errors
    model, bag = module.model_and_bag(20, torch.device("cpu"), 0)
    expected = GradientXInput(model).attribute(bag)
    torch.testing.assert_close(module.captum_gradient(module.double(model), bag.double()), expected)
    torch.manual_seed(0)
    settings = {"samples": 20, "noise_level": module.NOISE}
    ours = torch.stack([SmoothGradXInput(model, seed=seed, **settings).attribute(bag) for seed in range(40)])
    for rival in (module.plain_passes, module.captum_smooth_gradient):
        theirs = torch.stack([rival(model, bag).double() for _ in range(40)])
        error = ((ours.var(dim=0) + theirs.var(dim=0)) / 40).sqrt()
        assert ((ours.mean(dim=0) - theirs.mean(dim=0)) / error).abs().max() < 4
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_every_comparison_runs(module):
    names = []
    for comparison in module.comparisons(torch.device("cpu"), 0):
        names.append(comparison.name)
        for function in (comparison.subject, *comparison.rivals.values()):
            result = function()
            assert comparison.unit == "s" or result > 0
    assert len(names) == 9
