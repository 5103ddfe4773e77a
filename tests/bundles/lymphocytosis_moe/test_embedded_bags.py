"""Subsets of embedded cells give what the network gives for those images, for every network and pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

SIZE = 32


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def build(scripts):
    """A small network with weights that matter."""

    def make(name, pooling="mean"):
        torch.manual_seed(0)
        networks = scripts("networks")
        image = networks.ImageClassifier(width=4, image_size=SIZE, pooling=pooling, chunk_size=8)
        attributes = networks.AttributePerceptron()
        attributes.standardisation.fit([[60.0, 5.0], [80.0, 40.0], [40.0, 9.0]])
        network = networks.assemble(name, image, attributes)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return network.eval()

    return make


@pytest.fixture(scope="module")
def patient():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 256, (11, 3, SIZE, SIZE), dtype=np.uint8))
    return image, torch.tensor([71.0, 12.5])


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
@pytest.mark.parametrize("name", ["ImageClassifier", "AveragedClassifier", "MixtureOfExperts"])
def test_subsets_give_the_networks_logits_for_those_images(scripts, build, patient, name, pooling, monkeypatch):
    module = scripts("embedded_bags")
    network, (image, attributes) = build(name, pooling), patient
    subsets = [np.array([0, 3, 4]), np.array([10]), np.arange(11), np.array([7, 2])]
    # chunks smaller than all subsets together
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 4 * network.cell_embeddings(image[:1]).shape[1])
    experts = module.BagExperts(network)
    logits = experts.of_subsets(module.embed_cells(network, image, batch_size=4), subsets, attributes)
    for index, subset in enumerate(subsets):
        outputs = network.outputs(image[subset], torch.tensor([len(subset)]), attributes[None])
        assert logits[experts.parts[-1]][index] == pytest.approx(float(outputs["logits"].detach()), abs=1e-5)
        if "expert_logits" in outputs:
            found = [logits["image"][index], logits["attributes"][index]]
            np.testing.assert_allclose(found, outputs["expert_logits"][0].detach(), atol=1e-5)
        if name == "MixtureOfExperts":
            assert logits["gate"][index] == pytest.approx(float(outputs["gate"].detach()), abs=1e-6)
    assert ("gate" in logits) == (name == "MixtureOfExperts")
    assert len(set(np.round(logits["image"], 6))) == len(subsets)


def test_attribute_expert_answers_without_cells(scripts, build, patient):
    module = scripts("embedded_bags")
    network, (image, attributes) = build("AttributePerceptron"), patient
    experts = module.BagExperts(network)
    logit = experts(torch.zeros(1, 0), attributes[None])["attributes"]
    assert logit.item() == pytest.approx(network(image, torch.tensor([11]), attributes[None]).item())
    with pytest.raises(TypeError, match="does not look at cells"):
        experts.of_subsets(torch.zeros(1, 4), [np.array([0])], attributes)


def test_other_networks_are_refused(scripts):
    with pytest.raises(TypeError, match="Linear is none"):
        scripts("embedded_bags").BagExperts(torch.nn.Linear(1, 1))
