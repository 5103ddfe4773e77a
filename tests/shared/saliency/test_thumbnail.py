import numpy as np
import pytest
from PIL import Image

from shared.saliency.explanation_files import ExplanationFiles
from shared.saliency.thumbnail import write_thumbnail


def test_an_image_is_shown_from_its_lowest_to_its_highest_value(tmp_path):
    image = np.linspace(-3, 7, 20).reshape(1, 4, 5)
    write_thumbnail(tmp_path / "a.png", image)
    expected = np.round(255 * (image[0] + 3) / 10)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), expected)


def test_colours_are_kept_and_large_images_made_small(tmp_path):
    image = np.random.default_rng(0).integers(0, 200, size=(3, 40, 20), dtype=np.uint8)
    write_thumbnail(tmp_path / "a.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.moveaxis(image, 0, -1))
    write_thumbnail(tmp_path / "b.png", np.zeros((400, 200)), longest=100)
    assert Image.open(tmp_path / "b.png").size == (50, 100)


@pytest.mark.parametrize("image", [np.zeros((2, 4, 4)), np.zeros(5), np.zeros((0, 4)), np.full((3, 3), np.nan)])
def test_what_is_no_image_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="image"):
        write_thumbnail(tmp_path / "a.png", image)
    assert not (tmp_path / "a.png").exists()


def test_similar_cases_lie_beside_the_sample(tmp_path):
    files = ExplanationFiles(tmp_path)
    name = files.write_similar({"id": "../x"}, 1, np.eye(4))
    assert name.startswith("explanations/")
    assert name.endswith("/similar_2.png")
    assert Image.open(tmp_path / name).size == (4, 4)
