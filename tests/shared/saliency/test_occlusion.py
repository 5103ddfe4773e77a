import pytest
import torch
from captum.attr import Occlusion as CaptumOcclusion
from torch import nn

from shared.saliency.occlusion import Occlusion

TARGET = torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(("window", "stride"), [(3, 3), (5, 2), (4, 3), (11, 5), (1, 1)])
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_equals_captum(network, images, window, stride, baseline):
    maps = Occlusion(network, window, stride, baseline, chunk_size=9).attribute(images, TARGET)
    sizes = {"sliding_window_shapes": (1, window, window), "strides": (1, stride, stride)}
    expected = CaptumOcclusion(network.eval()).attribute(images, baselines=baseline, target=TARGET, **sizes)
    # captum's are of single precision
    torch.testing.assert_close(maps, expected.double(), rtol=1e-4, atol=1e-6)
    assert maps.abs().max() > 0.01


def test_the_definition_on_a_colour_image_that_is_not_square():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 9, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    image = torch.rand(1, 3, 5, 9, dtype=torch.float64)
    maps = Occlusion(network, 4, 2, baseline="minimum").attribute_classes(image).maps
    total, number = torch.zeros(2, 5, 9, dtype=torch.float64), torch.zeros(5, 9)
    with torch.no_grad():
        for top in (0, 2):
            for left in (0, 2, 4, 6):
                covered = image.clone()
                place = (..., slice(top, top + 4), slice(left, left + 4))
                covered[place] = image.amin(dim=(2, 3), keepdim=True)
                total[place] += (network(image) - network(covered))[0][:, None, None]
                number[place] += 1
    torch.testing.assert_close(maps[0], (total / number)[:, None].expand(2, 3, 5, 9))


def test_single_pixels_of_a_linear_network_give_its_terms(linear, images):
    maps = Occlusion(linear, window=1, stride=1).attribute(images, 1)
    torch.testing.assert_close(maps, images * linear[1].weight[1].detach().view(1, 1, 12, 12))


def test_a_window_that_covers_everything_is_refused(network, images):
    with pytest.raises(ValueError, match="a window of 12 covers the whole image of 12 x 12"):
        Occlusion(network, window=12).attribute(images)


@pytest.mark.parametrize("wrong", [{"stride": 17}, {"stride": 0}, {"chunk_size": 0}])
def test_meaningless_parameters_are_refused(network, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Occlusion(network, **wrong)
