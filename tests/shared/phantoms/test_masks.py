"""Truth bits: a round trip, and what is refused."""

import numpy as np
import pytest

from shared.phantoms.masks import TruthBits

BITS = TruthBits(("cell", "nucleus", "granules"))


def test_every_combination_comes_back():
    image = np.arange(8).reshape(2, 4)
    masks = {
        name: np.array([[int(f"{v:03b}"[2 - i]) for v in row] for row in image]) for i, name in enumerate(BITS.names)
    }
    encoded = BITS.encode(masks)
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == image.tolist()
    for name, mask in masks.items():
        assert BITS.decode(encoded, name).tolist() == mask.astype(bool).tolist()


def test_refusals():
    with pytest.raises(ValueError, match="'nukleus'"):
        BITS.value("nukleus")
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        BITS.encode({"cell": np.ones((1, 2)), "nucleus": np.ones((1, 3))})
    with pytest.raises(ValueError, match="no masks"):
        BITS.encode({})
    with pytest.raises(ValueError, match="eight"):
        TruthBits(("a", "a"))
    with pytest.raises(ValueError, match="eight"):
        TruthBits(tuple("abcdefghi"))
