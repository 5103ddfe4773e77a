"""NIfTI maps: the same values on the same grid, for every reader."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage

from shared.data.errors import DataError
from shared.saliency.nifti import read_map, write_map

MAP = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32) * 1e-3


def test_nibabel_and_monai_read_the_same_array(tmp_path):
    path = tmp_path / "map.nii.gz"
    write_map(path, MAP, pixel_size_mm=2.5e-4)
    image = nib.load(path)
    assert image.shape == (7, 5, 1)
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(image.dataobj)[..., 0], MAP)
    np.testing.assert_array_equal(LoadImage(image_only=True)(path).numpy()[..., 0], MAP)
    np.testing.assert_array_equal(read_map(path)[0], MAP)
    np.testing.assert_allclose(image.header.get_zooms(), 2.5e-4, rtol=1e-6)
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_qform(), image.header.get_sform(), rtol=1e-5, atol=1e-12)
    assert image.header["cal_max"] == -image.header["cal_min"] == np.abs(MAP).max()


def test_viewers_show_it_upright(tmp_path):
    """Down the rows is towards the back, along the columns towards the patient's left: up and right on the screen."""
    write_map(tmp_path / "map.nii.gz", MAP, pixel_size_mm=(2.0, 3.0))
    image = nib.load(tmp_path / "map.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("P", "L", "S")
    first, down, right = (image.affine @ [*index, 0, 1] for index in ((0, 0), (1, 0), (0, 1)))
    assert (down - first)[:3].tolist() == [0, -2, 0]
    assert (right - first)[:3].tolist() == [-3, 0, 0]
    # the slice as a viewer shows it: canonical axes right and front, drawn from the left and from above
    canonical = nib.as_closest_canonical(image)
    on_screen = np.asarray(canonical.dataobj)[::-1, ::-1, 0].T
    np.testing.assert_array_equal(on_screen, MAP)


def test_keeps_the_affine_of_the_image(tmp_path):
    angle = 0.3
    affine = np.array(
        [[np.cos(angle), -np.sin(angle), 0, 4], [np.sin(angle), np.cos(angle), 0, -7], [0, 0, 2, 1], [0, 0, 0, 1]]
    )
    write_map(tmp_path / "map.nii.gz", MAP, affine=affine)
    values, found = read_map(tmp_path / "map.nii.gz")
    np.testing.assert_allclose(found, affine, atol=1e-6)
    np.testing.assert_array_equal(values, MAP)
    np.testing.assert_allclose(LoadImage(image_only=True)(tmp_path / "map.nii.gz").affine, affine, atol=1e-6)


def test_equal_maps_give_equal_files(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_map(tmp_path / name, MAP, description="integrated gradients, µ" * 9)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert nib.load(tmp_path / "a.nii.gz").header["descrip"].item().startswith(b"integrated gradients")


@pytest.mark.parametrize(
    ("attribution", "options", "message"),
    [
        (np.zeros((1, 3, 3)), {}, "found shape \\(1, 3, 3\\)"),
        (np.full((3, 3), np.nan), {}, "NaN"),
        (np.zeros((3, 3)), {"affine": np.eye(3)}, "affine must be"),
        (np.zeros((3, 3)), {"pixel_size_mm": 0.0}, "pixel_size_mm must be positive"),
    ],
)
def test_refused(tmp_path, attribution, options, message):
    with pytest.raises(ValueError, match=message):
        write_map(tmp_path / "map.nii.gz", attribution, **options)
    assert not list(tmp_path.iterdir())


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.nii\.gz"):
        write_map(tmp_path / "map.nii", MAP)
    with pytest.raises(DataError, match="no such file"):
        read_map(tmp_path / "absent.nii.gz")
    whole = tmp_path / "whole.nii.gz"
    write_map(whole, MAP)
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"cut\.nii\.gz: not a whole NIfTI file"):
        read_map(tmp_path / "cut.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), dtype=np.float32), np.eye(4)), tmp_path / "volume.nii.gz")
    with pytest.raises(DataError, match="expected one map"):
        read_map(tmp_path / "volume.nii.gz")
