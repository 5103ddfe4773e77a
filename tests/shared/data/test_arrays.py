from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from shared.data.arrays import read_arrays, read_image
from shared.data.errors import DataError


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (12, 9)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".tiff", ".png", ".bmp"])
def test_what_was_written_is_read(tmp_path, image, suffix):
    path = tmp_path / f"image{suffix}"
    {".npy": np.save, ".tif": tifffile.imwrite, ".tiff": tifffile.imwrite}.get(
        suffix, lambda p, a: Image.fromarray(a).save(p)
    )(path, image)
    np.testing.assert_array_equal(read_image(path), image)


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png"])
def test_a_file_cut_short_is_a_data_error(tmp_path, image, suffix):
    path = tmp_path / f"image{suffix}"
    {".npy": np.save, ".tif": tifffile.imwrite}.get(suffix, lambda p, a: Image.fromarray(a).save(p))(path, image)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"image\{suffix}: cannot be read as \{suffix} .* bytes found"):
        read_image(path)


def test_missing_unknown_and_pickled_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_image(tmp_path / "gone.npy")
    (tmp_path / "a.xyz").write_text("?")
    with pytest.raises(DataError, match=r"unknown kind of image '\.xyz'; expected one of \.npy"):
        read_image(tmp_path / "a.xyz")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "objects.npy")


def test_named_arrays(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, a=np.arange(3), b=np.ones(2))
    arrays = read_arrays(path, {"first": "a", "second": "b", "third": None})
    assert set(arrays) == {"first", "second"}
    np.testing.assert_array_equal(arrays["first"], [0, 1, 2])
    with pytest.raises(DataError, match="no array 'c', found a, b"):
        read_arrays(path, {"first": "c"})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04garbage", b"no zip file"])
def test_broken_npz(tmp_path, content):
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set\.npz: not a readable \.npz file"):
        read_arrays(path, {"first": "a"})


def test_npz_cut_short(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, a=np.arange(1000))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match=r"600 bytes found"):
        read_arrays(path, {"first": "a"})


def test_a_picture_that_would_fill_the_memory_is_a_data_error(tmp_path, image, monkeypatch):
    Image.fromarray(image).save(tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match="exceeds limit of 40 pixels"):
        read_image(tmp_path / "image.png")


def test_a_tiff_that_would_fill_the_memory_is_a_data_error(tmp_path, image, monkeypatch):
    """Before anything is unpacked: a few kB may hold billions of zeros."""
    tifffile.imwrite(tmp_path / "image.tif", image, compression="zlib")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match="12 x 9 values, expected at most 40 in all"):
        read_image(tmp_path / "image.tif")


def test_an_array_file_that_says_more_than_it_holds_is_a_data_error(tmp_path):
    with (tmp_path / "image.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<f8", "fortran_order": False, "shape": (1_000_000, 1_000_000)}
        )
    with pytest.raises(DataError, match=r"image\.npy: cannot be read as \.npy"):
        read_image(tmp_path / "image.npy")
