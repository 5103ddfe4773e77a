"""Layers of a picture: an index of the palette is a value, colours are those of the overlays, sizes are bounded."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from shared.saliency.colours import colour_limit, transparent_colours
from shared.saliency.layers import LONGEST_SIDE, STEPS, write_levels, write_map_layer, write_outline, write_plain


def test_a_maps_layer_has_the_colours_of_its_values(tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 30)) ** 3
    values[3, 4] = 0.0
    limit = write_map_layer(tmp_path / "map.png", values)
    assert limit == colour_limit(values)
    with Image.open(tmp_path / "map.png") as file:
        assert file.mode == "P"
        index, found = np.array(file, dtype=np.float64), np.array(file.convert("RGBA"))
    expected = transparent_colours()(np.clip((values / limit + 1) / 2, 0, 1)) * 255  # (H, W, 4)
    # neighbouring steps of the palette differ by at most the steepest change of colour or opacity
    steepest = np.abs(np.diff(transparent_colours()(np.linspace(0, 1, STEPS)), axis=0)).max() * 255
    assert np.abs(found - expected).max() <= steepest + 1
    assert found[3, 4, 3] == 0
    back = limit * (2 * index / (STEPS - 1) - 1)
    inside = np.abs(values) < limit
    np.testing.assert_allclose(back[inside], values[inside], atol=limit / (STEPS - 1) * 1.001)


def test_levels_beyond_the_scale_have_the_colour_of_its_end(tmp_path):
    write_levels(tmp_path / "levels.png", [[-1.0, 0.0, 1.0, 2.0]], matplotlib.colormaps["viridis"])
    with Image.open(tmp_path / "levels.png") as file:
        assert np.array(file).tolist() == [[0, 0, STEPS - 1, STEPS - 1]]


def test_a_large_map_is_averaged_in_its_values_not_its_colours(tmp_path):
    values = np.tile([[-1.0, 1.0], [1.0, -1.0]], (LONGEST_SIDE, LONGEST_SIDE // 2))  # (2L, L)
    write_map_layer(tmp_path / "map.png", values)
    with Image.open(tmp_path / "map.png") as file:
        assert file.size == (LONGEST_SIDE // 2, LONGEST_SIDE)
        # 127 is the palette's middle: nothing for and nothing against
        assert np.unique(np.array(file)).tolist() == [STEPS // 2]


@pytest.mark.parametrize("values", [np.zeros(3), np.full((2, 2), np.nan)])
def test_what_is_no_map_is_refused(tmp_path, values):
    with pytest.raises(ValueError, match="expected a finite map"):
        write_map_layer(tmp_path / "map.png", values)


def test_the_outline_is_the_inner_border_enlarged_by_a_whole_factor(tmp_path):
    mask = np.zeros((50, 50), dtype=bool)
    mask[10:20, 15:35] = True
    write_outline(tmp_path / "outline.png", mask)
    with Image.open(tmp_path / "outline.png") as file:
        colours = np.array(file.convert("RGBA"))
    large = mask.repeat(6, axis=0).repeat(6, axis=1)
    assert colours.shape == (300, 300, 4)
    yellow = (colours == (240, 228, 66, 255)).all(axis=2)
    np.testing.assert_array_equal(yellow, large & ~binary_erosion(large))
    shown = colours[..., 3] > 0
    assert shown.sum() > 2 * yellow.sum()
    assert (colours[shown & ~yellow][:, :3] == 0).all()
    assert not shown[130:140].any()


def test_a_plain_picture_is_the_image_itself(tmp_path):
    grey = np.linspace(0, 1, 64).reshape(8, 8)
    write_plain(tmp_path / "grey.png", grey, window=(0.0, 1.0))
    with Image.open(tmp_path / "grey.png") as file:
        np.testing.assert_array_equal(np.array(file), np.rint(255 * grey))
    colours = np.random.default_rng(0).integers(0, 255, (8, 6, 3), dtype=np.uint8)
    write_plain(tmp_path / "colours.png", colours)
    with Image.open(tmp_path / "colours.png") as file:
        np.testing.assert_array_equal(np.array(file), colours)
