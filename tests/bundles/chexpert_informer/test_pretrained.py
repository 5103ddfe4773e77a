"""State dicts in every form in which DenseNet weights are handed on give one network; what does not fit is named."""

from __future__ import annotations

import re

import pytest
import torch

from shared.data.errors import DataError

SMALL = {"init_features": 8, "growth_rate": 4, "block_config": (2, 2)}


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def build(scripts):
    def network(classes=5, channels=1, seed=0, **options):
        torch.manual_seed(seed)
        built = scripts("networks").ChestNetwork(classes, channels, **{**SMALL, **options})
        for module in built.modules():  # statistics as after a training, so that they count
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        return built.eval()

    return network


def torchvision_keys(state, separator=""):
    """The keys of torchvision's DenseNet; ``norm.1`` in its first files."""
    new = {}
    for key, value in state.items():
        layer = re.sub(r"\.layers\.(norm|conv)([12])", rf".\1{separator}\2", key)
        new[layer.replace("head.out", "classifier")] = value
    return new


FORMS = {
    "this bundle's": lambda state: state,
    "monai": lambda state: {key.replace("head.out", "class_layers.out"): value for key, value in state.items()},
    "torchvision": torchvision_keys,
    "old torchvision": lambda state: torchvision_keys(state, "."),
    "in parallel": lambda state: {f"module.{key}": value for key, value in torchvision_keys(state).items()},
    "CheXNet": lambda state: {
        "epoch": 3,
        "state_dict": {
            f"module.densenet121.{key.replace('classifier', 'classifier.0')}": value
            for key, value in torchvision_keys(state, ".").items()
        },
    },
    "torchxrayvision": lambda state: {**torchvision_keys(state), "op_threshs": torch.rand(5)},
    "nested twice": lambda state: {"model": {"state_dict": torchvision_keys(state)}, "optimizer": {}},
    "before batches were counted": lambda state: {
        key: value for key, value in torchvision_keys(state).items() if "num_batches_tracked" not in key
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_network(scripts, build, tmp_path, form):
    source, target = build(seed=1), build(seed=2)
    torch.save(FORMS[form](source.state_dict()), tmp_path / "weights.pt")
    taken = scripts("pretrained").load_pretrained(target, tmp_path / "weights.pt")
    assert taken.left_out == ()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(target(images), source(images), rtol=0, atol=0)


def test_a_first_convolution_of_three_channels_sees_the_same_in_one(scripts, build, tmp_path):
    source, target = build(channels=3, seed=1), build(seed=2)
    torch.save(torchvision_keys(source.state_dict()), tmp_path / "weights.pt")
    taken = scripts("pretrained").load_pretrained(target, tmp_path / "weights.pt")
    assert taken.channels == 3
    grey = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(target(grey), source(grey.expand(-1, 3, -1, -1)))


def test_a_classifier_of_other_classes_is_left_out_and_told(scripts, build, tmp_path, caplog):
    source, target = build(classes=1000, seed=1), build(seed=2)
    before = target.head.out.weight.clone()
    torch.save(torchvision_keys(source.state_dict()), tmp_path / "weights.pt")
    with caplog.at_level("INFO", logger="pretrained"):
        taken = scripts("pretrained").load_pretrained(target, tmp_path / "weights.pt")
    assert taken.left_out == ("head.out.weight", "head.out.bias")
    assert "head.out.weight, head.out.bias begin at random" in caplog.text
    assert torch.equal(target.head.out.weight, before)
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(target.embedding(images), source.embedding(images), rtol=0, atol=0)


def test_weights_of_another_densenet_are_refused_by_their_keys(scripts, build, tmp_path):
    torch.save(torchvision_keys(build(block_config=(2, 3)).state_dict()), tmp_path / "deeper.pt")
    target = build(seed=2)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(DataError, match=r"unexpected: features\.denseblock2\.denselayer3\.layers\.norm1\.weight"):
        scripts("pretrained").load_pretrained(target, tmp_path / "deeper.pt")
    torch.save(torchvision_keys(build(block_config=(2, 1)).state_dict()), tmp_path / "shallower.pt")
    with pytest.raises(DataError, match=r"missing: features\.denseblock2\.denselayer2\.layers\.norm1\.weight"):
        scripts("pretrained").load_pretrained(target, tmp_path / "shallower.pt")
    torch.save(torchvision_keys(build(growth_rate=8).state_dict()), tmp_path / "wider.pt")
    with pytest.raises(DataError, match=r"of another shape: .*conv2\.weight \(8, 32, 3, 3\), expected \(4, 16, 3, 3\)"):
        scripts("pretrained").load_pretrained(target, tmp_path / "wider.pt")
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


def test_what_is_no_state_dict_of_a_densenet_is_refused(scripts, build, tmp_path):
    load, target = scripts("pretrained").load_pretrained, build()
    with pytest.raises(DataError, match="no such file; set pretrained"):
        load(target, tmp_path / "absent.pt")
    torch.save({"layer1.0.conv1.weight": torch.rand(2, 2)}, tmp_path / "resnet.pt")
    with pytest.raises(DataError, match=r"0 keys that end in features\.conv0\.weight among 1: layer1"):
        load(target, tmp_path / "resnet.pt")
    torch.save(target, tmp_path / "whole.pt")
    with pytest.raises(DataError, match=r"save its state_dict\(\) and give that"):
        load(target, tmp_path / "whole.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(DataError, match="with the keys epoch, expected a state dict"):
        load(target, tmp_path / "empty.pt")


def test_a_url_is_fetched_without_running_anything(scripts, build, tmp_path, monkeypatch):
    source, target, calls = build(seed=1), build(seed=2), []

    def fetch(url, **options):
        calls.append((url, options["weights_only"]))
        return source.state_dict()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    scripts("pretrained").load_pretrained(target, "https://example.org/densenet121.pth")
    assert calls == [("https://example.org/densenet121.pth", True)]
    assert torch.equal(target.features.conv0.weight, source.features.conv0.weight)


def test_without_a_source_nothing_changes(scripts, build):
    target = build()
    before = target.features.conv0.weight.clone()
    assert scripts("pretrained").load_pretrained(target, None) is None
    assert torch.equal(target.features.conv0.weight, before)
