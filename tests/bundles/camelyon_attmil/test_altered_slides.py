"""Phantom slides whose metastasis alone grows: outside of it every pixel stays, and so do the tiles' features."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely
import torch
from torch import nn

TILE, MPP, TILES = 64, 2.0, 9
GENERATED = {
    "seed": 0,
    "mpp": MPP,
    "quality": 85,
    "parameters": {
        "lesions": {"micro": {"mean": 420, "std": 30, "low": 380, "high": 460}},
        "node": {"fat": {"mean": 60, "std": 10, "low": 40, "high": 80}},
    },
}


class Colours(nn.Module):
    """Mean and spread of the colours of a tile: ``(n, 6)``."""

    def forward(self, images):
        return torch.cat([images.mean(dim=(2, 3)), images.std(dim=(2, 3))], dim=1)


@pytest.fixture(scope="module")
def alteration(scripts):
    encoder = scripts("tile_encoder").TileEncoder(Colours(), "colours")
    extraction = scripts("feature_extraction").FeatureExtraction(encoder, tile_size=TILE, mpp=MPP, batch_size=16)
    return scripts("altered_slides").SlideAlteration(GENERATED, extraction, TILES)


def test_outside_of_the_metastasis_all_strengths_are_the_same_picture(scripts, alteration):
    module = scripts("altered_slides")
    renderer = alteration.renderer(0)
    side = TILE * TILES
    full = scripts("phantom").phantom_annotation(renderer.anatomy, MPP).tumour
    points = shapely.points(*np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5))
    outside = ~shapely.contains(full.buffer(module.BORDER_UM / MPP), points)
    assert 0.5 < outside.mean() < 1
    pictures = [
        renderer.with_anatomy(module.with_area(renderer.anatomy, area))(0, 0, side, side) for area in module.AREAS
    ]
    for smaller, larger in pairwise(pictures):
        np.testing.assert_array_equal(smaller[outside], larger[outside])
        assert (smaller[~outside] != larger[~outside]).mean() > 0.02


def test_area_of_the_metastasis_is_what_it_is_said_to_be(scripts, alteration):
    module, annotation = scripts("altered_slides"), scripts("phantom").phantom_annotation
    anatomy = alteration.renderer(1).anatomy
    full = annotation(anatomy, MPP).tumour.area
    areas = [annotation(module.with_area(anatomy, area), MPP).tumour.area for area in module.AREAS]
    np.testing.assert_allclose(np.array(areas) / full, module.AREAS, rtol=1e-9)


def test_tiles_off_the_metastasis_keep_their_features_and_those_on_it_do_not(alteration):
    slide = alteration(0)
    assert slide.features.shape == (5, len(slide.coords), 6)
    assert 20 < len(slide.coords) < TILES**2
    assert (slide.tumour[0] == 0).all()
    assert (np.diff(slide.tumour, axis=0) >= 0).all()
    assert slide.tumour.max() > 0.9
    changed = (slide.features[1:] != slide.features[:-1]).any(axis=2)
    grown = np.diff(slide.tumour, axis=0) > 0.05
    assert changed[grown].all()
    assert not changed[:, slide.tumour[-1] == 0].any() or changed[:, slide.tumour[-1] == 0].mean() < 0.05
    again = alteration(0)
    np.testing.assert_array_equal(slide.features, again.features)
    assert (alteration(1).features.shape != slide.features.shape) or (alteration(1).features != slide.features).any()


def test_features_are_those_of_the_slide_if_it_were_written(scripts, alteration, tmp_path):
    """The way over a file: pyramid, OpenSlide, encoder."""
    renderer, altered = alteration.renderer(0), alteration(0)
    side = TILE * TILES
    path = scripts("pyramid_tiff").write_pyramid(tmp_path / "s.tif", (side, side), renderer, MPP, quality=85)
    with scripts("slide").Slide(path) as slide:
        geometry = slide.tile_geometry(TILE, MPP)
        tiles = np.stack([slide.read_tile(x, y, geometry) for x, y in altered.coords.tolist()])
    encoder = alteration.extraction.encoder
    written = encoder.encode(torch.from_numpy(tiles)).numpy()
    np.testing.assert_allclose(altered.features[-1], written, atol=0.03)
    spread = written.std(axis=0)
    assert (np.abs(altered.features[-1] - written).mean(axis=0) < 0.02 * spread).all()
