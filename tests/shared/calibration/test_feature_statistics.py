import pytest
import torch
from torch import nn

from shared.calibration.feature_statistics import feature_statistics


def test_statistics_equal_hooked_maps():
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.ReLU())
    images = torch.randn(5, 2, 9, 9)
    maps = [images]
    for layer in (features[0], features[3]):
        layer.register_forward_hook(lambda module, inputs, output: maps.append(output.clone()))
    expected_output = features(images)
    hooked = list(maps)
    output, statistics = feature_statistics(features, images)
    torch.testing.assert_close(output, expected_output)
    columns = []
    for group in hooked:
        columns += [group[:, c].flatten(1).mean(1) for c in range(group.shape[1])]
        columns += [group[:, c].flatten(1).std(1, correction=0) for c in range(group.shape[1])]
    torch.testing.assert_close(statistics, torch.stack(columns, dim=1))


def test_refuses_other_modules():
    with pytest.raises(TypeError, match="Sequential"):
        feature_statistics(nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 5, 5))
