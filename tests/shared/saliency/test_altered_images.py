"""Responses of a linear network, whose logit and maps follow from the strength by formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shared.saliency.altered_images import AlteredImages, image_response_rows
from shared.saliency.base import Attribution
from shared.saliency.controls import RandomMap
from shared.saliency.input_gradient import InputXGradient

STRENGTHS = (0.0, 0.5, 1.0)


class Weighted(nn.Module):
    """Logit 0 is the sum of the left half, logit 1 minus that."""

    def forward(self, images):
        total = images[..., :6].sum(dim=(1, 2, 3))
        return torch.stack([total, -total], dim=1)


def altered(of, label, target, seed=0, phantoms=3):
    """Noise images with a square of rising brightness in the left half."""
    rng = np.random.default_rng(seed)
    images = np.repeat(rng.random((phantoms, 1, 1, 12, 12)), len(STRENGTHS), axis=1)
    causes = np.zeros((phantoms, len(STRENGTHS), 12, 12), bool)
    causes[:, :, 2:5, 1:4] = True
    images[:, :, 0, 2:5, 1:4] += np.array(STRENGTHS)[None, :, None, None]
    return AlteredImages(of, label, target, STRENGTHS, torch.from_numpy(images), causes)


class Counting(Attribution):
    """Remembers how many images it was given."""

    def __init__(self, network):
        super().__init__(network)
        self.count = 0

    def _attribute(self, images, target):
        self.count += len(images)
        return images


def rows_of(parts, methods, network):
    rows = image_response_rows(parts, methods, network, batch_size=4)
    return {(row["measure"], row["method"], row["of"], row.get("label")): row["value"] for row in rows}


def test_output_and_maps_follow_the_cause_with_their_sign():
    network = Weighted()
    parts = [altered("brightness", "for", 0), altered("brightness", "against", 1, seed=1)]
    found = rows_of(parts, {"gradient": InputXGradient(network), "random_map": RandomMap(network)}, network)
    assert found["output_response", None, "brightness", "for"] == 1
    assert found["output_response", None, "brightness", "against"] == -1
    assert found["output_response", None, "brightness", None] == 0
    # x * gradient is x on the left for logit 0, and -x for logit 1
    assert found["map_response", "gradient", "brightness", "for"] == 1
    assert found["map_response", "gradient", "brightness", "against"] == -1
    assert abs(found["map_response", "random_map", "brightness", None]) < 1


def test_equal_images_explained_for_the_same_class_are_computed_once():
    network = Weighted()
    method = Counting(network)
    parts = [altered("brightness", "for", 0), altered("size", "for", 0), altered("size", "against", 1)]
    found = rows_of(parts, {"counting": method}, network)
    assert method.count == 9 + 9  # of 27, nine are those of another alteration; nine are explained for another class
    assert found["output_response", None, "size", "against"] == -1
    assert found["output_response", None, "size", "for"] == 1


def test_shapes_that_differ_are_refused():
    part = altered("brightness", "for", 0)
    with pytest.raises(ValueError, match="expected"):
        AlteredImages("brightness", "for", 0, (0.0, 1.0), part.images, part.causes)
