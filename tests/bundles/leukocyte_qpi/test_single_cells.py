from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from shared.data.errors import DataError

SIZE = 20


@pytest.fixture(scope="module")
def single_cells(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("single_cells")


@pytest.fixture
def phase():
    return np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)


def _donor(name):
    if "_" not in name:
        raise DataError(f"{name}: no donor")
    return name.split("_")[0]


def test_floats_are_taken_as_radians(single_cells, phase):
    reader = single_cells.SingleCellReader(SIZE)
    for image in (phase, phase[None], phase[..., None], phase.astype(np.float64)):
        converted = reader.convert(image)
        assert converted.dtype == np.float32
        np.testing.assert_array_equal(converted, phase)


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integers_need_a_declared_phase_range(single_cells, dtype, largest):
    image = np.random.default_rng(0).integers(0, largest, (SIZE, SIZE)).astype(dtype)
    image[0, 0], image[0, 1] = 0, largest
    with pytest.raises(DataError, match=r"integers .* which have no unit; .* --integer_phase_range '\[0, 4\]'"):
        single_cells.SingleCellReader(SIZE).convert(image)
    converted = single_cells.SingleCellReader(SIZE, integer_phase_range=(-2.0, 6.0)).convert(image)
    np.testing.assert_allclose(converted, -2 + 8 * image.astype(float) / largest, atol=1e-5)
    assert converted[0, 0] == -2
    assert converted[0, 1] == 6


def test_signed_integers_span_their_whole_type(single_cells):
    image = np.array([[-32768, 0], [100, 32767]], dtype=np.int16)
    converted = single_cells.SingleCellReader(2, integer_phase_range=(0.0, 65535.0)).convert(image)
    np.testing.assert_allclose(converted, image.astype(float) + 32768, rtol=1e-6)


def test_other_sizes_and_colour_need_to_be_allowed(single_cells):
    rows, columns = np.mgrid[:40, :40] / 39
    ramp = rows + 2 * columns
    with pytest.raises(DataError, match=r"shape 40 x 40, expected 20 x 20; .* --resize true"):
        single_cells.SingleCellReader(SIZE).convert(ramp)
    resized = single_cells.SingleCellReader(SIZE, resize=True).convert(ramp)
    small_rows, small_columns = (np.mgrid[:20, :20] * 2 + 0.5) / 39
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(resized[inner], (small_rows + 2 * small_columns)[inner], atol=1e-3)

    colour = np.random.default_rng(0).random((SIZE, SIZE, 3))
    with pytest.raises(DataError, match=r"3 colour channels, a phase image has one; .* --grey_from_colour true"):
        single_cells.SingleCellReader(SIZE).convert(colour)
    grey = single_cells.SingleCellReader(SIZE, grey_from_colour=True).convert(colour)
    np.testing.assert_allclose(grey, colour @ [0.2125, 0.7154, 0.0721], atol=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((SIZE, SIZE), np.nan), "NaN or infinite"),
        (np.ones((SIZE, SIZE)), "constant"),
        (np.random.default_rng(0).random((SIZE, SIZE, 5)), "shape 20 x 20 x 5"),
        (np.arange(SIZE, dtype=float), "shape 20, expected"),
    ],
)
def test_unusable_images(single_cells, image, message):
    with pytest.raises(DataError, match=message):
        single_cells.SingleCellReader(SIZE, resize=True).convert(image)


