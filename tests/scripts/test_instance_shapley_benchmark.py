"""``scripts/benchmarks/instance_shapley.py``: its ways estimate the same values, and the extrapolation is the law's."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from shared.mil.shapley.attention import attention_shapley


@pytest.fixture
def module(repository):
    file = repository / "scripts" / "benchmarks" / "instance_shapley.py"
    spec = importlib.util.spec_from_file_location("instance_shapley_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_ways_of_sampling_estimate_the_exact_values(module, monkeypatch):
    monkeypatch.setattr(module, "PERMUTATIONS", 1000)
    scores, logits = module.bag(20, 8.0, torch.device("cpu"), 0)
    exact = attention_shapley(scores, logits).values
    for estimate in (module.captum_values(scores, logits, 0), module.running_sums(scores, logits, 0)):
        assert (estimate - exact).abs().max() < 0.05
        assert torch.corrcoef(torch.stack([estimate, exact]))[0, 1] > 0.99


def test_sixteen_times_the_permutations_are_a_quarter_of_the_error(module):
    exact = torch.zeros(3)
    needed = module.times_more_permutations(torch.full((3,), 4 * module.ERROR), exact)
    assert needed == pytest.approx(16)


def test_comparisons_state_their_limits(module):
    comparisons = list(module.comparisons(torch.device("cpu"), 0))
    assert [comparison.name for comparison in comparisons[2:]] == ["10,000 instances", "1,000,000 instances"]
    assert [comparison.rivals["the time allowed"]() for comparison in comparisons[2:]] == [200, 10_000]
    assert comparisons[2].subject() > 0
