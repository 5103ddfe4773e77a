"""Overlays: colours mean what the colour bar says, and the picture is small and whole."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from shared.saliency.boxes import Box
from shared.saliency.colours import blend
from shared.saliency.overlay import overlay_title, scale_bar_length, write_image, write_overlay
from shared.saliency.picture_frame import FOOTER, HEADER, IMAGE_SIDE, MARGIN


def pixels_of(path):
    """The part of a picture that shows the image."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return picture[HEADER : len(picture) - FOOTER, MARGIN : MARGIN + IMAGE_SIDE]


def is_outline(pixels):
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (red > 180) & (green > 170) & (blue < 110)


@pytest.mark.parametrize(("extent", "length"), [(4.0, 1.0), (20.0, 5.0), (19.9, 2.0), (8.0, 2.0), (44_800.0, 10_000.0)])
def test_scale_bar_length(extent, length):
    assert scale_bar_length(extent) == length
    assert length <= extent / 4 < 2.5 * length


def test_picture_shows_map_outline_and_scale_bar(tmp_path):
    image = np.full((50, 50), 0.5)
    attribution = np.zeros((50, 50))
    attribution[10:20, 10:20], attribution[30:40, 30:40] = 1e-4, -1e-4
    mask = np.zeros((50, 50), dtype=np.uint8)
    mask[0:25, 0:25] = 1  # reaches the edge: the outline must close there
    path = tmp_path / "folder" / "overlay.png"
    write_overlay(path, image, attribution, title="monocyte", window=(0, 1))
    plain = pixels_of(path)
    assert plain.shape[:2] == (IMAGE_SIDE, IMAGE_SIDE)
    scale = IMAGE_SIDE // 50
    np.testing.assert_allclose(plain[::scale, ::scale] / 255, blend(image, attribution, window=(0, 1)), atol=0.01)
    assert not is_outline(plain).any()

    write_overlay(path, image, attribution, title="monocyte", window=(0, 1), mask=mask, pixel_size_um=0.25)
    drawn = pixels_of(path)
    edge = is_outline(drawn)
    rows, columns = np.nonzero(edge)
    assert abs(rows.max() - 25 * scale) <= 3
    assert abs(columns.max() - 25 * scale) <= 3
    assert edge[:1].any(axis=0)[10 : 24 * scale].all()
    # 50 px of 0.25 µm are 12.5 µm: a bar of 2 µm is 8 px long
    white = (drawn[47 * scale : 48 * scale] > 250).all(axis=2).any(axis=0)
    assert abs(white.sum() - 8 * scale) <= 2
    assert path.stat().st_size < 60_000
    assert [p.name for p in path.parent.iterdir()] == ["overlay.png"]


def test_colour_bar_shows_both_ends_of_the_blend(tmp_path):
    attribution = np.linspace(-1, 1, 2500).reshape(50, 50)
    write_overlay(tmp_path / "o.png", np.full((50, 50), 0.5), attribution, title="x", percentile=100, window=(0, 1))
    picture = np.asarray(Image.open(tmp_path / "o.png").convert("RGB")).astype(float) / 255
    bar = picture[HEADER : len(picture) - FOOTER, MARGIN + IMAGE_SIDE + 24]
    ends = blend(np.full((1, 3), 0.5), np.array([[1.0, 0.0, -1.0]]), 100, (0, 1))[0]
    np.testing.assert_allclose(bar[[4, IMAGE_SIDE // 2 + 4, -5]], ends, atol=0.05)


def test_image_alone(tmp_path):
    image = np.random.default_rng(0).normal(size=(50, 50))
    write_image(tmp_path / "i.png", image, title="cell", bar_label="phase (rad)", window=(-2, 2))
    shown = pixels_of(tmp_path / "i.png")[3::7, 3::7] / 255
    np.testing.assert_allclose(shown[..., 0], np.clip((image + 2) / 4, 0, 1), atol=0.02)


@pytest.mark.parametrize("shape", [(50, 50), (20, 60), (60, 20), (1, 1)])
def test_hostile_texts_and_odd_images_do_not_break_it(tmp_path, shape):
    text = "$\\frac{ _^ % & {x} \n" * 20
    path = tmp_path / "o.png"
    arguments = {"title": text, "subtitle": text, "mask_label": text, "bar_label": text}
    write_overlay(path, np.zeros(shape), np.zeros(shape), mask=np.ones(shape), pixel_size_um=3.0, **arguments)
    Image.open(path).verify()
    write_overlay(path, np.zeros(shape), np.ones(shape), mask=np.zeros(shape), **arguments)
    Image.open(path).verify()


def test_a_box_is_dashed_and_lies_where_it_was_drawn(tmp_path):
    """Pixels of the picture are ten to a pixel of the image, so that the box's edges are at multiples of ten."""
    image = np.linspace(0, 1, 35 * 35).reshape(35, 35)
    box = Box(5, 10, 20, 12)
    for write, more in ((write_image, {}), (write_overlay, {"attribution": np.zeros((35, 35))})):
        write(tmp_path / "boxed.png", image, boxes=[box], title="t", **more)
        write(tmp_path / "plain.png", image, title="t", **more)
        boxed, plain = pixels_of(tmp_path / "boxed.png"), pixels_of(tmp_path / "plain.png")
        changed = np.abs(boxed - plain).sum(axis=2) > 30
        rows, columns = np.nonzero(changed)
        edges = columns.min(), columns.max(), rows.min(), rows.max()
        np.testing.assert_allclose(edges, (50, 250, 100, 220), atol=3)
        assert not changed[110:210, 60:240].any(), "nothing is drawn inside"
        along_top = is_outline(boxed[98:103, 60:240]).any(axis=0)
        assert 0.3 < along_top.mean() < 0.9, "dashes with gaps"
        assert changed[98:103, 60:240].any(axis=0).mean() > along_top.mean(), "on a dark line"


def test_title():
    assert overlay_title("a", 0.5) == "a, confidence 0.50"
    assert overlay_title("a", 0.5, target="b", label="c") == "a, confidence 0.50 (truth: c), explained: b"
    assert overlay_title("a", 0.5, target="a", label="") == "a, confidence 0.50"


@pytest.mark.parametrize(
    ("image", "attribution", "options", "message"),
    [
        (np.zeros((4, 4)), np.zeros((4, 5)), {}, "attribution must be"),
        (np.zeros((4, 4)), np.full((4, 4), np.inf), {}, "attribution holds NaN or infinity"),
        (np.zeros((4, 4)), np.zeros((4, 4)), {"mask": np.zeros((5, 4))}, "mask must be"),
        (np.zeros((1, 4, 4)), np.zeros((4, 4)), {}, "image must be"),
        (np.zeros((4, 4)), np.zeros((4, 4)), {"pixel_size_um": -1.0}, "positive"),
    ],
)
def test_refused(tmp_path, image, attribution, options, message):
    with pytest.raises(ValueError, match=message):
        write_overlay(tmp_path / "o.png", image, attribution, title="x", **options)
    assert not list(tmp_path.iterdir())


def test_no_global_figure_state(tmp_path):
    write_overlay(tmp_path / "o.png", np.zeros((4, 4)), np.eye(4), title="x")
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()
