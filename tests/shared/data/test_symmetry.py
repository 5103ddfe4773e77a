"""The eight symmetries of the square, against NumPy's turns and flips."""

from __future__ import annotations

import numpy as np
import torch

from shared.data.symmetry import SYMMETRIES, symmetry


def test_all_eight_symmetries():
    image = np.arange(9).reshape(3, 3)
    ours = {tuple(symmetry(torch.from_numpy(image), index).flatten().tolist()) for index in range(SYMMETRIES)}
    expected = {
        tuple(np.rot90(flipped, turns).flatten().tolist()) for turns in range(4) for flipped in (image, image[:, ::-1])
    }
    assert len(expected) == 8
    assert ours == expected
