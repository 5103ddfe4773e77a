"""The network's input: window, place in the square and the way back, labels, random changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.transforms import Compose
from PIL import Image

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def network_input(scripts):
    return scripts("network_input")


@pytest.fixture(scope="module")
def placement(scripts):
    return scripts("placement").Placement


def _picture(path, shape=(60, 40), seed=0):
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(image).save(path)
    return image


def test_window_is_the_percentiles(network_input):
    image = np.random.default_rng(0).normal(100, 20, (50, 50)).astype(np.float32)
    shown = network_input.window(image, (10, 90))
    low, high = np.sort(image.ravel())[[int(0.1 * 2499), int(0.9 * 2499)]]
    np.testing.assert_allclose(shown, np.clip((image - low) / (high - low), 0, 1), atol=2e-3)
    assert (shown == 0).mean() == pytest.approx(0.1, abs=2e-3)
    assert (shown == 1).mean() == pytest.approx(0.1, abs=2e-3)
    # brightness and contrast of the file do not matter
    np.testing.assert_allclose(network_input.window(3 * image + 500, (10, 90)), shown, atol=1e-5)
    with pytest.raises(DataError, match="percentiles 10 and 90 are both 0"):
        network_input.window(np.eye(50, dtype=np.float32), (10, 90))


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (48, 48), (500, 31)])
@pytest.mark.parametrize("mode", ["pad", "squash"])
def test_place_in_the_square(placement, shape, mode):
    place = placement(shape, 48, mode)
    rows, columns = place.inner
    if mode == "squash":
        assert place.inner == (48, 48)
    else:
        assert max(rows, columns) == 48
        assert rows / columns == pytest.approx(shape[0] / shape[1], rel=0.5 / min(rows, columns) + 1e-9)
    flat = place.pad(place.resize(np.full(shape, 2.0, np.float32)))
    top, left = place.corner
    expected = np.zeros((48, 48))
    expected[top : top + rows, left : left + columns] = 2.0
    np.testing.assert_allclose(flat, expected, atol=1e-5)
    assert abs(top - (48 - rows - top)) <= 1


@pytest.mark.parametrize("mode", ["pad", "squash"])
@pytest.mark.parametrize("shape", [(61, 40), (30, 96), (24, 24)])
def test_a_map_comes_back_to_where_it_was_seen(placement, shape, mode):
    """A smooth image that is put into the square and restored is itself, sign and place included."""
    y, x = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None]
    image = (np.sin(3 * x) - 2 * y + 0.4).astype(np.float32)
    place = placement(shape, 64, mode)
    seen = torch.from_numpy(place.pad(place.resize(image)))
    back = place.restore(torch.stack([seen, -seen])[None])
    assert back.shape == (1, 2, *shape)
    inner = (slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(back[0, 0].numpy()[inner], image[inner], atol=0.05)
    np.testing.assert_array_equal(back[0, 1], -back[0, 0])


def test_masks_keep_their_bits(placement):
    mask = np.zeros((80, 60), np.uint8)
    mask[20:40, 30:60] = 5
    fitted = placement((80, 60), 40).fit_mask(mask)
    assert set(np.unique(fitted)) == {0, 5}
    assert fitted.shape == (40, 40)
    rows, columns = np.nonzero(fitted)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 19, 20, 34)


def test_a_record(network_input, tmp_path):
    _picture(tmp_path / "a.png")
    truth = np.zeros((60, 40), np.uint8)
    truth[:30] = 65
    Image.fromarray(truth).save(tmp_path / "t.png")
    record = {
        "id": "a",
        "image": str(tmp_path / "a.png"),
        "truth": str(tmp_path / "t.png"),
        "label": [1, 0, None, 0, 1],
    }
    result = network_input.network_input(30, keys=("image", "label", "truth"))(record)
    assert set(result) == {"image", "label", "truth"}
    assert type(result["image"]) is torch.Tensor
    assert result["image"].shape == (1, 30, 30)
    assert result["image"].dtype == torch.float32
    assert (result["image"].min(), result["image"].max()) == (0, 1)
    assert (result["image"][0, :, :5] == 0).all()  # padding
    assert result["truth"].shape == (30, 30)
    assert (result["truth"][:15, 5:25] == 65).all()
    np.testing.assert_array_equal(result["label"], [1, 0, np.nan, 0, 1])
    assert set(network_input.network_input(30, keys=("image",))(record)) == {"image"}


def test_dicom_and_its_picture_are_one_input(network_input, write_dicom, tmp_path):
    pixels = write_dicom(tmp_path / "a.dcm", 3, photometric="MONOCHROME1")
    Image.fromarray((4095 - pixels).astype(np.uint16)).save(tmp_path / "a.png")
    one, _ = network_input.read_input(tmp_path / "a.dcm", 40)
    other, _ = network_input.read_input(tmp_path / "a.png", 40)
    torch.testing.assert_close(one, other)


def test_results_are_cached(network_input, tmp_path, monkeypatch):
    """A deterministic transform is run once for each record, however often it is asked for."""
    _picture(tmp_path / "a.png")
    calls = []
    original = network_input.read_chest_image
    monkeypatch.setattr(network_input, "read_chest_image", lambda path: calls.append(path) or original(path))
    chain = Compose([network_input.network_input(32, keys=("image",))])
    dataset = CacheDataset([{"id": "a", "image": str(tmp_path / "a.png")}], chain, num_workers=0, progress=False)
    for _ in range(3):
        dataset[0]
    assert len(calls) == 1


@pytest.mark.parametrize("label", [[1, 0, 0, 0], [1, 0, 2, 0, 0], [1, 0, -1, 0, 0], 3, [0.5, 0, 0, 0, 0]])
def test_labels_that_are_none(network_input, tmp_path, label):
    _picture(tmp_path / "a.png")
    record = {"id": "a", "image": str(tmp_path / "a.png"), "label": label}
    with pytest.raises(DataError, match=r"record 'a' has label .*, expected 1, 0 or null of each of atelectasis"):
        network_input.network_input(30)(record)


def test_what_is_missing_or_wrong(network_input, tmp_path):
    Image.new("L", (40, 40), 9).save(tmp_path / "flat.png")
    for record, message in (
        ({"id": "a", "image": "x.png"}, "record 'a' has no 'label'"),
        ({"id": "a", "image": str(tmp_path / "x.png"), "label": [0] * 5}, r"x\.png: no such file"),
        ({"id": "a", "image": str(tmp_path / "flat.png"), "label": [0] * 5}, r"flat\.png: .*constant"),
    ):
        with pytest.raises(DataError, match=message):
            network_input.network_input(30)(record)
    for arguments in ({"percentiles": (90, 10)}, {"percentiles": (0, 101)}, {"mode": "stretch"}, {"image_size": 0}):
        with pytest.raises(ValueError, match=r"percentiles must rise|mode is 'stretch'|at least one pixel"):
            network_input.network_input(**{"image_size": 30, **arguments})


@pytest.fixture(scope="module")
def augmentation(scripts):
    return scripts("augmentation")


def test_box_blur_by_chance_and_of_every_side(augmentation):
    image = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0))
    transform = augmentation.RandBoxBlurd("image", (2, 4), 0.5)
    transform.set_random_state(seed=0)
    seen = {}
    for _ in range(200):
        result = transform({"image": image})["image"]
        pixel = result[0, 10, 10].item()
        seen[round(pixel, 5)] = seen.get(round(pixel, 5), 0) + 1
    # the mean over 2 x 2, 3 x 3 and 4 x 4 pixels, an even square reaching farther up and left
    expected = [image[0, 10, 10]] + [
        image[0, 10 - s // 2 : 10 + (s + 1) // 2, 10 - s // 2 : 10 + (s + 1) // 2].mean() for s in (2, 3, 4)
    ]
    assert sorted(seen) == pytest.approx(sorted(value.item() for value in expected), abs=1e-4)
    assert seen[round(image[0, 10, 10].item(), 5)] == pytest.approx(100, abs=25)


def test_padded_crop_is_a_shift(augmentation):
    image = torch.zeros(1, 21, 21)
    image[0, 10, 10] = 1
    transform = augmentation.RandPaddedCropd("image", 3)
    transform.set_random_state(seed=0)
    places = {tuple(torch.nonzero(transform({"image": image})["image"][0])[0].tolist()) for _ in range(400)}
    assert places == {(row, column) for row in range(7, 14) for column in range(7, 14)}
    full = transform({"image": torch.ones(1, 21, 21)})["image"]
    assert full.shape == (1, 21, 21)
    assert full.sum() % 1 == 0


def test_all_together_depend_on_the_seed_and_keep_type_and_range(augmentation):
    image = torch.rand(1, 48, 48, generator=torch.Generator().manual_seed(0))
    transform = augmentation.augmentation(padding=4, image_size=48)

    def run(seed):
        transform.set_random_state(seed=seed)
        return torch.stack([transform({"image": image, "label": 1})["image"] for _ in range(6)])

    first = run(0)
    torch.testing.assert_close(run(0), first, rtol=0, atol=0)
    assert not torch.equal(run(1), first)
    assert type(transform({"image": image})["image"]) is torch.Tensor
    assert first.shape == (6, 1, 48, 48)
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-5
    unchanged = augmentation.augmentation(affine_prob=0, blur_prob=0, padding=0)({"image": image})["image"]
    torch.testing.assert_close(unchanged, image)
    with pytest.raises(ValueError, match="sides must be at least 1"):
        augmentation.RandBoxBlurd("image", (0, 3))
    with pytest.raises(ValueError, match="padding must not be negative"):
        augmentation.RandPaddedCropd("image", -1)