def test_folder_of_each_kind_of_file(single_cells, phase, tmp_path):
    for folder in ("monocyte", "neutrophil/day1"):
        (tmp_path / folder).mkdir(parents=True)
    grey = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE)
    np.save(tmp_path / "monocyte" / "D1_a.npy", phase)
    tifffile.imwrite(tmp_path / "monocyte" / "D2_a.tif", phase + 1)
    Image.fromarray(grey).save(tmp_path / "neutrophil" / "day1" / "D1_a.png")
    (tmp_path / "neutrophil" / "D3_broken.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "neutrophil" / "nodonor.npy", phase)
    (tmp_path / "neutrophil" / "notes.txt").write_text("x")

    excluded = []
    reader = single_cells.SingleCellReader(SIZE, integer_phase_range=(0, 65535))
    cells = {cell.identity: cell for cell in reader.read_folder(tmp_path, _donor, excluded)}
    assert {(cell.group, cell.donor, cell.source) for cell in cells.values()} == {
        ("monocyte", "D1", "D1_a.npy"),
        ("monocyte", "D2", "D2_a.tif"),
        ("neutrophil", "D1", "D1_a.png"),
    }
    assert len(cells) == 3
    np.testing.assert_array_equal(cells["monocyte/D1_a.npy"].image, phase)
    np.testing.assert_array_equal(cells["monocyte/D2_a.tif"].image, phase + 1)
    np.testing.assert_allclose(cells["neutrophil/day1/D1_a.png"].image, grey)
    assert [item.source for item in excluded] == ["neutrophil/D3_broken.npy", "neutrophil/nodonor.npy"]
    assert "cannot be read" in excluded[0].reason
    assert "no donor" in excluded[1].reason


def test_npz_set(single_cells, phase, tmp_path):
    images = np.stack([phase, np.full_like(phase, np.nan), phase + 1])
    np.savez(tmp_path / "set.npz", x=images, y=["a", "b", "c"], who=[1, 1, 2], name=["p", "q", "r"])
    keys = single_cells.NpzKeys(images="x", labels="y", donors="who", ids="name")
    excluded = []
    cells = list(single_cells.SingleCellReader(SIZE, npz_keys=keys).read_npz(tmp_path / "set.npz", excluded))
    assert [(c.identity, c.group, c.donor, c.source) for c in cells] == [
        ("set_p", "a", "1", "set.npz"),
        ("set_r", "c", "2", "set.npz"),
    ]
    np.testing.assert_array_equal(cells[1].image, phase + 1)
    assert [(item.item, "NaN" in item.reason) for item in excluded] == [("q", True)]


def test_npz_with_one_id_twice(single_cells, phase, tmp_path):
    """The second cell may not take the place of the first, and is listed."""
    np.savez(
        tmp_path / "set.npz", images=np.stack([phase, phase + 1, phase + 2]), labels=[0, 1, 2], who=["p", "p", "q"]
    )
    keys = single_cells.NpzKeys(donors=None, ids="who")
    excluded = []
    cells = list(single_cells.SingleCellReader(SIZE, npz_keys=keys).read_npz(tmp_path / "set.npz", excluded))
    assert [(cell.identity, cell.group) for cell in cells] == [("set_p", "0"), ("set_q", "2")]
    np.testing.assert_array_equal(cells[0].image, phase)
    assert [(item.item, item.reason) for item in excluded] == [
        ("p", "cell 2 of the set has the id 'p' of an earlier one")
    ]


def test_npz_without_labels_donors_and_ids(single_cells, phase, tmp_path):
    np.savez(tmp_path / "set.npz", images=np.stack([phase, phase + 1]))
    keys = single_cells.NpzKeys(labels=None, donors=None)
    cells = list(single_cells.SingleCellReader(SIZE, npz_keys=keys).read_npz(tmp_path / "set.npz", []))
    assert [(c.identity, c.group, c.donor) for c in cells] == [("set_000000", None, None), ("set_000001", None, None)]


def test_npz_arrays_missing_or_of_different_length(single_cells, phase, tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=phase[None], labels=["a", "b"], donors=["d"])
    with pytest.raises(DataError, match=r"arrays of different length .*'images': 1, 'labels': 2"):
        list(single_cells.SingleCellReader(SIZE).read_npz(path, []))
    np.savez(path, images=phase[None], labels=["a"])
    with pytest.raises(DataError, match=r"no array 'donors', found images, labels; .*--npz_keys#donors NAME .*or null"):
        list(single_cells.SingleCellReader(SIZE).read_npz(path, []))


def test_pixels_of_a_resized_crop_cover_what_those_of_the_file_did(single_cells):
    reader = single_cells.SingleCellReader(SIZE, resize=True)
    for shape in ((SIZE, SIZE), (40, 40), (1, 40, 40), (30, 10)):
        image = np.random.default_rng(0).normal(size=shape)
        area = image.size / reader.convert(image).size
        assert reader.pixel_scale(image) ** 2 == pytest.approx(area)
