"""The three paradigms: what is taken from where, what is trained, and what goes wrong by name."""

from __future__ import annotations

import pytest
import torch

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def build(scripts):
    networks = scripts("networks")

    def build(name, seed=0, width=4):
        torch.manual_seed(seed)
        return networks.assemble(
            name, networks.ImageClassifier(width=width, image_size=32), networks.AttributePerceptron()
        )

    return build


@pytest.fixture(scope="module")
def statistics(scripts):
    generator = torch.Generator().manual_seed(0)
    patient = {
        "image": torch.randint(256, (4, 3, 32, 32), generator=generator).byte(),
        "attributes": torch.tensor([70.0, 8.0]),
    }
    return scripts("input_statistics").InputStatistics.fit(
        [patient, {**patient, "attributes": torch.tensor([40.0, 20.0])}]
    )


@pytest.fixture
def average(build, tmp_path):
    """A file of experts that were trained, with statistics of their own."""
    network = build("AveragedClassifier", seed=5)
    network.attribute_expert.standardisation.fit([[10.0, 2.0], [30.0, 3.0]])
    torch.save(network.state_dict(), tmp_path / "average.pt")
    return tmp_path / "average.pt", network


def test_statistics_reach_every_network(scripts, build, statistics):
    initialise = scripts("initialisation").initialise
    for name in ("ImageClassifier", "AveragedClassifier", "MixtureOfExperts"):
        network = build(name)
        initialise(network, statistics)
        expert = network if name == "ImageClassifier" else network.image_expert
        assert torch.equal(expert.centring.mean_image, statistics.mean_image)
    network = build("AttributePerceptron")
    initialise(network, statistics)
    torch.testing.assert_close(
        network.standardisation.centre, torch.tensor([55.0, torch.tensor([8.0, 20.0]).log().mean()])
    )


@pytest.mark.parametrize("paradigm", ["P2", "P3"])
def test_experts_come_from_the_file_with_their_statistics(scripts, build, statistics, average, paradigm):
    file, trained = average
    mixture = build("MixtureOfExperts")
    gate = mixture.gate_kernel.weight.clone()
    scripts("initialisation").initialise(mixture, statistics, paradigm, file, file)
    for name in ("image_expert", "attribute_expert"):
        expected = getattr(trained, name).state_dict()
        found = getattr(mixture, name).state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert torch.equal(mixture.gate_kernel.weight, gate)
    trained_names = {name.split(".")[0] for name, value in mixture.named_parameters() if value.requires_grad}
    gates = {"gate_kernel", "gate_head"}
    assert trained_names == (gates if paradigm == "P2" else gates | {"image_expert", "attribute_expert"})


def test_experts_of_their_own_files(scripts, build, statistics, average, tmp_path):
    _, trained = average
    torch.save(trained.image_expert.state_dict(), tmp_path / "image.pt")
    torch.save(trained.attribute_expert.state_dict(), tmp_path / "attributes.pt")
    mixture = build("MixtureOfExperts")
    scripts("initialisation").initialise(mixture, statistics, "P3", tmp_path / "image.pt", tmp_path / "attributes.pt")
    assert torch.equal(mixture.image_expert.head.weight, trained.image_expert.head.weight)
    assert torch.equal(mixture.attribute_expert.hidden.weight, trained.attribute_expert.hidden.weight)


def test_what_goes_wrong_is_named(scripts, build, statistics, average, tmp_path):
    initialise, file = scripts("initialisation").initialise, average[0]
    with pytest.raises(DataError, match="paradigm is 'P4'"):
        initialise(build("MixtureOfExperts"), statistics, "P4")
    with pytest.raises(DataError, match="image_expert_file is set, but paradigm P1"):
        initialise(build("MixtureOfExperts"), statistics, "P1", file)
    with pytest.raises(DataError, match="P2 needs network_name MixtureOfExperts, found ImageClassifier"):
        initialise(build("ImageClassifier"), statistics, "P2", file, file)
    with pytest.raises(DataError, match="P3 needs image_expert_file and attribute_expert_file"):
        initialise(build("MixtureOfExperts"), statistics, "P3", file)
    with pytest.raises(DataError, match=r"absent\.pt: no such weights"):
        initialise(build("MixtureOfExperts"), statistics, "P3", tmp_path / "absent.pt", file)
    with pytest.raises(DataError, match=r"average\.pt: width is 4 in the weights, expected 8"):
        initialise(build("MixtureOfExperts", width=8), statistics, "P3", file, file)


class TestParameterGroups:
    def test_rates(self, scripts, build):
        network = build("MixtureOfExperts")
        groups = scripts("optimisation").parameter_groups(network, 0.1, 0.2, 0.3, 0.4)
        assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.1, 0.3), (0.2, 0.4)]
        assert {id(p) for p in groups[1]["params"]} == {id(p) for p in network.attribute_expert.parameters()}
        assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))

    def test_frozen_and_missing_parts_are_left_out(self, scripts, build):
        parameter_groups = scripts("optimisation").parameter_groups
        assert [g["lr"] for g in parameter_groups(build("ImageClassifier"), 0.1, 0.2)] == [0.1]
        assert [g["lr"] for g in parameter_groups(build("AttributePerceptron"), 0.1, 0.2)] == [0.2]
        frozen = build("MixtureOfExperts")
        frozen.freeze_experts()
        (group,) = parameter_groups(frozen, 0.1, 0.2)
        assert len(group["params"]) == 3
        frozen.requires_grad_(False)
        with pytest.raises(ValueError, match="no parameter to train"):
            parameter_groups(frozen, 0.1, 0.2)
