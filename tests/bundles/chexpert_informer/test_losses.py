"""The masked loss against the formula, label by label."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from shared.data.errors import DataError

CLASSES = ["edema", "effusion"]


@pytest.fixture
def losses(bundle_scripts):
    return bundle_scripts("chexpert_informer")("losses")


@pytest.mark.parametrize("weights", [None, [3.0, 0.5]])
def test_the_loss_is_the_mean_over_known_labels(losses, weights):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 2, (7, 2), generator=generator).double()
    labels[1, 0] = labels[4, 1] = labels[5, :] = math.nan
    terms = []
    for z, y in zip(logits.detach().tolist(), labels.tolist(), strict=True):
        for k in range(2):
            if not math.isnan(y[k]):
                p, w = 1 / (1 + math.exp(-z[k])), 1 if weights is None else weights[k]
                terms.append(-(w * y[k] * math.log(p) + (1 - y[k]) * math.log(1 - p)))
    loss = losses.MaskedBinaryCrossEntropy(weights)(logits, labels)
    assert float(loss.detach()) == pytest.approx(sum(terms) / len(terms), rel=1e-6)
    loss.backward()
    assert torch.equal(logits.grad == 0, labels.isnan())


def test_a_batch_without_a_known_label_neither_counts_nor_breaks(losses):
    logits = torch.randn(3, 2, requires_grad=True)
    loss = losses.MaskedBinaryCrossEntropy()(logits, torch.full((3, 2), math.nan))
    loss.backward()
    assert float(loss) == 0
    assert not logits.grad.any()


def test_shapes_and_weights_are_checked(losses):
    with pytest.raises(ValueError, match="labels of the logits' shape"):
        losses.MaskedBinaryCrossEntropy()(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="expected 2 weights"):
        losses.MaskedBinaryCrossEntropy([1.0])(torch.zeros(3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="positive and finite"):
        losses.MaskedBinaryCrossEntropy([1.0, 0.0])


def test_balanced_weights_count_known_labels(losses):
    labels = [[1, None], [0, 1], [0, 0], [0, 1], [None, 1]]
    records = [{"id": str(i), "label": label} for i, label in enumerate(labels)]
    assert losses.positive_weights("balanced", records, CLASSES) == pytest.approx([3.0, 1 / 3])
    assert losses.positive_weights(None, records, CLASSES) is None
    assert losses.positive_weights([2, 1], records, CLASSES) == [2.0, 1.0]
    with pytest.raises(DataError, match="edema is present in 0"):
        losses.positive_weights("balanced", records[1:], CLASSES)
    for choice in ([1.0], "equal"):
        with pytest.raises(DataError, match="class_weights is"):
            losses.positive_weights(choice, records, CLASSES)


def test_labels_become_numbers_with_nan_where_unknown(losses):
    found = losses.label_matrix([{"id": "a", "label": [0, None]}, {"id": "b", "label": [1, 1]}], CLASSES)
    np.testing.assert_array_equal(found, [[0, np.nan], [1, 1]])
    for label in (1, [1], [0, 2], [0, -1], None):
        with pytest.raises(DataError, match="record 'c': label is"):
            losses.label_matrix([{"id": "c", "label": label}], CLASSES)
