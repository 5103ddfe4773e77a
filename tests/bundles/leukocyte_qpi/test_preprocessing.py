from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def preprocessing(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("preprocessing")


def _surface(shape, coefficients):
    """1, x, y, x², xy, y² on [-1, 1] each, written out."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    y, x = 2 * rows / (shape[0] - 1) - 1, 2 * columns / (shape[1] - 1) - 1
    terms = (np.ones(shape), x, y, x * x, x * y, y * y)
    return sum(c * term for c, term in zip(coefficients, terms, strict=True))


def _cap(shape, row, column, radius, height=3.0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return height * np.sqrt(np.clip(1 - ((rows - row) ** 2 + (columns - column) ** 2) / radius**2, 0, None))


def test_polynomial_is_recovered_exactly(preprocessing):
    surface = _surface((61, 83), [0.3, 1.2, -0.7, 0.2, 0.1, -0.4])
    np.testing.assert_allclose(preprocessing.fit_polynomial(surface, 2), surface, atol=1e-10)


@pytest.mark.parametrize(("order", "length"), [(0, 1), (1, 3)])
def test_order_limits_the_terms(preprocessing, order, length):
    surface = _surface((40, 30), [0.5, 1.0, -2.0, 0, 0, 0][:length] + [0] * (6 - length))
    np.testing.assert_allclose(preprocessing.fit_polynomial(surface, order), surface, atol=1e-10)
    curved = surface + _surface((40, 30), [0, 0, 0, 1, 0, 0])
    assert np.abs(preprocessing.fit_polynomial(curved, order) - curved).max() > 0.1


def test_order_must_not_be_negative(preprocessing):
    with pytest.raises(ValueError, match="order must be 0 or more, found -1"):
        preprocessing.fit_polynomial(np.zeros((5, 5)), -1)


def test_cells_do_not_pull_the_background(preprocessing):
    shape, rng = (384, 512), np.random.default_rng(0)
    background = _surface(shape, [0.4, 1.0, -0.6, 0.2, -0.1, 0.3])
    cells = sum(_cap(shape, *rng.uniform((0, 0), shape), 16) for _ in range(45))
    assert 0.1 < (cells > 0).mean() < 0.3
    noisy = background + cells + rng.normal(0, 0.05, shape)
    assert np.abs(preprocessing.fit_polynomial(noisy, 2) - background).max() < 0.02


def test_a_cell_that_fills_a_third_of_its_crop_is_not_taken_for_curvature(preprocessing):
    shape = (50, 50)
    background = _surface(shape, [0.1, 0.8, 0.5, 0.1, 0.0, -0.1])
    crop = background + _cap(shape, 25, 25, 16.7) + np.random.default_rng(1).normal(0, 0.05, shape)
    assert np.abs(preprocessing.fit_polynomial(crop, 2) - background).max() < 0.05


def test_median_of_the_recording_finds_what_stays_and_drops_drift_and_cells(preprocessing):
    shape, rng = (100, 120), np.random.default_rng(2)
    pattern = 0.3 * np.sin(np.arange(120) / 4)[None, :] * np.cos(np.arange(100) / 5)[:, None]
    places = rng.uniform((15, 15), (85, 105), (7, 2))
    cells = [_cap(shape, row, column, 12) for row, column in places]
    drift = [_surface(shape, [*rng.normal(0, 0.5, 3), 0, 0, 0]) for _ in cells]
    frames = [(pattern + cell + d).astype(np.float32) for cell, d in zip(cells, drift, strict=True)]
    subtraction = preprocessing.SubtractBackground(order=1)
    static = subtraction.static(frames)
    for frame, cell in zip(frames, cells, strict=True):
        flat = subtraction(frame, static)
        assert flat.dtype == np.float32
        # a pixel may be covered in up to three of seven frames
        assert np.abs(flat - cell).mean() < 0.02
        # the polynomial alone leaves the pattern
        assert np.abs(subtraction(frame) - cell).mean() > 0.08


def test_drifting_frames_leave_no_ghost_of_a_cell(preprocessing):
    """The median of frames that differ in piston alone would be darker where a cell hid one of them."""
    shape = (80, 80)
    pistons = [-0.4, -0.2, 0.0, 0.2, 0.4]
    frames = [np.full(shape, piston) + np.random.default_rng(3).normal(0, 1e-3, shape) for piston in pistons]
    frames[0] = frames[0] + _cap(shape, 40, 40, 14)
    static = preprocessing.SubtractBackground().static(frames)
    assert np.abs(static).max() < 0.01
    assert preprocessing.median_background(frames)[40, 40] > 0.15


def test_median_background_is_the_median(preprocessing):
    frames = np.random.default_rng(0).normal(size=(4, 3, 5))
    expected = np.array([[sorted(frames[:, r, c])[1:3] for c in range(5)] for r in range(3)]).mean(-1)
    np.testing.assert_allclose(preprocessing.median_background(frames), expected)


def test_too_few_frames_for_a_median(preprocessing):
    with pytest.raises(DataError, match=r"2 usable frame\(s\), but a median background needs 5; set .* polynomial"):
        preprocessing.SubtractBackground().static([np.zeros((4, 4))] * 2)


@pytest.mark.parametrize(
    ("method", "frames", "expected"),
    [("auto", 4, "polynomial"), ("auto", 5, "median"), ("median", 1, "median"), ("polynomial", 99, "polynomial")],
)
def test_method_by_number_of_frames(preprocessing, method, frames, expected):
    assert preprocessing.SubtractBackground(method).method_for(frames) == expected


def test_unknown_method(preprocessing):
    with pytest.raises(ValueError, match="auto, median or polynomial, found 'mean'"):
        preprocessing.SubtractBackground("mean")


def test_fixed_range_is_mapped_to_the_unit_interval(preprocessing):
    phase = np.array([-1.0, -0.5, 0.0, 2.75, 6.0, 9.0], dtype=np.float32)
    expected = [0, 0, 0.5 / 6.5, 0.5, 1, 1]
    np.testing.assert_allclose(preprocessing.normalise_phase(phase, (-0.5, 6.0), clip=True), expected, atol=1e-6)
    unclipped = preprocessing.normalise_phase(phase, (-0.5, 6.0))
    np.testing.assert_allclose(unclipped, (phase + 0.5) / 6.5, atol=1e-6)
    with pytest.raises(ValueError, match=r"low < high, found \[2, 2\]"):
        preprocessing.normalise_phase(phase, (2, 2))


KINDS = [np.asarray, torch.as_tensor, lambda a: MetaTensor(torch.as_tensor(a))]


@pytest.mark.parametrize("kind", KINDS)
def test_background_of_a_frame_or_a_stack_of_any_type(preprocessing, kind):
    rng = np.random.default_rng(5)
    frames = (rng.normal(0, 0.05, (6, 40, 50)) + np.linspace(0, 1, 50)).astype(np.float32)
    static = rng.normal(size=(40, 50)).astype(np.float32)
    expected = np.stack([frame - preprocessing.fit_polynomial(frame, 1) for frame in frames])
    subtract = preprocessing.SubtractBackground(order=1)
    for image, still, values in (
        (frames, None, expected),
        (frames[0], None, expected[0]),
        (frames, static, expected - static),
        (frames[0], static, expected[0] - static),
    ):
        given = kind(image.copy())
        result = subtract(given, still)
        assert type(result) is type(given)
        assert result.dtype == given.dtype
        np.testing.assert_allclose(np.asarray(result), values, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(given), image)


def test_background_of_something_else(preprocessing):
    with pytest.raises(ValueError, match=r"shape \(H, W\) or \(F, H, W\), found \(7,\)"):
        preprocessing.SubtractBackground()(np.zeros(7))


@pytest.mark.parametrize("kind", KINDS)
def test_normalising_keeps_type_and_other_keys(preprocessing, kind):
    image = np.random.default_rng(5).normal(0, 2, (1, 4, 5)).astype(np.float32)
    given = kind(image.copy())
    for clip, values in ((None, (image + 1) / 3), (True, np.clip((image + 1) / 3, 0, 1))):
        options = {} if clip is None else {"clip": clip}
        result = preprocessing.NormalisePhased("image", [-1, 2], **options)({"image": given, "id": "a"})
        assert type(result["image"]) is type(given)
        assert result["id"] == "a"
        np.testing.assert_allclose(np.asarray(result["image"]), values, atol=1e-6)
        np.testing.assert_array_equal(np.asarray(given), image)


def test_missing_key(preprocessing):
    assert preprocessing.NormalisePhased("image", (0, 1), allow_missing_keys=True)({"id": 1}) == {"id": 1}
    with pytest.raises(KeyError):
        preprocessing.NormalisePhased("image", (0, 1))({"id": 1})
