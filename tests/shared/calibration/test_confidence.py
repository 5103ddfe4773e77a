import numpy as np
import pytest
import torch

from shared.calibration.confidence import chance_corrected_confidence


@pytest.mark.parametrize("num_classes", [2, 3, 4, 10])
def test_chance_is_zero_and_certainty_is_one(num_classes):
    uniform = np.full((1, num_classes), 1 / num_classes)
    assert chance_corrected_confidence(uniform) == pytest.approx(0, abs=1e-15)
    assert (chance_corrected_confidence(np.eye(num_classes)) == 1).all()
    assert (chance_corrected_confidence(uniform.astype(np.float32)) >= 0).all()


def test_two_classes_give_the_margin():
    first = np.linspace(0, 1, 11)
    margin = chance_corrected_confidence(np.stack([first, 1 - first], axis=1))
    np.testing.assert_allclose(margin, np.abs(2 * first - 1), atol=1e-15)


def test_is_linear_in_the_largest_probability():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 6))
    confidence = chance_corrected_confidence(probabilities)
    assert confidence.shape == (5, 6)
    np.testing.assert_allclose((1 + 3 * confidence) / 4, probabilities.max(-1), atol=1e-15)


def test_tensors_and_arrays_agree():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=20)
    tensor = chance_corrected_confidence(torch.from_numpy(probabilities))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), chance_corrected_confidence(probabilities))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least two classes"):
        chance_corrected_confidence(np.ones((3, 1)))
