"""The eight symmetries of the square, each equally often."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def augmentation(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("augmentation")


def test_uniform_seeded_and_alike_for_all_keys(augmentation):
    transform = augmentation.RandSymmetryd(("image", "truth"))
    transform.set_random_state(seed=0)
    image = torch.arange(9.0).reshape(1, 3, 3)
    outputs = [transform({"image": image, "truth": image + 10, "id": "a"}) for _ in range(4000)]
    assert all(torch.equal(output["image"] + 10, output["truth"]) and output["id"] == "a" for output in outputs)
    counts = np.unique([output["image"].flatten().tolist() for output in outputs], axis=0, return_counts=True)[1]
    assert len(counts) == 8
    assert np.abs(counts - 500).max() < 4 * np.sqrt(4000 / 8 * 7 / 8)
    transform.set_random_state(seed=0)
    again = [transform({"image": image, "truth": image})["image"] for _ in range(50)]
    assert all(torch.equal(a, output["image"]) for a, output in zip(again, outputs, strict=False))
    assert torch.equal(image, torch.arange(9.0).reshape(1, 3, 3))
