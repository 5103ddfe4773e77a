"""Small networks and images for the attribution methods."""

import numpy as np
import pytest
import torch
from torch import nn


class SmallNetwork(nn.Module):
    """Two convolutions and a two-layer head for 12 × 12 images, in float64; rectifiers are modules, one in place."""

    def __init__(self, channels=1, classes=3):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Linear(80, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, classes))

    def rest(self, maps):
        return self.head(maps.flatten(1))

    def forward(self, image):
        return self.rest(self.features(image))


@pytest.fixture
def network():
    """Random weights, large enough that the classes differ; in training mode, as a training loop leaves it."""
    torch.manual_seed(3)
    network = SmallNetwork()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network.double().train()


@pytest.fixture
def images():
    return torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.fixture
def linear():
    """Logits linear in the image, without bias: attributions have closed forms."""
    torch.manual_seed(7)
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 3, bias=False)).double()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """30 samples of known class, the first five wrongly predicted, and 4 outliers of two kinds.

    The set is small: donors are resampled however few they are.
    """
    # imports all that explaining needs, for which most tests here need not wait
    from tests.shared.saliency.explained_images import CAUSE, CLASSES

    monkeypatch.setattr("shared.evaluation.resampling_groups.MINIMUM_GROUPS", 1)
    rng = np.random.default_rng(0)
    dataset, records, predictions = [], [], []
    for index in range(34):
        label = index % 3
        image = rng.random((1, 12, 12))
        truth = (rng.random((12, 12)) < 0.2).astype(np.uint8) * CAUSE + rng.integers(0, 8, (12, 12), dtype=np.uint8)
        record = {"id": f"s/{index}", "donor": f"D{index % 4}"}
        predicted = label if index >= 5 else (label + 1) % 3
        if index < 30:
            path = tmp_path / f"truth_{index}.npy"
            np.save(path, truth)
            record |= {"label": label, "truth": str(path)}
        else:
            record |= {"kind": "empty" if index % 2 else "blurred"}
        dataset.append({"image": torch.from_numpy(image)})
        records.append(record)
        predictions.append(
            {
                "id": record["id"],
                "prediction": CLASSES[predicted],
                "confidence": 0.5,
                "decision": "defer",
                "reason": "unsure",
            }
        )
    return dataset, records, predictions
