from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.feature_extraction")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Three small images, the last one a copy of the first."""
    folder = tmp_path_factory.mktemp("images")
    rows, columns = np.mgrid[:48, :48]
    for number, radius in enumerate((9, 12, 9)):
        image = np.full((48, 48, 3), (246, 228, 205), float)
        image[np.hypot(rows - 8, columns - 8) <= 7] = (200, 165, 175)
        image[np.hypot(rows - 28, columns - 28) <= radius] = (90, 50, 135)
        image += np.random.default_rng(radius).normal(0, 8, image.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def extraction(module):
    return module.FeatureExtraction(module.LymphocyteSegmentation(superpixels=(20, 60)))


def _count_calls(monkeypatch, module):
    calls = []
    original = module.image_features
    monkeypatch.setattr(module, "image_features", lambda *a: calls.append(1) or original(*a))
    return calls


def test_rows_are_those_of_the_files_one_by_one_in_any_number_of_processes(module, extraction, paths, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 1)
    expected = np.stack([extraction.one(path) for path in paths])
    np.testing.assert_array_equal(extraction.many(paths), expected)
    np.testing.assert_array_equal(extraction.many(paths, workers=2), expected)
    assert not np.array_equal(expected[0], expected[1])


def test_kept_features_are_used_for_the_same_content_and_settings_only(
    module, extraction, paths, tmp_path, monkeypatch, caplog
):
    cache = tmp_path / "features.npz"
    calls = _count_calls(monkeypatch, module)
    first = extraction.many(paths[:1], cache=cache)
    # the third file has the content of the first
    both = extraction.many(paths, cache=cache)
    assert len(calls) == 2
    np.testing.assert_array_equal(both[[0, 2]], first[[0, 0]])
    np.testing.assert_array_equal(extraction.many(paths[::-1], cache=cache), both[::-1])
    assert len(calls) == 2
    coarser = module.FeatureExtraction(extraction.segmentation, levels=16)
    assert not np.array_equal(coarser.many(paths, cache=cache), both)
    assert len(calls) == 4
    assert "made with other settings" in caplog.text


def test_files_at_fault_are_named(extraction, tmp_path):
    with pytest.raises(DataError, match=r"missing\.png: no such file"):
        extraction.many([tmp_path / "missing.png"])
    Image.fromarray(np.full((30, 30, 3), 200, np.uint8)).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match=r"blank\.png: the image has no three colours"):
        extraction.many([tmp_path / "blank.png"])
