"""Patients side by side with a mask: the logits of every network on ragged bags, with and without attributes."""

from __future__ import annotations

import pytest
import torch

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def build(scripts):
    def build(name, pooling="mean", seed=0, **options):
        torch.manual_seed(seed)
        experts = scripts("experts")
        image = experts.ImageClassifier(4, 32, pooling=pooling, chunk_size=3, **options)
        image.centring.fit(torch.rand(3, 32, 32))
        attributes = experts.AttributePerceptron()
        attributes.standardisation.fit([[60.0, 9.0], [40.0, 30.0], [80.0, 5.0]])
        return scripts("networks").assemble(name, image, attributes).eval()

    return build


@pytest.fixture
def check(scripts):
    def check(network):
        form = scripts("padded_network").bag_form(network, 32)
        image, mask, attributes = form.draw({"batch": 4, "instances": 5}, seed=1)
        image[~mask] = torch.nan
        lengths = mask.sum(dim=1)
        with torch.no_grad():
            expected = network(image[mask], lengths, attributes)
            torch.testing.assert_close(form.onnx(image, mask, attributes), expected)
            torch.testing.assert_close(form.reference(image, mask, attributes), expected)
            unknown = torch.full_like(attributes, torch.nan)
            torch.testing.assert_close(form.onnx(image, mask, unknown), network(image[mask], lengths))
        return form, (image, mask, attributes)

    return check


@pytest.mark.parametrize("pooling", ["max", "log_mean_exp", "top_k_mean", "attention", "gated_attention"])
def test_pooling(build, check, pooling):
    check(build("MixtureOfExperts", pooling, **({"pooling_options": {"k": 2}} if pooling == "top_k_mean" else {})))


@pytest.mark.parametrize("name", ["ImageClassifier", "AttributePerceptron", "AveragedClassifier", "MixtureOfExperts"])
def test_networks(build, check, name):
    form, (image, mask, attributes) = check(build(name, normalisation="group", field_of_view=24))
    attributes[0, 1] = torch.nan  # only one of the two: not the same as unknown
    with torch.no_grad():
        logits = form.onnx(image, mask, attributes)
    assert logits[0].isnan().item() == (name != "ImageClassifier")
    assert logits[1:].isfinite().all()


def test_ensemble(scripts, build, check):
    members = [build("MixtureOfExperts", seed=seed) for seed in range(3)]
    check(scripts("ensemble").FoldEnsemble(members, [0.5, 1.0, 2.0], 32).eval())


def test_another_network_is_named(scripts):
    with pytest.raises(DataError, match="network_name: Linear has no form for ONNX"):
        scripts("padded_network").bag_form(torch.nn.Linear(1, 1), 32)
