"""Tiles of the gallery: apart from each other, the highest and the lowest, none of them twice."""

from __future__ import annotations

import numpy as np


def test_chosen_tiles_do_not_overlap_and_none_is_shown_twice(scripts):
    rng = np.random.default_rng(0)
    coords = rng.integers(0, 400, (200, 2))
    values = rng.standard_normal(200)
    gallery = scripts("tile_gallery").TileGallery.of(coords, 64, values, 8)
    for chosen in (gallery.highest, gallery.lowest):
        apart = np.abs(coords[chosen][:, None] - coords[chosen][None]).max(axis=2)
        assert (apart + 999 * np.eye(len(chosen)) >= 64).all()
    assert gallery.highest[0] == values.argmax()
    assert gallery.lowest[0] == values.argmin()
    few = scripts("tile_gallery").TileGallery.of(coords[:3] + np.array([[0], [999], [1998]]), 64, values[:3], 2)
    assert sorted([*few.highest, *few.lowest]) == [0, 1, 2]
