import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import nn

from shared.saliency.rise import RISE, random_masks

TARGET = torch.tensor([0, 1, 2, 0])


def masks_one_by_one(number, cells, probability, size, seed):
    """The paper's section 3.2 with the same draws: upsample each grid, cut it out."""
    generator = torch.Generator().manual_seed(seed)
    shown = (torch.rand(number, cells, cells, generator=generator) < probability).double().numpy()
    places = torch.rand(number, 2, generator=generator).numpy()
    cell = [int(np.ceil(length / cells)) for length in size]
    masks = []
    for grid, place in zip(shown, places, strict=True):
        begin = [int(place[axis] * cell[axis]) for axis in (0, 1)]
        at = [(np.arange(size[axis]) + begin[axis] + 0.5) * cells / ((cells + 1) * cell[axis]) - 0.5 for axis in (0, 1)]
        masks.append(map_coordinates(grid, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest"))
    return torch.from_numpy(np.stack(masks))


@pytest.mark.parametrize("score", ["softmax", "sigmoid", "logit"])
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_equals_the_paper_one_mask_at_a_time(network, images, score, baseline):
    method = RISE(network, masks=15, cells=3, probability=0.4, score=score, baseline=baseline, seed=6, chunk_size=4)
    maps = method.attribute(images, TARGET)
    masks = masks_one_by_one(15, 3, 0.4, (12, 12), 6)
    network.eval()
    for image, target, found in zip(images, TARGET, maps, strict=True):
        expected = torch.zeros(12, 12, dtype=torch.float64)
        for mask in masks:
            with torch.no_grad():
                logits = network((image * mask + baseline * (1 - mask))[None])[0]
            scores = {"softmax": logits.softmax(0), "sigmoid": logits.sigmoid(), "logit": logits}[score]
            expected += scores[target] * mask / (0.4 * 15)
        torch.testing.assert_close(found[0], expected)


def test_masks_of_an_image_that_is_not_square():
    generator = torch.Generator().manual_seed(1)
    shown = (torch.rand(6, 4, 4, generator=generator) < 0.5).double()
    places = torch.rand(6, 2, generator=generator)
    masks = random_masks(shown, places, (9, 14))
    torch.testing.assert_close(masks, masks_one_by_one(6, 4, 0.5, (9, 14), 1))
    assert masks.min() >= 0
    assert masks.max() <= 1


def test_the_pixel_that_alone_matters_is_found():
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 2, bias=False))
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].weight[1, 4 * 12 + 9] = 6.0
    maps = RISE(network, masks=400, cells=6).attribute(torch.ones(1, 1, 12, 12), 1)
    row, column = divmod(int(maps.argmax()), 12)
    assert abs(row - 4) <= 1
    assert abs(column - 9) <= 1


@pytest.mark.parametrize(
    "wrong", [{"masks": 0}, {"cells": 0}, {"chunk_size": 0}, {"probability": 1.0}, {"score": "probability"}]
)
def test_meaningless_parameters_are_refused(network, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RISE(network, **wrong)
