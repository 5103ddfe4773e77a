"""``scripts/benchmarks/slide_memory.py`` on small slides: it extracts features, writes slides, and tells the memory."""

from __future__ import annotations

import importlib
import os

import pytest
import torch


@pytest.fixture
def module(repository, bundle_scripts, monkeypatch):
    bundle_scripts("camelyon_attmil")
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    module = importlib.import_module("benchmarks.slide_memory")
    monkeypatch.setattr(module, "SIDES", (1024, 2048))
    monkeypatch.setattr(module, "PIECE", 256)
    return module


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="memory is read from Linux's /proc")
def test_memory_of_two_small_slides(module):
    comparisons = module.comparisons(torch.device("cpu"), 0)
    extracting = next(comparisons)
    assert extracting.name == "extracting 2048 px"
    assert extracting.goals == {"slide of 1024 px": module.SAME, "the memory allowed": 1.0}
    large, small = extracting.subject(), extracting.rivals["slide of 1024 px"]()
    # libraries alone take 100 MiB; 144 tiles and 4 take as much, but for what other processes share
    assert 100 < large < extracting.rivals["the memory allowed"]() == 1536
    assert large == pytest.approx(small, rel=0.15)
    writing = next(comparisons)
    (twice,) = writing.rivals.values()
    assert 0 < twice() < 100
