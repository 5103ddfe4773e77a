"""What a header says is refused before it is unpacked, and what is really there is not."""

from __future__ import annotations

import io
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image

from shared.data.size_limit import check_dataset, check_inflated, check_shape, most_values


def deflated(content):
    compress = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compress.compress(content) + compress.flush()


def test_the_limit_is_pillows(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6)
    assert most_values() == 12
    check_shape((3, 4))
    with pytest.raises(ValueError, match="13 x 1 values, expected at most 12 in all"):
        check_shape((13, 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    check_shape((10**9, 10**9))


def test_a_small_file_that_says_it_holds_terabytes(tmp_path):
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", shape=(1_000_000, 1_000_000), dtype="f4", chunks=(256, 1024))
    assert path.stat().st_size < 10_000
    with h5py.File(path) as file, pytest.raises(ValueError, match="4000000000000 bytes, of which 0 are stored"):
        check_dataset(file["features"])


def test_a_table_larger_than_an_image_is_read_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    numbers = np.random.default_rng(0).normal(size=(300, 40))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        check_dataset(file.create_dataset("features", data=numbers, chunks=(50, 40), compression="gzip"))
        zeros = file.create_dataset("zeros", data=numbers * 0, chunks=(50, 40), compression="gzip")
        file.flush()
        with pytest.raises(ValueError, match="300 x 40 values of 96000 bytes"):
            check_dataset(zeros)
        check_dataset(file.create_dataset("few", data=np.zeros((20, 50)), compression="gzip"))


@pytest.mark.parametrize("length", [0, 1, 5_000_000])
def test_what_inflates_to_more_is_refused(length):
    stream = deflated(bytes(length))
    check_inflated(io.BytesIO(stream), length)
    if length > 1:
        assert len(stream) < length / 500
        with pytest.raises(ValueError, match="more than 4000000 bytes once it is inflated"):
            check_inflated(io.BytesIO(stream), 4_000_000)


def test_a_damaged_stream_is_an_error():
    with pytest.raises(zlib.error):
        check_inflated(io.BytesIO(b"\xff" * 100), 1000)
