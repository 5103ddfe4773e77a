"""What the network gets: the phase itself with range (0, 1), scaled with another, and nothing that is not finite."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def network_input(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("network_input").network_input


@pytest.fixture
def record(tmp_path):
    image = np.random.default_rng(0).normal(2, 3, (50, 50)).astype(np.float32)
    np.save(tmp_path / "crop.npy", image)
    return {"id": "cell 7", "image": str(tmp_path / "crop.npy"), "label": 2, "donor": "D1"}, image


@pytest.mark.parametrize("low_high", [(0.0, 1.0), (-0.5, 6.0)])
def test_phase_is_scaled_and_not_clipped(network_input, record, low_high):
    item = network_input(low_high)(record[0])
    assert set(item) == {"image", "label"}
    low, high = low_high
    np.testing.assert_allclose(item["image"].numpy()[0], (record[1] - low) / (high - low), rtol=1e-5, atol=1e-6)
    assert type(item["image"]) is torch.Tensor


def test_the_bundle_feeds_radians(repository):
    metadata = json.loads((repository / "bundles/leukocyte_qpi/configs/metadata.json").read_text())
    assert metadata["preprocessing"]["phase_range_rad"] == [0.0, 1.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_is_named(network_input, record, tmp_path, bad):
    record[1][3, 4] = bad
    np.save(tmp_path / "crop.npy", record[1])
    with pytest.raises(Exception, match="applying transform") as caught:
        network_input((0.0, 1.0))(record[0])
    assert isinstance(caught.value.__cause__, DataError)
    assert "cell 7: its crop holds NaN" in str(caught.value.__cause__)
