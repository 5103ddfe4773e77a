"""Reading a patient: every image once, in its place, at the size asked for; what cannot be read is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def network_input(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("network_input")


@pytest.fixture
def record(tmp_path):
    """A patient with five images, whose red is their number."""
    paths = []
    for number in range(5):
        image = np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)
        image[..., 0] = number
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    return {"id": "P1", "image": paths, "label": 1, "age": 70, "lymphocyte_count": 12.5, "sex": "F"}


def test_images_in_their_order(network_input, record):
    found = network_input.network_input(12)(record)
    assert set(found) == {"image", "attributes", "label"}
    assert found["image"].dtype == torch.uint8
    assert found["image"].shape == (5, 3, 12, 12)
    for number, path in enumerate(record["image"]):
        np.testing.assert_array_equal(found["image"][number].permute(1, 2, 0), np.asarray(Image.open(path)))
    assert found["attributes"].tolist() == [70.0, 12.5]


def test_threads_change_nothing(network_input, record):
    bags = [network_input.read_bag(record["image"], 7, threads=threads) for threads in (1, 4)]
    assert torch.equal(*bags)


def test_resized_with_antialiasing(network_input, tmp_path):
    """A fine pattern becomes its mean, and not whatever pixels were hit."""
    stripes = np.zeros((360, 360, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    bag = network_input.read_bag([tmp_path / "stripes.png"], 90)
    assert bag.shape == (1, 3, 90, 90)
    assert (bag[..., 2:-2].float() - 100).abs().max() <= 3


def test_images_that_are_not_looked_at_are_not_read(network_input, record):
    found = network_input.network_input(12, read_images=False)({**record, "image": ["nowhere.png"] * 3})
    assert found["image"].shape == (3, 3, 1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((12, 10, 3), np.uint8), "12 x 10 x 3 of type uint8, expected a square RGB"),
        (np.zeros((12, 12), np.uint8), "12 x 12 of type uint8, expected a square RGB"),
        (b"\x89PNG broken", "cannot be read as .png"),
    ],
)
def test_unusable_images_are_named(network_input, record, content, message):
    if isinstance(content, bytes):
        with open(record["image"][3], "wb") as file:  # noqa: PTH123
            file.write(content)
    else:
        Image.fromarray(content).save(record["image"][3])
    with pytest.raises(DataError, match=f"3.png: .*{message}"):
        network_input.read_bag(record["image"], 12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("age", None), ("age", "70"), ("age", -1), ("lymphocyte_count", 0), ("lymphocyte_count", float("nan"))],
)
def test_unusable_attributes_are_named(network_input, record, name, value):
    with pytest.raises(DataError, match=f"patient 'P1': {name} is {value!r}"):
        network_input.ReadPatient(12)({**record, name: value})


def test_a_patient_without_images_is_named(network_input, record):
    with pytest.raises(DataError, match="patient 'P1' has no images"):
        network_input.ReadPatient(12)({**record, "image": []})
