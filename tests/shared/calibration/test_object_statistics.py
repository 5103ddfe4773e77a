import numpy as np
import pytest
import torch
from scipy import ndimage

from shared.calibration.object_statistics import STATISTICS, object_statistics

SIZE = 64


def disc(radius, row=31.5, column=31.5, height=1.0):
    y, x = np.mgrid[:SIZE, :SIZE]
    return height * (np.hypot(y - row, x - column) < radius)


def describe(image, **arguments):
    values = object_statistics(torch.as_tensor(image, dtype=torch.float32)[None, None], **arguments)[0]
    return dict(zip(STATISTICS, values.tolist(), strict=True))


def test_a_disc():
    found = describe(0.2 + disc(14, height=0.5), smoothing=0.2)
    assert found["level"] == pytest.approx(0.5, abs=0.03)
    assert np.exp(found["log_area"]) == pytest.approx(np.pi * 14**2, rel=0.06)
    assert found["solidity"] > 0.97
    assert abs(found["log_roundness"]) < 0.1
    assert max(found[f"outline_{k}"] for k in range(2, 9)) < 0.02
    assert found["profile_-8"] == pytest.approx(0, abs=0.01)
    assert found["profile_7"] == pytest.approx(1, abs=0.05)
    assert found["variation_7"] == pytest.approx(0, abs=0.01)


def test_units_and_background_do_not_matter_but_for_the_level():
    image = ndimage.gaussian_filter(disc(14) + disc(4, 28, 36), 1)
    plain, scaled = describe(image), describe(5 + 3 * image)
    assert scaled.pop("level") == pytest.approx(3 * plain.pop("level"), rel=1e-4)
    assert scaled == pytest.approx(plain, abs=1e-4)


def test_orientation_does_not_matter():
    image = ndimage.gaussian_filter(disc(12) + disc(6, 38, 42) + disc(3, 20, 30), 1)
    turned = describe(np.rot90(image).copy())
    assert turned == pytest.approx(describe(image), abs=2e-2)


def test_profile_equals_rings_of_a_known_function():
    """Where brightness is a function of the distance from the middle, so is the profile."""
    y, x = np.mgrid[:SIZE, :SIZE] - 31.5
    image = np.clip(20 - np.hypot(y, x), 0, None)
    found = describe(image, smoothing=0.01)
    profile = np.array([found[f"profile_{ring}"] for ring in range(1, 8)]) * found["level"]
    np.testing.assert_allclose(np.diff(profile), 1.0, atol=0.15)


def test_outline_finds_lobes():
    y, x = np.mgrid[:SIZE, :SIZE] - 31.5
    angle = np.arctan2(y, x)
    lobed = np.hypot(y, x) < 15 * (1 + 0.3 * np.cos(3 * angle))
    found = describe(lobed.astype(float), smoothing=0.5)
    outline = {k: found[f"outline_{k}"] for k in range(2, 9)}
    assert max(outline, key=outline.get) == 3
    assert outline[3] == pytest.approx(0.3, abs=0.03)
    assert found["solidity"] < 0.95


def test_a_soft_rim_shows_in_the_profile():
    sharp, soft = describe(disc(14)), describe(ndimage.gaussian_filter(disc(14), 4))
    assert sharp["profile_3"] > soft["profile_3"] + 0.2


def test_neighbours_are_left_out():
    alone = disc(10)
    found, expected = describe(alone + disc(9, 4, 58)), describe(alone)
    for name in ("level", "log_area", "solidity", "outline_2", "profile_-3", "variation_-3", "profile_4"):
        assert found[name] == pytest.approx(expected[name], abs=0.02), name


def test_nothing_to_see():
    assert set(describe(np.full((SIZE, SIZE), 3.0)).values()) == {0.0}
    noise = describe(np.random.default_rng(0).normal(size=(SIZE, SIZE)))
    assert np.isfinite(list(noise.values())).all()
    assert object_statistics(torch.zeros(0, 1, SIZE, SIZE)).shape == (0, len(STATISTICS))


def test_refuses():
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        object_statistics(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="finite"):
        object_statistics(torch.full((1, 1, 8, 8), float("nan")))
