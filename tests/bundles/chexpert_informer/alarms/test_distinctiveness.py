"""Cosine distances and their sums against equation 1 written slowly, and maps without a direction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.oracles import informer as oracle


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("alarms.distinctiveness")


def test_distances_and_sums_are_those_of_the_paper(module):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 5, 2, 4, 3, generator=generator)
    distances = module.cosine_distances(maps)
    assert distances.shape == (3, 5, 5)
    assert distances.dtype == torch.float64
    found = module.distinctiveness(distances.numpy())
    for image, own in zip(maps.double().numpy(), found, strict=True):
        np.testing.assert_allclose(own, oracle.class_distinctiveness(list(image)), rtol=1e-12)
    slow = oracle.pair_distance(maps[1, 2].double().numpy(), maps[1, 4].double().numpy())
    assert float(distances[1, 4, 2]) == float(distances[1, 2, 4]) == pytest.approx(slow, rel=1e-12)


def test_only_the_direction_of_a_map_counts(module):
    maps = torch.randn(2, 3, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    scaled = maps * torch.tensor([1e-30, 3.0, 1e30]).reshape(1, 3, 1, 1, 1)
    torch.testing.assert_close(module.cosine_distances(scaled), module.cosine_distances(maps), rtol=0, atol=1e-6)
    same = torch.stack([maps[:, 0], 2 * maps[:, 0], -maps[:, 0]], dim=1)
    distances = module.cosine_distances(same)[0]
    assert float(distances[0, 1]) == pytest.approx(0, abs=1e-12)
    assert float(distances[0, 2]) == pytest.approx(2, abs=1e-12)
    assert bool((distances >= 0).all())
    assert bool((distances <= 2).all())


def test_an_empty_map_has_no_distinctiveness_and_leaves_the_others_on_their_scale(module):
    maps = torch.randn(1, 4, 1, 3, 3, generator=torch.Generator().manual_seed(2))
    maps[0, 1] = 0
    distances = module.cosine_distances(maps)
    assert bool(distances[0, 1].isnan().all())
    assert bool(distances[0, :, 1].isnan().all())
    assert bool(distances[0, 0, [0, 2, 3]].isfinite().all())
    found = module.distinctiveness(distances.numpy())[0]
    assert np.isnan(found[1])
    rest = oracle.class_distinctiveness([maps[0, i].double().numpy() for i in (0, 2, 3)])
    np.testing.assert_allclose(found[[0, 2, 3]], np.array(rest) * 3 / 2, rtol=1e-12)
    # nothing to compare with
    maps[0, [2, 3]] = 0
    assert np.isnan(module.distinctiveness(module.cosine_distances(maps).numpy())).all()


def test_what_cannot_be_compared_is_refused(module):
    with pytest.raises(ValueError, match="at least two findings"):
        module.cosine_distances(torch.zeros(2, 1, 4))
    maps = torch.zeros(2, 3, 4)
    maps[1, 0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"images \[1\]"):
        module.cosine_distances(maps)
    with pytest.raises(ValueError, match="K >= 2"):
        module.distinctiveness(np.zeros((2, 3, 4)))
