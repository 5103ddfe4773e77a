"""What calibration, TensorBoard and outlier scores get of a network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

LENGTHS = torch.tensor([2, 3, 1])
ATTRIBUTES = torch.tensor([[70.0, 8.0], [40.0, 20.0], [55.0, 4.0]])
LABELS = torch.tensor([1, 0, 1])


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def images():
    return torch.randint(256, (6, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture
def build(scripts):
    networks = scripts("networks")

    def build(name):
        torch.manual_seed(0)
        network = networks.assemble(
            name, networks.ImageClassifier(width=4, image_size=32), networks.AttributePerceptron()
        )
        return network.eval()

    return build


def test_two_class_logits_give_the_network_s_probability(scripts, build, images):
    network = build("MixtureOfExperts")
    inferer = scripts("inferers").BagOutputsInferer()
    found = inferer(images, scripts("named_outputs").NamedOutputs(network), lengths=LENGTHS, attributes=ATTRIBUTES)
    probability = network(images, LENGTHS, ATTRIBUTES)[:, 0].sigmoid()
    assert found["logits"].shape == (3, 1, 2)
    torch.testing.assert_close(found["logits"][:, 0].softmax(1)[:, 1], probability)
    experts = torch.stack([found["expert_probability_image"], found["expert_probability_attributes"]], 1)
    torch.testing.assert_close(experts, network.expert_logits(images, LENGTHS, ATTRIBUTES).sigmoid())
    mixed = found["gate"] * experts[:, 0] + (1 - found["gate"]) * experts[:, 1]
    torch.testing.assert_close(mixed, probability)
    assert set(scripts("inferers").expert_columns(network)) <= set(found)


@pytest.mark.parametrize("name", ["ImageClassifier", "AttributePerceptron"])
def test_one_expert_has_no_columns_of_experts(scripts, build, images, name):
    network = build(name)
    inferer = scripts("inferers").BagOutputsInferer()
    found = inferer(images, scripts("named_outputs").NamedOutputs(network), lengths=LENGTHS, attributes=ATTRIBUTES)
    assert set(found) == {"logits", "embedding", "image_statistics"}
    assert scripts("inferers").expert_columns(network) == ()


def test_bfloat16_runs_the_encoder_in_it(scripts, build, images):
    network = build("ImageClassifier")
    kinds = []
    network.encoder.register_forward_hook(lambda _module, _inputs, output: kinds.append(output.dtype))
    for bfloat16 in (False, True):
        scripts("inferers").BagInferer(bfloat16)(images, network, lengths=LENGTHS)
    assert kinds == [torch.float32, torch.bfloat16]


def test_the_inferer_leaves_the_engine_s_own_precision_alone(scripts, build, images):
    """MONAI's engines call it within the autocast that ``amp`` asks for."""
    network = build("ImageClassifier")
    kinds = []
    network.encoder.register_forward_hook(lambda _module, _inputs, output: kinds.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scripts("inferers").BagInferer(False)(images, network, lengths=LENGTHS)
    assert kinds == [torch.bfloat16]


@pytest.mark.parametrize("images_at_a_time", [256, 4])
def test_bag_statistics_written_slowly(scripts, images, images_at_a_time, monkeypatch):
    monkeypatch.setattr(scripts("bag_statistics"), "CHUNK_IMAGES", images_at_a_time)
    found = scripts("bag_statistics").bag_statistics(images, LENGTHS, ATTRIBUTES)
    for index, bag in enumerate(images.split(LENGTHS.tolist())):
        pixels = bag.numpy() / 255
        means = [np.mean([image[colour].mean() for image in pixels]) for colour in range(3)]
        deviations = [np.mean([image[colour].std() for image in pixels]) for colour in range(3)]
        expected = [*means, *deviations, float(ATTRIBUTES[index, 0]), math.log(float(ATTRIBUTES[index, 1]))]
        np.testing.assert_allclose(found[index], expected, rtol=1e-5)
    floats = scripts("bag_statistics").bag_statistics(images / 255, LENGTHS, ATTRIBUTES)
    torch.testing.assert_close(floats, found)


class TestMonitoring:
    @torch.no_grad()
    def output(self, build, images, name):
        outputs = build(name).outputs(images, LENGTHS, ATTRIBUTES)
        return {"pred": outputs, "label": LABELS, "loss": torch.tensor(0.25)}

    def test_scalars_of_an_iteration(self, scripts, build, images):
        output = self.output(build, images, "MixtureOfExperts")
        found = scripts("monitoring").training_scalars(output)
        experts = output["pred"]["expert_logits"].sigmoid().numpy()
        expected = {
            "train_loss": 0.25,
            "train_loss_image_expert": log_loss(LABELS, experts[:, 0]),
            "train_loss_attribute_expert": log_loss(LABELS, experts[:, 1]),
            "train_gate": float(output["pred"]["gate"].mean()),
        }
        assert found == pytest.approx(expected, rel=1e-5)
        alone = scripts("monitoring").training_scalars(self.output(build, images, "ImageClassifier"))
        assert set(alone) == {"train_loss"}

    def test_metrics_of_a_validation_count_every_patient_once(self, scripts, build, images):
        """Two batches of different size give the numbers of one."""
        monitoring, network = scripts("monitoring"), build("MixtureOfExperts")
        metrics = monitoring.validation_metrics(network)
        whole = self.output(build, images, "MixtureOfExperts")
        for metric in metrics.values():
            for part in (slice(0, 2), slice(2, 3)):
                pred = {name: value[part] for name, value in whole["pred"].items()}
                metric.update(metric._output_transform({"pred": pred, "label": LABELS[part]}))
        found = {name: float(metric.compute()) for name, metric in metrics.items()}
        expected = monitoring.training_scalars(whole)
        assert found["val_loss_image_expert"] == pytest.approx(expected["train_loss_image_expert"])
        assert found["val_gate"] == pytest.approx(expected["train_gate"])
        logits = whole["pred"]["logits"].sigmoid().numpy()[:, 0]
        assert found["val_loss"] == pytest.approx(log_loss(LABELS, logits), rel=1e-5)
        assert set(monitoring.validation_metrics(network.image_expert)) == {"val_loss"}
