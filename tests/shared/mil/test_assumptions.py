"""Which bag classifiers hold to which assumption, shown by training them on bags that lure them away from it."""

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import nn

from shared.mil.bags import collate_bags
from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.noisy_and import NoisyAndPooling
from shared.mil.pooling.noisy_or import NoisyOrPooling
from shared.mil.pooling.top_k_mean import TopKMeanPooling
from shared.phantoms.toy_bags import absence_bags, frequency_bags, proportion_bags, size_bags

RAGGED = ("features", "instance_label")
POOLINGS = {
    "max": MaxPooling,
    "mean": MeanPooling,
    "log_mean_exp": lambda: LogMeanExpPooling(10.0),
    "attention": lambda: AttentionPooling(8, 16),
    "gated_attention": lambda: GatedAttentionPooling(8, 16),
    "attention_maximum": lambda: AttentionMaximumPooling(8, 16),
    "top_k_mean": lambda: TopKMeanPooling(3),
    "noisy_or": NoisyOrPooling,
    "noisy_and": NoisyAndPooling,
}


class Classifier(nn.Module):
    """A small perceptron as encoder, and a linear head before or after the pooling."""

    def __init__(self, level, pooling):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU())
        head = nn.Linear(8, 1)
        pool = POOLINGS[pooling]()
        self.bag = InstanceLevel(head, pool) if level == "instance" else EmbeddingLevel(pool, head)

    def forward(self, batch):
        return self.bag(self.encoder(batch["features"]), batch["lengths"])[:, 0]


def trained(level, pooling, data_set, seed, steps=200):
    """Return ROC AUC and balanced accuracy on the training and on the test set."""
    data = data_set(bags=60, seed=seed)
    training, test = (collate_bags(section, RAGGED) for section in (data.training, data.test))
    torch.manual_seed(seed)
    network = Classifier(level, pooling)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(training), training["label"].float()).backward()
        optimiser.step()
    with torch.no_grad():
        scores = [(batch["label"], network(batch)) for batch in (training, test)]
    return [(roc_auc_score(label, z), balanced_accuracy_score(label, z > 0)) for label, z in scores]


@pytest.fixture(params=[0, 1])
def seed(request):
    return request.param


@pytest.mark.parametrize("pooling", ["max", "noisy_or", "top_k_mean", "log_mean_exp"])
def test_instance_level_maxima_cannot_learn_that_an_instance_speaks_against_the_bag(pooling, seed):
    (auc, _), (test_auc, _) = trained("instance", pooling, absence_bags, seed)
    assert min(auc, test_auc) > 0.95


@pytest.mark.parametrize(
    ("level", "pooling"),
    [
        ("embedding", "max"),
        ("embedding", "mean"),
        ("instance", "mean"),
        ("embedding", "gated_attention"),
        ("embedding", "attention_maximum"),
    ],
)
def test_other_classifiers_do_learn_it(level, pooling):
    results = [trained(level, pooling, absence_bags, seed) for seed in (0, 1)]
    assert min(training[0] for training, _ in results) > 0.95
    assert min(test[0] for _, test in results) < 0.5


def test_one_concept_instance_among_many_is_found_by_the_maximum(seed):
    (_, accuracy), (_, test_accuracy) = trained("instance", "max", frequency_bags, seed)
    assert accuracy == 1.0
    assert test_accuracy > 0.85


@pytest.mark.parametrize(("level", "pooling"), [("embedding", "mean"), ("instance", "mean"), ("instance", "noisy_and")])
def test_one_concept_instance_among_many_is_lost_in_an_average(level, pooling, seed):
    (_, accuracy), (_, test_accuracy) = trained(level, pooling, frequency_bags, seed)
    assert accuracy == 1.0
    assert test_accuracy == 0.5


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_averages_do_not_learn_the_size_of_the_bag(pooling, seed):
    (auc, _), (test_auc, _) = trained("embedding", pooling, size_bags, seed)
    assert auc > 0.95
    assert test_auc > 0.85


@pytest.mark.parametrize("pooling", ["max", "noisy_or", "top_k_mean"])
def test_maxima_and_noisy_or_take_the_size_of_the_bag_for_a_sign(pooling, seed):
    (auc, _), (test_auc, _) = trained("instance", pooling, size_bags, seed)
    assert auc > 0.95
    assert test_auc < 0.5


@pytest.mark.parametrize("pooling", ["mean", "noisy_and"])
def test_averages_count_and_the_maximum_cannot(pooling, seed):
    _, (_, accuracy) = trained("instance", pooling, proportion_bags, seed)
    assert accuracy == 1.0
    _, (_, by_maximum) = trained("instance", "max", proportion_bags, seed, steps=100)
    assert by_maximum < 0.85
