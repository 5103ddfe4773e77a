"""Slides side by side with a mask: the logits of the network on ragged bags, for every pooling operator."""

from __future__ import annotations

import pytest
import torch

SIZES = {"batch": 4, "instances": 7}


@pytest.mark.parametrize(
    "name",
    [
        *("attention", "gated_attention", "attention_maximum", "mean_embedding", "max_embedding"),
        *("mean_instance", "max_instance"),
    ],
)
@pytest.mark.parametrize("embedding", [6, None])
def test_logits_are_those_of_the_network(scripts, name, embedding):
    torch.manual_seed(0)
    network = scripts("networks").assemble(name, 5, embedding, 4, standardise=True).eval()
    network.standardisation().fit([torch.randn(20, 5) * 3 + 1])
    form = scripts("padded_network").bag_form(network, 5)
    image, mask = form.draw(SIZES, seed=1)
    expected = network(image[mask], mask.sum(dim=1))
    torch.testing.assert_close(form.onnx(image, mask), expected)
    torch.testing.assert_close(form.reference(image, mask), expected)
    assert form.torchscript is network


def test_instances_may_be_images(scripts):
    torch.manual_seed(0)
    encoder = scripts("encoders").MnistEncoder()
    network = scripts("networks").assemble("gated_attention", encoder=encoder).eval()
    images, mask = torch.rand(2, 3, 1, 28, 28), torch.tensor([[True, True, True], [False, True, False]])
    padded = scripts("padded_network").PaddedBagClassifier(network)
    torch.testing.assert_close(padded(images, mask), network(images[mask], mask.sum(dim=1)))
