import numpy as np
import pytest
import torch
from torch import nn

from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.integrated_gradients import IntegratedGradients
from shared.saliency.lime import LIME
from shared.saliency.lrp import LRP
from shared.saliency.sanity.explained import ExplainedBags, ExplainedImages
from shared.saliency.transparency.completeness import Completeness, bias_share, completeness, relative_error
from shared.saliency.transparency.report import WITH_BIASES, measure_transparency
from tests.oracles.lrp import bias_ledger


class Normalised(nn.Module):
    """Batch normalisation with and without an affine part, rectifiers in place, a convolution without bias."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3, bias=False)
        )
        self.plain = nn.BatchNorm2d(4, affine=False)
        self.head = nn.Linear(4 * 64, 3)

    def forward(self, image):
        return self.head(self.plain(self.features(image)).relu_().flatten(1))


@pytest.fixture
def normalised():
    torch.manual_seed(0)
    network = Normalised().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.fixture
def targets():
    return torch.tensor([0, 2, 1, 1])


def test_biases_and_pixels_share_out_the_logit(normalised, images, targets):
    shares = bias_share(normalised, images, targets)
    logits = normalised.eval()(images).gather(1, targets[:, None])[:, 0].detach().numpy()
    pixels = InputXGradient(normalised).attribute(images, targets).sum(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(pixels + shares, logits, rtol=1e-10)
    assert np.abs(shares).min() > 0.01
    assert not any(module._forward_hooks for module in normalised.modules())


def test_the_share_of_biases_is_that_of_the_slow_sum(network, images, targets):
    shares = bias_share(network, images, targets)
    np.testing.assert_allclose(shares, bias_ledger(network, images, targets), rtol=1e-9)


def test_sums_are_compared_with_what_each_method_shares_out(network, images, targets):
    methods = {
        "integrated": IntegratedGradients(network, baseline="mean", steps=40),
        "gradient": InputXGradient(network),
        "lrp": LRP(network),
        "lime": LIME(network, segments=9, samples=30),
    }
    explained = ExplainedImages(methods, images, targets, batch_size=3)
    original = explained.explain(network)
    found = completeness(explained, original)
    assert set(found) == {"integrated", "gradient", "lrp"}
    logits = network.eval()(images).gather(1, targets[:, None])[:, 0].detach().numpy()
    for name in ("gradient", "lrp"):
        np.testing.assert_allclose(found[name].expected, logits)
        np.testing.assert_allclose(found[name].total, original[name].sum(axis=(1, 2)))
    gap = methods["integrated"].completeness_gap(images, methods["integrated"].attribute(images, targets), targets)
    np.testing.assert_allclose(found["integrated"].total - found["integrated"].expected, gap.numpy(), atol=1e-9)


def test_shapley_values_share_out_the_difference_from_the_empty_bag(build, features, value_of):
    model = build("attention")
    methods = {
        name: kind(model) for name, kind in (("s", ExactShapley), ("g", GradientXInput), ("a", AttentionWeights))
    }
    explained = ExplainedBags(methods, [features[:4], features[4:]])
    found = completeness(explained, explained.explain(model))
    assert set(found) == {"s", "g"}
    value = [value_of(model, part) for part in (features[:4], features[4:])]
    whole = np.array([value[0](range(4)), value[1](range(5))])
    np.testing.assert_allclose(found["s"].expected, whole - value[0]([]), rtol=1e-9)
    np.testing.assert_allclose(found["g"].expected, whole, rtol=1e-9)
    assert relative_error(found["s"])["value"] < 1e-5
    assert relative_error(found["g"])["value"] > 0.01


def test_the_error_is_the_ratio_of_sums():
    found = Completeness(np.array([1.0, 2.5]), np.array([2.0, 2.0]), "logit")
    assert relative_error(found)["value"] == pytest.approx(1.5 / 4)
    nothing = relative_error(Completeness(np.ones(2), np.zeros(2), "logit"))
    assert nothing["value"] is None
    assert "0 in every sample" in nothing["reason"]


def test_rows_and_sentences(network, images, targets):
    methods = {"input_x_gradient": InputXGradient(network), "lime": LIME(network, segments=9, samples=30)}
    explained = ExplainedImages(methods, images, targets)
    report = measure_transparency(explained, explained.explain(network))
    rows = {(row["measure"], row["method"], row.get("of")): row for row in report.rows}
    alone = rows["completeness_error", "input_x_gradient", None]
    ledger = rows["completeness_error", "input_x_gradient", WITH_BIASES]
    assert alone["value"] > 0.1
    assert ledger["value"] < 1e-12
    assert len(report.satisfies["input_x_gradient"]) == 1
    assert report.satisfies["input_x_gradient"][0].startswith(f"Adds up to the logit {WITH_BIASES}: relative error")
    assert rows["completeness_error", "lime", None]["value"] is None
    assert report.satisfies["lime"] == []
    assert len(rows) == 5
