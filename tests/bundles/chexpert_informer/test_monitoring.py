"""Metrics of an epoch are those of all its images, however these came in batches, and of known labels only."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from shared.data.errors import DataError


@pytest.fixture
def monitoring(bundle_scripts):
    return bundle_scripts("chexpert_informer")("monitoring")


@pytest.fixture
def epoch():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(40, 3, generator=generator), torch.randint(0, 2, (40, 3), generator=generator).float()
    labels[torch.rand(40, 3, generator=generator) < 0.2] = math.nan
    labels[:, 2] = 0
    return logits, labels


def test_areas_are_those_of_the_known_labels(monitoring, epoch):
    logits, labels = epoch
    expected = []
    for index in range(2):
        known = [i for i in range(40) if not math.isnan(labels[i, index])]
        expected.append(roc_auc_score(labels[known, index], logits[known, index]))
        assert monitoring.finding_auc(logits, labels, index) == pytest.approx(expected[-1])
    assert math.isnan(monitoring.finding_auc(logits, labels, 2)), "absent everywhere"
    assert monitoring.mean_auc(logits, labels) == pytest.approx(sum(expected) / 2)
    with pytest.raises(DataError, match="none of the 1 findings"):
        monitoring.mean_auc(logits[:, 2:], labels[:, 2:])


def test_a_finding_without_a_curve_is_told_once(monitoring, epoch, caplog):
    logits, labels = epoch
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            monitoring.mean_auc(logits, labels)
        monitoring.mean_auc(logits[:, :2], labels[:, :2])
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("consolidation: present in all or in none of the 40 labelled images")


def test_batches_make_no_difference(monitoring, epoch):
    logits, labels = epoch
    found = []
    for sizes in ([40], [1, 7, 32]):
        metrics = monitoring.validation_metrics(["a", "b", "c"])
        for metric in metrics.values():
            metric.reset()
            for output in zip(logits.split(sizes), labels.split(sizes), strict=True):
                metric.update(output)
        found.append({name: metric.compute() for name, metric in metrics.items()})
    assert found[0] == pytest.approx(found[1], nan_ok=True)
    assert set(found[0]) == {"val_loss", "val_auc_a", "val_auc_b", "val_auc_c"}
    known = ~labels.isnan()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], labels[known])
    assert found[0]["val_loss"] == pytest.approx(float(expected))
