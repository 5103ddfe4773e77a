"""Distances between placed discs, checked pair by pair."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from shared.phantoms.layout import place_discs


def gaps(centres, radii):
    distance = squareform(pdist(centres)) - radii[:, None] - radii
    return distance[np.triu_indices(len(radii), 1)]


@pytest.mark.parametrize("seed", range(5))
def test_discs_keep_their_distance_and_the_margin(seed):
    rng = np.random.default_rng(seed)
    radii = rng.uniform(8, 20, 10)
    centres = place_discs(radii, (384, 512), rng, clearance=6, margin=30)
    assert np.isfinite(centres).all()
    assert gaps(centres, radii).min() >= 6
    assert (centres >= 30).all()
    assert (centres <= np.array([383, 511]) - 30).all()


def test_shares_of_touching_and_of_cut_discs():
    rng, radii = np.random.default_rng(0), np.full(6, 15.0)
    touching = cut = 0
    for _ in range(200):
        centres = place_discs(radii, (384, 512), rng, clearance=5, margin=25, overlap=0.2, cut=0.3)
        touching += (gaps(centres, radii) < 0).sum()
        border = np.minimum(centres, np.array([383, 511]) - centres).min(axis=1)
        cut += (border < 15).sum()
    assert touching / (200 * 5) == pytest.approx(0.2, abs=0.04)  # the first disc has nothing to touch
    assert cut / (200 * 6) == pytest.approx(0.3, abs=0.04)


def test_what_finds_no_room_is_left_out():
    centres = place_discs(np.full(40, 20.0), (100, 100), np.random.default_rng(0))
    assert 2 <= np.isfinite(centres[:, 0]).sum() < 10


def test_refuses_a_margin_without_room():
    with pytest.raises(ValueError, match="no room"):
        place_discs([5.0], (40, 400), np.random.default_rng(0), margin=20)
