"""What surrounds the network: loss, statistics of slides, outputs for calibration, and the picture in TensorBoard."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine

LENGTHS = torch.tensor([5, 1, 8])


@pytest.fixture(scope="module")
def features():
    return torch.randn(14, 6, generator=torch.Generator().manual_seed(1)) * 2 + 1


@pytest.fixture
def network(scripts):
    def build(name="gated_attention", **options):
        torch.manual_seed(0)
        return scripts("networks").assemble(name, in_features=6, embedding=4, attention_dimension=3, **options).eval()

    return build


def test_loss_is_the_weighted_negative_log_likelihood(scripts):
    logits, labels = torch.tensor([[0.3], [-1.0], [2.0]]), torch.tensor([1, 0, 1])
    probabilities = [1 / (1 + math.exp(-z)) for z in logits[:, 0].tolist()]
    expected = -(3 * math.log(probabilities[0]) + math.log(1 - probabilities[1]) + 3 * math.log(probabilities[2])) / 3
    assert float(scripts("losses").BagLoss(3.0)(logits, labels)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="above zero, found 0"):
        scripts("losses").BagLoss(0)


def test_statistics_written_slowly(scripts, features):
    found = scripts("bag_statistics").bag_statistics(features, LENGTHS)
    for row, bag in zip(found, features.double().split(LENGTHS.tolist()), strict=True):
        mean = [sum(float(x[k]) for x in bag) / len(bag) for k in range(6)]
        apart = [sum((float(x[k]) - mean[k]) ** 2 for k in range(6)) / 6 for x in bag]
        assert float(row[0]) == pytest.approx(math.log(sum(m * m for m in mean) / 6), rel=1e-4)
        if len(bag) > 1:
            spread = math.log(sum(apart) / len(bag))
            tail = math.log(sum(a * a for a in apart) / len(bag)) - 2 * spread
            assert row[1:].tolist() == pytest.approx([spread, tail], rel=1e-4)
    assert found.isfinite().all(), "a slide of one tile too"


def test_statistics_tell_another_stain_but_not_the_number_of_tiles(scripts):
    statistics = scripts("bag_statistics").bag_statistics
    usual = torch.randn(40 * 200, 6, generator=torch.Generator().manual_seed(2))
    rows = statistics(usual, torch.full((40,), 200))
    moved = statistics(usual[:200] + 1.5, torch.tensor([200]))
    assert float(moved[0, 0]) > float(rows[:, 0].max()) + 2
    twice = statistics(usual[:200].repeat(2, 1), torch.tensor([400]))
    torch.testing.assert_close(twice[0], rows[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gated_attention", "max_instance"])
def test_inferer_gives_two_classes_whose_softmax_is_the_sigmoid(scripts, network, features, name):
    net = network(name, standardise=True)
    net.standardisation().fit(features.split(LENGTHS.tolist()))
    outputs = scripts("inferers").BagOutputsInferer()(features, net, lengths=LENGTHS)
    assert outputs["logits"].shape == (3, 1, 2)
    assert outputs["embedding"].shape == (3, 4)
    probability = outputs["logits"].softmax(dim=2)[:, 0, 1]
    torch.testing.assert_close(probability, net(features, LENGTHS)[:, 0].sigmoid())
    standardised = net.standardisation()(features)
    expected = scripts("bag_statistics").bag_statistics(standardised, LENGTHS)
    torch.testing.assert_close(outputs["image_statistics"], expected)


def test_monitoring(scripts):
    monitoring = scripts("monitoring")
    output = {"pred": torch.tensor([[2.0], [-1.0], [0.5]]), "label": torch.tensor([1, 0, 0]), "loss": torch.tensor(0.7)}
    decisions, labels = monitoring.decisions_and_labels(output)
    assert decisions.tolist() == [1, 0, 1]
    assert labels.tolist() == [1, 0, 0]
    assert monitoring.training_scalars(output) == {"train_loss": pytest.approx(0.7)}
    engine = Engine(lambda _engine, batch: batch)
    monitoring.validation_metrics()["val_loss"].attach(engine, "val_loss")
    halves = [{key: value[part] for key, value in output.items() if key != "loss"} for part in (slice(2), slice(2, 3))]
    engine.run(halves)
    expected = [math.log1p(math.exp(-2)), math.log1p(math.exp(-1)), math.log1p(math.exp(0.5))]
    assert engine.state.metrics["val_loss"] == pytest.approx(np.mean(expected), rel=1e-5)


class TestPicture:
    @pytest.fixture
    def record(self, scripts, tmp_path):
        """A slide of 2 × 3 tiles, one corner without tissue."""
        feature_file = scripts("feature_file")
        rng = np.random.default_rng(0)
        coords = np.array([[0, 0], [256, 0], [0, 256], [256, 256], [256, 512]])
        attributes = feature_file.FeatureAttributes("a", level0_tile_size=256.0, slide_size=(512, 768))
        part = (rng.standard_normal((5, 6)).astype(np.float16), coords, np.array([0, 1, 0, 0, 0], np.float32))
        feature_file.write_features(tmp_path / "a.h5", [part], 5, attributes)
        return {"id": "a", "features": str(tmp_path / "a.h5"), "label": 1}

    def test_values_are_the_networks(self, scripts, network, features):
        values = scripts("instance_monitor").tile_values
        net = network()
        torch.testing.assert_close(values(net, features[:5]), 5 * net.instance_weights(features[:5], torch.tensor([5])))
        net = network("max_instance")
        torch.testing.assert_close(
            values(net, features[:5]), net.instance_logits(features[:5], torch.tensor([5]))[:, 0]
        )

    @pytest.mark.parametrize(("name", "shown"), [("attention", True), ("max_instance", True), ("mean_embedding", 0)])
    def test_written_at_its_epochs(self, scripts, network, record, tmp_path, name, shown):
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        load = scripts("feature_bags").LoadFeatureBagd()
        net = network(name)
        net.train()
        monitor = scripts("instance_monitor").InstanceMonitor(
            net, load, [record], ["normal", "tumour"], tmp_path / "logs", interval=2
        )
        trainer = Engine(lambda _engine, _batch: None)
        monitor.attach(trainer)
        trainer.run([0], max_epochs=5)
        assert net.training
        steps = []
        for file in (tmp_path / "logs").rglob("events*"):
            events = accumulator.EventAccumulator(str(file)).Reload()
            if "instances" in events.Tags()["images"]:
                steps += [image.step for image in events.Images("instances")]
        assert steps == ([2, 4] if shown else [])

    def test_more_weight_is_brighter(self, scripts):
        grid = np.array([[0.1, 5.0], [np.nan, 0.2]])
        picture = scripts("instance_monitor").instance_picture([("slide", [grid, grid > 1])], "weight")
        dark = scripts("instance_monitor").instance_picture([("slide", [grid.T * 0 + 0.1, grid > 1])], "weight")
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert not np.array_equal(picture, dark)
