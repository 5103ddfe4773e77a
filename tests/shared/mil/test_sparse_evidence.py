"""Attention with the maximum beside it finds evidence in one instance of 2,000, which attention alone does not.

The data sets, networks and their training have fixed seeds; both operators get the same bags, and begin with the same
encoder.
"""

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from shared.mil.levels import EmbeddingLevel
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.phantoms.planted_bags import PlantedBags

E, D, HIDDEN = 64, 64, 16
SPARSE = {"features": E, "instances": 2000, "evidence": (1, 1), "distance": 12.0, "hard": 6}
DENSE = {"features": E, "instances": 200, "evidence": (100, 100), "distance": 1.5, "hard": 1}


@pytest.fixture(params=[0, 1])
def seed(request):
    return request.param


def trained(pooling, planted, seed, epochs=4):
    """Return the ROC AUC on 100 new bags after training on 100."""
    training, test = planted.draw(100, seed=0), planted.draw(100, seed=1)
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(E, D), nn.ReLU())
    level = EmbeddingLevel(pooling(D, HIDDEN), nn.Linear(D, 1))
    optimizer = torch.optim.Adam([*encoder.parameters(), *level.parameters()], lr=3e-3, weight_decay=1e-4)
    lengths = torch.tensor([planted.instances])

    def logit(bag):
        return level(encoder(torch.from_numpy(bag)), lengths)[0]

    for _ in range(epochs):
        for bag in torch.randperm(len(training.labels)).tolist():
            optimizer.zero_grad()
            label = torch.tensor([float(training.labels[bag])])
            nn.functional.binary_cross_entropy_with_logits(logit(training.features[bag]), label).backward()
            optimizer.step()
    with torch.no_grad():
        return roc_auc_score(test.labels, [float(logit(bag)) for bag in test.features])


def test_one_instance_of_two_thousand(seed):
    planted = PlantedBags(**SPARSE, seed=seed)
    test = planted.draw(100, seed=1)
    # whoever knew the direction would find it
    assert roc_auc_score(test.labels, planted.projection(test.features).max(axis=1)) == 1.0
    assert trained(GatedAttentionPooling, planted, seed) < 0.65
    assert trained(AttentionMaximumPooling, planted, seed) > 0.98


def test_weak_evidence_in_every_second_instance(seed):
    planted = PlantedBags(**DENSE, seed=seed)
    attention = trained(GatedAttentionPooling, planted, seed)
    assert attention > 0.9
    assert trained(AttentionMaximumPooling, planted, seed) > attention - 0.02
