import pytest
import torch

from shared.saliency.score_cam import ScoreCAM, unit_range
from tests.oracles.saliency import score_cam

TARGET = torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_equals_the_paper_one_mask_at_a_time(network, images, score, normalise, baseline):
    with torch.no_grad():
        network.features[3].weight[2] = -5.0  # a dead channel shows nothing
        network.features[3].bias[2] = -5.0
    method = ScoreCAM(network, score=score, normalise=normalise, baseline=baseline, chunk_size=6)
    maps = method.attribute(images, TARGET)
    network.eval()
    for image, target, found in zip(images, TARGET, maps, strict=True):
        expected = score_cam(network.features, network.rest, image, int(target), score, normalise, baseline)
        torch.testing.assert_close(found, expected)
    assert maps.max() > 0


def test_an_image_without_features_has_an_empty_map(network, images):
    with torch.no_grad():
        network.features[3].bias.fill_(-100.0)
    for normalise in (False, True):
        assert torch.equal(ScoreCAM(network, normalise=normalise).attribute(images), torch.zeros_like(images))


def test_unit_range():
    maps = torch.tensor([[[-1.0, 1.0], [0.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]]])
    torch.testing.assert_close(unit_range(maps), torch.tensor([[[0.0, 0.5], [0.25, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]))


@pytest.mark.parametrize("wrong", [{"score": "loss"}, {"chunk_size": 0}])
def test_meaningless_parameters_are_refused(network, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ScoreCAM(network, **wrong)
