import numpy as np
import pytest
import torch
from skimage.transform import rotate

from shared.saliency.image_transformation import ImageTransformation


@pytest.fixture
def blob():
    """A smooth image off the centre, 0 towards the border."""
    row, column = np.mgrid[:41, :41]
    return torch.from_numpy(np.exp(-((row - 17) ** 2 + (column - 24) ** 2) / 30))[None, None]


def centre_of_mass(image):
    row, column = np.mgrid[: image.shape[2], : image.shape[3]]
    values = image[0, 0].numpy() / image.sum().item()
    return (values * row).sum(), (values * column).sum()


def test_mirror_and_quarter_turns_are_exact(blob):
    transformed = ImageTransformation(mirror=True, quarter_turns=1).apply(blob, "zeros")
    assert np.array_equal(transformed[0, 0].numpy(), np.rot90(np.fliplr(blob[0, 0].numpy())))


def test_a_quarter_turn_is_a_rotation_by_ninety_degrees(blob):
    turned = ImageTransformation(quarter_turns=1).apply(blob, "zeros")
    torch.testing.assert_close(ImageTransformation(rotation=90).apply(blob, "zeros"), turned, rtol=0, atol=1e-9)


def test_rotation_equals_scikit_image(blob):
    found = ImageTransformation(rotation=25).apply(blob, "zeros")[0, 0].numpy()
    np.testing.assert_allclose(found, rotate(blob[0, 0].numpy(), 25, order=1), atol=1e-9)


def test_shift_and_scale_move_the_centre_of_mass():
    row, column = np.mgrid[:30, :50]
    image = torch.from_numpy(np.exp(-((row - 12) ** 2 + (column - 27) ** 2) / 10))[None, None]
    shifted = ImageTransformation(shift=(0.1, -0.2)).apply(image, "zeros")
    assert centre_of_mass(shifted) == pytest.approx((12 + 3, 27 - 10), abs=1e-6)
    scaled = ImageTransformation(scale=1.5).apply(image, "zeros")
    assert centre_of_mass(scaled) == pytest.approx((14.5 + 1.5 * (12 - 14.5), 24.5 + 1.5 * (27 - 24.5)), abs=0.02)
    assert scaled.sum().item() == pytest.approx(1.5**2 * image.sum().item(), rel=1e-2)


@pytest.mark.parametrize(
    "transformation",
    [
        ImageTransformation(rotation=20),
        ImageTransformation(mirror=True, quarter_turns=3, rotation=-8, scale=1.1, shift=(0.05, -0.02)),
        ImageTransformation(scale=0.8),
        ImageTransformation(mirror=True, quarter_turns=2),
    ],
)
def test_undo_brings_back_the_original(blob, transformation):
    back, valid = transformation.undo(transformation.apply(blob, "border"))
    assert valid[0, 0, 14:22, 20:28].min() > 0.999
    torch.testing.assert_close(back, blob, rtol=0, atol=0.05)  # two bilinear interpolations flatten the peak


def test_validity_marks_what_the_transformed_image_shows(blob):
    _, valid = ImageTransformation(shift=(0.0, 10 / 41)).undo(blob)
    torch.testing.assert_close(valid[0, 0, :, :31], torch.ones(41, 31, dtype=torch.float64))
    torch.testing.assert_close(valid[0, 0, :, 31:], torch.zeros(41, 10, dtype=torch.float64), rtol=0, atol=1e-12)
    assert ImageTransformation(scale=0.7).undo(blob)[1].min() > 0.999
    assert ImageTransformation(scale=1.5).undo(blob)[1][0, 0, 0, 20] == 0


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match=r"square images, found \(4, 6\)"):
        ImageTransformation(quarter_turns=1).apply(torch.zeros(1, 1, 4, 6), "zeros")
    with pytest.raises(ValueError, match="scale must be positive"):
        ImageTransformation(scale=0)
