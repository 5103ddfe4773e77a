"""The ensemble's probability is the mean of its members' calibrated ones."""

from __future__ import annotations

import pytest
import torch

from shared.data.errors import DataError
from shared.data.files import write_json

TEMPERATURES = [0.5, 1.0, 3.0]


@pytest.fixture(scope="module")
def load(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


def members_of(load, name):
    networks, experts = load("networks"), load("experts")
    made = []
    for seed in range(3):
        torch.manual_seed(seed)
        image = experts.ImageClassifier(width=2, image_size=32)
        made.append(networks.assemble(name, image, experts.AttributePerceptron()).eval())
        with torch.no_grad():
            for parameter in made[-1].parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.fixture
def bags():
    torch.manual_seed(9)
    lengths = torch.tensor([3, 1, 4])
    return torch.rand(8, 3, 32, 32), lengths, torch.tensor([[50.0, 9.0], [80.0, 40.0], [33.0, 5.0]])


@pytest.mark.parametrize("name", ["ImageClassifier", "AttributePerceptron", "AveragedClassifier", "MixtureOfExperts"])
def test_the_mean_of_calibrated_probabilities(load, bags, name):
    members = members_of(load, name)
    ensemble = load("ensemble").FoldEnsemble(members, TEMPERATURES, image_size=32).eval()
    with torch.no_grad():
        outputs, parts = ensemble.outputs(*bags), [member.outputs(*bags) for member in members]
        expected = sum((part["logits"] / t).sigmoid() for part, t in zip(parts, TEMPERATURES, strict=True)) / 3
        torch.testing.assert_close(ensemble(*bags).sigmoid(), expected)
        torch.testing.assert_close(outputs["embedding"], torch.cat([part["embedding"] for part in parts], dim=1))
        if "expert_logits" in parts[0]:
            experts = sum(part["expert_logits"].sigmoid() for part in parts) / 3
            torch.testing.assert_close(outputs["expert_logits"].sigmoid(), experts)
            torch.testing.assert_close(outputs["gate"], sum(part["gate"] for part in parts) / 3)


def test_certainty_stays_finite(load):
    logits = torch.tensor([[400.0], [300.0]])
    found = load("ensemble").mean_probability_logit(logits)
    # 1 − p = (e⁻⁴⁰⁰ + e⁻³⁰⁰) / 2
    torch.testing.assert_close(found, torch.tensor([300 + torch.log(torch.tensor(2.0))]))


def test_the_weights_hold_the_temperatures(load):
    ensemble = load("ensemble").FoldEnsemble
    made = ensemble(members_of(load, "AttributePerceptron"), TEMPERATURES, 32)
    other = ensemble(members_of(load, "AttributePerceptron")[::-1], [1.0, 1.0, 1.0], 32)
    other.load_state_dict(made.state_dict())
    assert other.temperatures.tolist() == TEMPERATURES
    with pytest.raises(ValueError, match="one temperature for each member"):
        ensemble(members_of(load, "AttributePerceptron"), [1.0], 32)


def test_a_manifest_makes_the_members_that_it_names(load, repository, tmp_path):
    config = repository / "bundles" / "lymphocytosis_moe" / "configs" / "inference.json"
    read = load("ensemble").read_ensemble
    with pytest.raises(DataError, match=r"reproduce\.py lymphocytosis_moe"):
        read(tmp_path, config)
    write_json(tmp_path / "ensemble.json", {"members": [{"fold": 1}], "overrides": {}})
    with pytest.raises(DataError, match="temperature"):
        read(tmp_path, config)
    overrides = {"network_name": "AveragedClassifier", "width": 3, "image_size": 64}
    write_json(
        tmp_path / "ensemble.json", {"members": [{"temperature": 2}, {"temperature": 4}], "overrides": overrides}
    )
    ensemble = read(tmp_path, config)
    assert ensemble.image_size == 64
    assert ensemble.temperatures.tolist() == [2, 4]
    first, second = ensemble.members
    assert type(first).__name__ == "AveragedClassifier"
    assert first.image_expert.resnet.width == 3
    assert first.image_expert.head.weight is not second.image_expert.head.weight


@pytest.mark.parametrize("name", ["one_cell.OneCell", "embedded_bags.BagExperts"])
def test_what_asks_one_network_says_what_to_do_with_an_ensemble(load, name):
    module, class_name = name.split(".")
    ensemble = load("ensemble").FoldEnsemble(members_of(load, "MixtureOfExperts"), TEMPERATURES, image_size=32)
    with pytest.raises(DataError, match=r"ensemble of 3 networks.*--ckpt_dir"):
        getattr(load(module), class_name)(ensemble)
    assert getattr(load(module), class_name)(ensemble.members[0])
