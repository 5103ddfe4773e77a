import copy

import numpy as np
import pytest
import torch

from shared.data.errors import DataError
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.controls import EdgeMap
from shared.saliency.guided_backpropagation import GuidedBackpropagation
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.map_similarity import structural_similarity
from shared.saliency.sanity.explained import ExplainedBags, ExplainedImages
from shared.saliency.sanity.layers import untrained_network
from shared.saliency.seed_stability import load_other_models, seed_stability
from shared.training.weights import save_weights
from tests.shared.saliency.bags.conftest import build, features  # noqa: F401 - fixtures

COMMAND = "training --seed 1"


@pytest.fixture
def explained(network, images):
    methods = {
        "gradient": InputXGradient(network),
        "guided": GuidedBackpropagation(network),
        "edges": EdgeMap(network),
    }
    return ExplainedImages(methods, images, torch.tensor([0, 2, 1, 1]))


def test_the_number_is_the_mean_structural_similarity_over_networks_and_samples(explained, network):
    others = [untrained_network(network, explained.forward, seed=seed) for seed in (1, 2)]
    original = explained.explain(network)
    rows = {row["method"]: row for row in seed_stability(explained, original, others, command=COMMAND)}
    for name, change in (("gradient", np.asarray), ("guided", np.abs)):
        expected = []
        for other in others:
            for first, second in zip(original[name], explained.explain(other)[name], strict=True):
                expected.append(structural_similarity(change(first)[None], change(second)[None])[0])
        assert rows[name]["value"] == pytest.approx(np.mean(expected))
        assert rows[name]["n"] == 4
        # all six pairs of the four images
        pairs = [
            structural_similarity(change(original[name][i])[None], change(original[name][j])[None])[0]
            for i in range(4)
            for j in range(i)
        ]
        assert rows[name]["chance"] == pytest.approx(np.mean(pairs))
    assert rows["guided"]["parameters"]["similarity"] == "structural_similarity_absolute"
    assert rows["edges"]["value"] == pytest.approx(1)
    assert rows["gradient"]["parameters"]["networks"] == 2


def test_values_of_bags_are_compared_by_rank(build, features):  # noqa: F811
    model = build("attention")
    explained = ExplainedBags({"shapley": ExactShapley(model)}, [features[:4], features[4:]])
    original = explained.explain(model)
    (row,) = seed_stability(explained, original, [copy.deepcopy(model)], command=COMMAND)
    assert row["value"] == pytest.approx(1)
    assert row["parameters"]["similarity"] == "rank_correlation"


def test_without_a_second_training_the_row_says_how_to_make_one(explained, network):
    rows = seed_stability(explained, explained.explain(network), [], command=COMMAND)
    assert len(rows) == 3
    for row in rows:
        assert row["value"] is None
        assert COMMAND in row["reason"]
        assert "other_model_files" in row["reason"]


def test_other_models_are_copies_with_other_weights(network, images, tmp_path):
    other = untrained_network(network, lambda network: network(images[:1]), seed=1)
    save_weights(other.state_dict(), tmp_path / "other.pt")
    before = copy.deepcopy(network.state_dict())
    (loaded,) = load_other_models(network, [tmp_path / "other.pt"])
    assert torch.equal(loaded(images), other(images))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert load_other_models(network, None) == []


def test_the_same_training_twice_is_refused(network, images, tmp_path):
    save_weights(network.state_dict(), tmp_path / "same.pt")
    with pytest.raises(DataError, match=r"same\.pt has the same weights as the model that is explained"):
        load_other_models(network, [tmp_path / "same.pt"])
    other = untrained_network(network, lambda network: network(images[:1]), seed=1)
    for name in ("a.pt", "b.pt"):
        save_weights(other.state_dict(), tmp_path / name)
    with pytest.raises(DataError, match=r"b\.pt has the same weights as .*a\.pt"):
        load_other_models(network, [tmp_path / "a.pt", tmp_path / "b.pt"])
