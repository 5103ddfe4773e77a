"""Embedding images: unchanged where small, compressed to the budget where large."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from shared.data.errors import DataError
from shared.report.images import embed_images


def noise(path, side, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, len(mode)), dtype=np.uint8)
    Image.fromarray(pixels.squeeze()).save(path)
    return path


def content(image):
    return base64.b64decode(image.uri.split(",", 1)[1])


def test_small_file_is_embedded_byte_for_byte(tmp_path):
    path = noise(tmp_path / "crop.png", 50, "L")
    embedded = embed_images([path, path])[path]
    assert content(embedded) == path.read_bytes()
    assert (embedded.width, embedded.height, embedded.is_crop) == (50, 50, True)


def test_large_images_are_compressed_into_the_budget(tmp_path):
    paths = [noise(tmp_path / f"{i}.png", 700) for i in range(3)]
    embedded = embed_images(paths, budget=150_000)
    assert sum(len(content(image)) for image in embedded.values()) <= 150_000
    with Image.open(io.BytesIO(content(embedded[paths[0]]))) as image:
        assert image.format == "WEBP"
        assert image.size == (embedded[paths[0]].width, embedded[paths[0]].height)
        assert 180 <= image.width < 700


def test_an_image_becomes_coarser_before_it_becomes_smaller(tmp_path):
    """Smooth pictures with a few lines, as overlays are."""
    x, y = np.meshgrid(np.linspace(0, 9, 480), np.linspace(0, 7, 480))
    picture = np.stack([np.sin(x * y), np.cos(x - y), np.sin(x + 2 * y)], axis=2)
    path = tmp_path / "overlay.png"
    Image.fromarray(((picture + 1) * 127).astype(np.uint8)).save(path)
    free = embed_images([path], budget=10**9)[path]
    assert free.uri.startswith("data:image/webp"), "smaller than the PNG, which would fit as well"
    assert free.width == 480
    tight = embed_images([path], budget=len(content(free)) - 1)[path]
    assert tight.width == 480
    assert len(content(tight)) < len(content(free))
    tighter = embed_images([path], budget=len(content(tight)) // 3)[path]
    assert tighter.width < 480


def test_a_picture_that_a_png_holds_better_stays_one(tmp_path):
    path = tmp_path / "flat.png"
    image = Image.new("P", (400, 300), 0)
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.paste(1, (10, 10, 11, 290))
    image.save(path)
    assert content(embed_images([path])[path]) == path.read_bytes()


def test_a_file_of_another_kind_is_reencoded(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (30, 20), "red").save(path, "JPEG")
    assert embed_images([path])[path].uri.startswith("data:image/webp")


@pytest.mark.parametrize("damage", ["missing", "text", "truncated"])
def test_unusable_file_is_named(tmp_path, damage):
    path = tmp_path / "overlay.png"
    if damage == "text":
        path.write_text("no image")
    if damage == "truncated":
        noise(path, 200)
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"overlay\.png"):
        embed_images([path])
