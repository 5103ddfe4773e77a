"""``scripts/benchmarks/map_measures.py``: the libraries' ways compute what ours do."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch


@pytest.fixture
def module(repository, monkeypatch):
    file = repository / "scripts" / "benchmarks" / "map_measures.py"
    spec = importlib.util.spec_from_file_location("map_measures_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in {"MAPS": 3, "SIDE": 40}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_one_map_after_another_gives_the_same(module):
    *measures, everything = module.comparisons(torch.device("cpu"), 0)
    assert len(measures) == 7
    for comparison in measures:
        found, (rival,) = comparison.subject(), comparison.rivals.values()
        assert found.shape == (3,)
        assert found.std() > 0
        np.testing.assert_allclose(found, rival(), rtol=1e-5)
    assert everything.subject() > 0
    assert everything.rivals["the time allowed"]() == module.LIMIT_MS


def test_masks_are_as_large_as_stated_and_maps_point_at_them(module):
    maps, images, masks = module.phantoms(1)
    assert maps.shape == images.shape == masks.shape == (3, 40, 40)
    assert np.all((masks.mean(axis=(1, 2)) > 0.005) & (masks.mean(axis=(1, 2)) < 0.15))
    assert maps[masks].mean() - maps[~masks].mean() == pytest.approx(1, abs=0.3)
