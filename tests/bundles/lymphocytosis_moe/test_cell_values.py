"""Shapley values of cells against all subsets; one cell against the network on a bag of one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

SIZE = 32


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


def cells():
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (6, 3, SIZE, SIZE), dtype=np.uint8))


@pytest.fixture(scope="module")
def build(scripts):
    def make(name, pooling="mean"):
        torch.manual_seed(0)
        networks = scripts("networks")
        image = networks.ImageClassifier(width=2, image_size=SIZE, pooling=pooling, chunk_size=4)
        attributes = networks.AttributePerceptron()
        network = networks.assemble(name, image, attributes)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
            attributes.standardisation.fit([[60.0, 5.0], [80.0, 40.0], [40.0, 9.0]])
            network.eval()
            expert = getattr(network, "image_expert", network)
            # cells that say different things, and a gate that neither ignores them nor is sure
            if name != "AttributePerceptron":
                for layer in [expert.head, *([network.gate_kernel] if name == "MixtureOfExperts" else [])]:
                    layer.weight.div_((expert.cell_embeddings(cells()) @ layer.weight[0]).std())
            if name == "MixtureOfExperts":
                network.gate_head.weight.copy_(torch.tensor([[1.5, 0.3, -0.2]]))
        return network.eval()

    return make


@pytest.fixture(scope="module")
def patient():
    return cells(), torch.tensor([71.0, 12.5])


def brute_force(values_of):
    """Shapley values by the definition, over all subsets."""
    n = 6
    found = np.zeros(n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for subset in itertools.combinations(others, size):
                found[i] += weight * (values_of(frozenset({*subset, i})) - values_of(frozenset(subset)))
    return found


def game(scripts, network, image, attributes):
    module = scripts("embedded_bags")
    experts, embeddings = module.BagExperts(network), module.embed_cells(network, image)
    part = experts.parts[-1]
    subsets = [np.array(s) for size in range(1, 7) for s in itertools.combinations(range(6), size)]
    logits = experts.of_subsets(embeddings, subsets, attributes)[part]
    known = {frozenset(subset.tolist()): value for subset, value in zip(subsets, logits, strict=True)}
    known[frozenset()] = experts(torch.zeros_like(embeddings[:1]), attributes[None])[part].item()
    return embeddings, known.__getitem__


@pytest.mark.parametrize("pooling", ["mean", "max", "log_mean_exp", "attention"])
@pytest.mark.parametrize("name", ["ImageClassifier", "AveragedClassifier"])
def test_exact_values_equal_all_subsets(scripts, build, patient, name, pooling):
    network, (image, attributes) = build(name, pooling), patient
    embeddings, values_of = game(scripts, network, image, attributes)
    found = scripts("cell_values").cell_values(network, embeddings, attributes).whole
    np.testing.assert_allclose(found.values, brute_force(values_of), atol=2e-5)
    assert found.standard_errors is None


@pytest.mark.parametrize("pooling", ["mean", "max", "log_mean_exp", "attention"])
def test_mixtures_values_lie_within_their_errors_of_all_subsets(scripts, build, patient, pooling):
    network, (image, attributes) = build("MixtureOfExperts", pooling), patient
    embeddings, values_of = game(scripts, network, image, attributes)
    both = scripts("cell_values").cell_values(network, embeddings, attributes, max_permutations=4000)
    found = both.whole
    expected = brute_force(values_of)
    error = (found.values.numpy() - expected) / found.standard_errors.numpy()
    assert np.abs(error).max() < 4
    assert np.abs(expected).max() > 20 * found.standard_errors.max()
    assert float(found.values.sum()) == pytest.approx(values_of(frozenset(range(6))) - values_of(frozenset()), abs=1e-4)
    # the gate matters: the values are not those of the expert on images
    assert np.abs(both.expert.values.numpy() - expected).max() > 1e-3


@pytest.mark.parametrize("name", ["ImageClassifier", "AveragedClassifier", "MixtureOfExperts"])
def test_log_mean_exp_of_many_dimensions_is_sampled_within_its_errors(scripts, build, patient, name):
    network, (image, attributes) = build(name, "log_mean_exp"), patient
    embeddings, values_of = game(scripts, network, image, attributes)
    dimensions = embeddings.shape[1]
    cell_values = scripts("cell_values").cell_values
    exact = cell_values(network, embeddings, attributes, exact_dimensions=dimensions)
    assert exact.expert.standard_errors is None
    sampled = cell_values(network, embeddings, attributes, exact_dimensions=dimensions - 1, max_permutations=2000)
    error = (sampled.expert.values - exact.expert.values) / sampled.expert.standard_errors
    assert sampled.expert.permutations == 2000
    assert error.abs().max() < 4
    assert exact.expert.values.abs().max() > 20 * sampled.expert.standard_errors.max()
    whole = sampled.whole.values.numpy() - brute_force(values_of)
    assert np.abs(whole / sampled.whole.standard_errors.numpy()).max() < 4


def test_values_of_the_expert_are_computed_once(scripts, build, patient, monkeypatch):
    """Those of the whole network follow from them, unless it is a mixture."""
    module, (image, attributes) = scripts("cell_values"), patient
    calls = []
    original = module.image_expert_values
    monkeypatch.setattr(module, "image_expert_values", lambda *a, **k: calls.append(1) or original(*a, **k))
    for name in ("ImageClassifier", "AveragedClassifier", "MixtureOfExperts"):
        network = build(name)
        embeddings = scripts("embedded_bags").embed_cells(network, image)
        whole, expert = module.cell_values(network, embeddings, attributes)
        assert (whole is expert) == (name == "ImageClassifier")
    assert len(calls) == 3


@pytest.mark.parametrize("pooling", ["mean", "max", "log_mean_exp", "attention"])
@pytest.mark.parametrize("name", ["ImageClassifier", "AveragedClassifier", "MixtureOfExperts"])
def test_no_encoder_is_copied(scripts, build, patient, monkeypatch, name, pooling):
    network, (image, attributes) = build(name, pooling), patient
    embeddings = scripts("embedded_bags").embed_cells(network, image)

    def refuse(self, memo):
        raise AssertionError(f"{type(self).__name__} was copied")

    monkeypatch.setattr(type(getattr(network, "image_expert", network).encoder), "__deepcopy__", refuse, raising=False)
    found = scripts("cell_values").cell_values(network, embeddings, attributes, max_permutations=4)
    assert found.whole.values.shape == (6,)


def test_attributes_alone_have_no_cells_to_value(scripts, build, patient):
    with pytest.raises(TypeError, match="AttributePerceptron"):
        scripts("cell_values").cell_values(build("AttributePerceptron"), torch.zeros(2, 3), patient[1])
    with pytest.raises(TypeError, match="does not look at cells"):
        scripts("one_cell").OneCell(build("AttributePerceptron"))


@pytest.mark.parametrize("pooling", ["mean", "max", "log_mean_exp", "attention", "gated_attention"])
def test_one_cell_is_the_image_expert_on_a_bag_of_one(scripts, build, patient, pooling):
    network, image = build("MixtureOfExperts", pooling), patient[0]
    one = scripts("one_cell").OneCell(network).eval()
    scores = one(one.centred(image))
    alone = network.image_expert(image, torch.ones(6, dtype=torch.int64))[:, 0]
    np.testing.assert_allclose(scores.detach(), torch.stack([-alone, alone], dim=1).detach(), rtol=1e-4, atol=1e-5)


def test_with_mean_pooling_the_gradient_in_the_bag_is_that_of_one_cell_over_their_number(scripts, build, patient):
    network, image = build("ImageClassifier"), patient[0]
    one = scripts("one_cell").OneCell(network).eval()
    centred = one.centred(image)
    alone, together = (centred.clone().requires_grad_() for _ in range(2))
    one(alone)[:, 1].sum().backward()
    network.head(network.pooling(one.encoder(together)[None])).sum().backward()
    torch.testing.assert_close(together.grad * 6, alone.grad, rtol=1e-3, atol=1e-6)


def test_guided_backpropagation_times_input_is_that_product(scripts, build, patient):
    from shared.saliency.guided_backpropagation import GuidedBackpropagation
    from shared.saliency.guided_backpropagation_x_input import GuidedBackpropagationXInput

    one = scripts("one_cell").OneCell(build("MixtureOfExperts"))
    centred = one.centred(patient[0])
    target = torch.tensor([0, 1, 0, 1, 1, 0])
    guided = GuidedBackpropagation(one).attribute(centred, target)
    product = GuidedBackpropagationXInput(one).attribute(centred, target)
    torch.testing.assert_close(product, centred * guided)
    assert product.abs().sum() > 0


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "log_mean_exp"])
@pytest.mark.parametrize("name", ["ImageClassifier", "AveragedClassifier", "MixtureOfExperts"])
def test_prefixes_are_the_logits_of_the_first_cells(scripts, build, patient, name, pooling):
    network, (image, attributes) = build(name, pooling), patient
    embeddings, values_of = game(scripts, network, image, attributes)
    orders = torch.stack([torch.arange(6), torch.tensor([3, 0, 5, 1, 4, 2])])
    found = scripts("cell_values").patient_prefixes(network, embeddings, attributes)(orders)
    expected = [[values_of(frozenset(order[:size])) for size in range(7)] for order in orders.tolist()]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)
