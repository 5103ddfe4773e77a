import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from torch import nn

from shared.calibration.monte_carlo_dropout import MonteCarloDropout
from shared.calibration.monte_carlo_inferer import DrawForSection, MonteCarloInferer


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))

    def forward(self, image):
        return self.head(self.features(image).flatten(1))


def test_in_an_evaluator_each_image_carries_its_own_samples():
    torch.manual_seed(0)
    network, images = Network(), torch.rand(5, 1, 4, 4)
    expected = MonteCarloDropout(network, samples=7, seed=2).sample(images)
    found = []
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(
            Dataset([{"image": MetaTensor(image), "label": 0} for image in images]), batch_size=2
        ),
        network=network,
        inferer=MonteCarloInferer(samples=7, seed=2, image_statistics=lambda images: images.amax((1, 2, 3))[:, None]),
        postprocessing=lambda item: found.append(item["pred"]) or item,
    )
    evaluator.run()
    assert len(found) == 5
    for name in ("logits", "embedding", "feature_statistics"):
        values = torch.stack([prediction[name] for prediction in found])
        assert not isinstance(found[0][name], MetaTensor)
        torch.testing.assert_close(values, getattr(expected, name))
    torch.testing.assert_close(torch.cat([p["image_statistics"] for p in found]), images.amax((1, 2, 3)))


def test_logits_are_drawn_for_the_section_that_needs_them(monkeypatch):
    torch.manual_seed(0)
    network, images = Network(), torch.rand(5, 1, 4, 4)
    expected = MonteCarloDropout(network, samples=7, seed=2).sample(images)
    sections = ["training", "training", "training", "validation", "training"]
    worked_on, found = [], []
    sample = MonteCarloDropout._sample
    monkeypatch.setattr(
        MonteCarloDropout, "_sample", lambda self, hidden: worked_on.append(len(hidden)) or sample(self, hidden)
    )
    records = [{"image": image, "section": section} for image, section in zip(images, sections, strict=True)]
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(records), batch_size=2),
        network=network,
        prepare_batch=DrawForSection("validation"),
        inferer=MonteCarloInferer(samples=7, seed=2),
        postprocessing=lambda item: found.append(item["pred"]) or item,
    ).run()
    assert worked_on == [0, 1, 0]
    logits = torch.stack([prediction["logits"] for prediction in found])
    assert logits.shape == (5, 7, 3)
    torch.testing.assert_close(logits[3], expected.logits[3])
    assert logits[[0, 1, 2, 4]].isnan().all()
    for name in ("embedding", "feature_statistics"):
        torch.testing.assert_close(torch.stack([p[name] for p in found]), getattr(expected, name))


def test_serves_changing_networks():
    inferer, images = MonteCarloInferer(samples=3), torch.rand(2, 1, 4, 4)
    for seed in range(2):
        torch.manual_seed(seed)
        network = Network()
        for _ in range(2):
            for parameter in network.parameters():
                parameter.data += 0.1
            expected = MonteCarloDropout(network, samples=3).logits(images)
            assert torch.equal(inferer(images, network)["logits"], expected)


def test_refuses():
    with pytest.raises(ValueError, match="at least 1"):
        MonteCarloInferer(samples=0)
    with pytest.raises(TypeError, match="images only"):
        MonteCarloInferer()(torch.rand(1, 1, 4, 4), Network(), torch.zeros(1))
