import pytest
import torch

from shared.saliency.baseline import baseline_images


def test_baselines_are_constant_per_image_and_channel():
    images = torch.tensor([[[[1.0, 3.0]], [[5.0, 9.0]]], [[[0.0, -4.0]], [[2.0, 2.0]]]])
    assert baseline_images(images, 0.5).unique().tolist() == [0.5]
    assert baseline_images(images, "mean")[..., 0, 0].tolist() == [[2.0, 7.0], [-2.0, 2.0]]
    assert baseline_images(images, "minimum")[..., 0, 1].tolist() == [[1.0, 5.0], [-4.0, 2.0]]


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="'mean' or 'minimum', found 'blur'"):
        baseline_images(torch.zeros(1, 1, 2, 2), "blur")
