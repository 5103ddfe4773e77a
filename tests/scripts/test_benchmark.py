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


def test_ragged_and_padded_ways_compute_the_same(benchmark, monkeypatch):
    import torch

    module = __import__("benchmarks.ragged_bags", fromlist=["comparisons"])
    for name, value in {"LARGEST": 25, "WIDTH": 2, "IMAGE_SIZE": 32, "IMAGE_BAGS": 3, "EMBEDDING": 5}.items():
        monkeypatch.setattr(module, name, value)
    encoder, *poolings = module.comparisons(torch.device("cpu"), 0)
    expected = encoder.subject()
    assert expected.std() > 0
    for rival in encoder.rivals.values():
        torch.testing.assert_close(rival(), expected)
    assert len(poolings) == 3
    for comparison in poolings:
        expected, gradient = comparison.subject()
        for rival in comparison.rivals.values():
            pooled, padded_gradient = rival()
            torch.testing.assert_close(pooled, expected)
            torch.testing.assert_close(padded_gradient.sum((0, 1)), gradient.sum(0))


def test_all_ways_to_the_maps_of_all_classes_are_equal(benchmark, monkeypatch):
    import torch

    module = __import__("benchmarks.class_saliency", fromlist=["comparisons"])
    for name, value in {"CLASSES": 3, "IMAGES": 2, "IMAGE_SIZE": 32}.items():
        monkeypatch.setattr(module, name, value)
    gradient, epsilon, gamma, memory = module.comparisons(torch.device("cpu"), 0)
    expected = gradient.subject()
    assert expected.shape == (2, 3, 1, 32, 32)
    for rival in gradient.rivals.values():
        torch.testing.assert_close(rival(), expected)
    (floor,) = epsilon.rivals.values()
    torch.testing.assert_close(floor(), expected)
    for comparison, largest in ((epsilon, 2.0), (gamma, 100.0)):
        # what is timed is no input × gradient in disguise
        assert 0.05 < (comparison.subject() - expected).norm() / expected.norm() < largest
    assert memory.unit == "MiB"


@pytest.fixture
def lymphocytosis_benchmark(benchmark, bundle_scripts):
    """The benchmarks that use the other bundle's networks."""
    bundle_scripts("lymphocytosis_moe")
    return benchmark


def test_chunked_and_whole_bags_compute_the_same(lymphocytosis_benchmark, monkeypatch):
    import torch

    module = __import__("benchmarks.encoder_chunks", fromlist=["comparisons"])
    for name, value in {"WIDTH": 4, "IMAGE_SIZE": 64, "TIMED_BAG": 7, "TIMED_CHUNK": 3}.items():
        monkeypatch.setattr(module, name, value)
    memory, time = module.comparisons(torch.device("cpu"), 0)
    assert memory.unit == "MiB"
    (rival,) = time.rivals.values()
    torch.testing.assert_close(time.subject(), rival())


def test_a_pass_for_each_image_gives_the_same_diagnosis(lymphocytosis_benchmark, monkeypatch):
    import numpy as np
    import torch

    module = __import__("benchmarks.patient_inference", fromlist=["comparisons"])
    for name, value in {"WIDTH": 4, "IMAGE_SIZE": 32, "NUMBERS": (2, 5), "LIMIT_NUMBER": 5}.items():
        monkeypatch.setattr(module, name, value)
    of_two, of_five, per_image = module.comparisons(torch.device("cpu"), 0)
    diagnosis, one_by_one = (
        function.args[0]() for function in (of_five.subject, of_five.rivals["a pass for each image"])
    )
    assert diagnosis["probabilities"].shape == (1, 2)
    assert diagnosis["extra_gate"].shape == (1,)
    for name, found in diagnosis.items():
        if found.dtype != object:
            np.testing.assert_allclose(found, one_by_one[name], rtol=1e-3, atol=1e-5)
    assert "the time allowed" not in of_two.rivals
    assert of_five.rivals["the time allowed"]() == module.LIMIT_MS
    assert per_image.goals == {"one image of 2": module.LINEAR}
    assert module.microseconds_for_each(lambda: module.time.sleep(0.1), 10) == pytest.approx(10_000, rel=0.5)


def test_writes_times_ratios_and_versions(benchmark, tmp_path, monkeypatch):
    module = __import__("benchmarks.monte_carlo_dropout", fromlist=["comparisons"])
    original = module.comparisons
    monkeypatch.setattr(module, "comparisons", lambda device, seed: [next(original(device, seed))])
    file = tmp_path / "benchmark.json"
    code = benchmark.main(["monte_carlo_dropout", "--rounds", "1", "--warm-up", "0", "--output", str(file)])
    content = json.loads(file.read_text())
    (entry,) = content["benchmarks"]["monte_carlo_dropout"]
    rival = entry["rivals"]["100 passes"]
    assert rival["ratio"] == pytest.approx(entry["amounts"]["100 passes"][0] / entry["amounts"]["subject"][0])
    assert code == (0 if rival["reached"] else 1)
    assert content["setting"]["threads"] >= 1
    assert content["provenance"]["packages"]["torch"]
