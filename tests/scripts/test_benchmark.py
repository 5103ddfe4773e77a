"""``python scripts/benchmark.py``: lists what there is, refuses what there is not, measures and writes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest


@pytest.fixture
def command(repository):
    return [sys.executable, str(repository / "scripts" / "benchmark.py")]


def test_help_lists_the_benchmarks_and_a_mistyped_name_is_refused(command):
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "monte_carlo_dropout" in done.stdout
    assert "against 100 passes" in done.stdout
    done = subprocess.run([*command, "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown benchmark 'nonsense'" in done.stderr


@pytest.fixture
def benchmark(repository, bundle_scripts, monkeypatch):
    bundle_scripts("leukocyte_qpi")
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    spec = importlib.util.spec_from_file_location("benchmark", repository / "scripts" / "benchmark.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


def test_every_way_computes_the_same_kind_of_samples(benchmark):
    import torch

    from shared.calibration.sample_summary import summarise

    importlib_module = __import__("benchmarks.monte_carlo_dropout", fromlist=["comparisons"])
    comparison = next(importlib_module.comparisons(torch.device("cpu"), 0))
    assert comparison.name == "LeNet5, batch 64"
    expected = summarise(comparison.subject()).mean
    for rival in comparison.rivals.values():
        samples = rival()
        assert samples.shape == (64, 100, 4)
        assert samples.std(dim=1).min() > 0
        # two means of 100 samples each
        assert abs(summarise(samples).mean - expected).max() < 0.05


def test_writes_times_ratios_and_versions(benchmark, tmp_path, monkeypatch):
    module = __import__("benchmarks.monte_carlo_dropout", fromlist=["comparisons"])
    original = module.comparisons
    monkeypatch.setattr(module, "comparisons", lambda device, seed: [next(original(device, seed))])
    file = tmp_path / "benchmark.json"
    code = benchmark.main(["monte_carlo_dropout", "--rounds", "1", "--warm-up", "0", "--output", str(file)])
    content = json.loads(file.read_text())
    (entry,) = content["benchmarks"]["monte_carlo_dropout"]
    rival = entry["rivals"]["100 passes"]
    assert rival["ratio"] == pytest.approx(entry["seconds"]["100 passes"][0] / entry["seconds"]["subject"][0])
    assert code == (0 if rival["reached"] else 1)
    assert content["setting"]["threads"] >= 1
    assert content["provenance"]["packages"]["torch"]
