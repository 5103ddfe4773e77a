"""Rows of bags: each number is the mean of what the functions behind it give, over the bags that it is taken on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shared.saliency.bags.bag_measures import PERTURBATION, RANKING, BagMeasures
from shared.saliency.bags.quality.bag_quality import bag_quality
from shared.saliency.concentration import entropy, gini

CLASSES = ["normal", "tumour"]


@pytest.fixture
def bags():
    """Five bags of different size, of which the last two are negative; values of two methods."""
    rng = np.random.default_rng(0)
    sizes = [6, 9, 4, 7, 5]
    truth = [
        rng.permutation(np.arange(size) < 2) if number < 3 else np.zeros(size, bool)
        for number, size in enumerate(sizes)
    ]
    values = [{"good": mask + rng.normal(0, 0.1, len(mask)), "poor": rng.normal(size=len(mask))} for mask in truth]
    return sizes, truth, values


def rows_of(measures):
    return {(row["measure"], row["method"], row.get("label")): row for row in measures.rows()}


def test_numbers_are_means_over_bags(bags, build):
    sizes, truth, values = bags
    model, measures = build(), BagMeasures(CLASSES)
    features = [torch.randn(size, 5, generator=torch.Generator().manual_seed(size)) for size in sizes]
    qualities = []
    for number in range(len(sizes)):
        explanations = {name: torch.from_numpy(rows) for name, rows in values[number].items()}
        qualities.append(bag_quality(model, features[number], explanations, truth[number]))
        measures.add(values[number], int(number < 3), f"p{number}", truth[number], qualities[-1], f"bag {number}")
    found = rows_of(measures)
    for place, name in enumerate(["good", "poor"]):
        own = [rows[name] for rows in values]
        assert found["sparseness", name, None]["value"] == pytest.approx(np.mean([gini(v[None])[0] for v in own]))
        assert found["entropy", name, "normal"]["value"] == pytest.approx(
            np.mean([entropy(v[None])[0] for v in own[3:]])
        )
        share = [np.abs(v[mask]).sum() / np.abs(v).sum() for v, mask in zip(own[:3], truth, strict=False)]
        row = found["cause_share", name, None]
        assert (row["value"], row["n"]) == (pytest.approx(np.mean(share)), 3)
        assert row["chance"] == pytest.approx(np.mean([mask.mean() for mask in truth[:3]]))
        for measure in (*RANKING, *PERTURBATION):
            row = found[measure, name, None]
            assert row["value"] == pytest.approx(np.mean([q.values[measure][place] for q in qualities[:3]]))
            assert row["chance"] == pytest.approx(np.mean([q.chance[measure] for q in qualities[:3]]))
            assert row["n"] == 3
    assert found["instance_auc", "good", None]["value"] > 0.95
    assert found["cause_share", "good", None]["value"] > 0.7
    # other runs know the same bags by these
    assert found["cause_share", "good", None]["samples"]["ids"] == ["bag 0", "bag 1", "bag 2"]
    assert found["aopc_r", "good", None]["samples"]["ids"] == ["bag 0", "bag 1", "bag 2"]
    assert found["aopc_r", "good", None]["parameters"] == {"measured_on": "class tumour"}


def test_what_cannot_be_measured_says_why(bags):
    sizes, _, values = bags
    measures = BagMeasures(CLASSES)
    measures.not_measured = "no algebra of subsets"
    for number in range(len(sizes)):
        measures.add(values[number], 0, f"p{number}")
    found = rows_of(measures)
    for measure in (*RANKING, "cause_share"):
        assert found[measure, "good", None]["value"] is None
        assert "known to be some positive" in found[measure, "good", None]["reason"]
    for measure in PERTURBATION:
        assert found[measure, "poor", None]["reason"] == "no algebra of subsets"
    assert found["sparseness", "poor", None]["n"] == 5


def test_values_of_zero_have_no_share(bags):
    measures = BagMeasures(CLASSES)
    for number in range(3):
        measures.add({"none": np.zeros(4)}, 1, f"p{number}", [True, False, False, False])
    row = rows_of(measures)["cause_share", "none", None]
    assert row["value"] is None
    assert row["reason"]
