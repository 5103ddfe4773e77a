"""The model of mean features: its cells' values add up to its logit, and what is written is what it computes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from shared.data.errors import DataError

BUNDLE = "lymphocytosis_moe"
CELLS, FEATURES = 7, 94


@pytest.fixture
def module(bundle_scripts):
    bundle_scripts(BUNDLE)
    import scripts.classical_model as module

    return module


def _patients(count, seed):
    """Patients whose abnormal cells have a greater first feature; the first two cells of a tumoral one are abnormal."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    bags = [generator.normal(size=(CELLS, FEATURES)) for _ in labels]
    for bag, label in zip(bags, labels, strict=True):
        bag[:, 1:] = 0
        bag[:2, 0] += 8 * label
    return bags, labels.tolist()


@pytest.fixture
def fitted(module):
    return module.FittedFeatures.fit(_patients(40, 0), _patients(20, 1), [0.01, 1.0])


def test_values_of_cells_add_up_to_the_logit(fitted):
    bags, _ = _patients(6, 2)
    sums = [fitted.scores(bag).mean() + fitted.intercept for bag in bags]
    assert fitted.logits(bags) == pytest.approx(sums, rel=1e-9)


def test_some_of_the_cells_are_judged_as_a_patient_of_these_alone(module, fitted):
    (bag,), _ = _patients(1, 3)
    order = [4, 0, 2, 1, 6, 5, 3]
    found = module._MeanBag(fitted.scores(bag), fitted.intercept).prefixes(torch.tensor([order]))
    alone = [fitted.intercept, *(fitted.logits([bag[order[:count]]])[0] for count in range(1, CELLS + 1))]
    assert found[0].numpy() == pytest.approx(expit(alone))


def test_one_class_cannot_be_fitted(module):
    bags, _ = _patients(4, 0)
    with pytest.raises(DataError, match="all of one class"):
        module.FittedFeatures.fit((bags, [1] * 4), (bags, [1] * 4), [1.0])


def test_the_files_hold_results_and_the_values_of_cells(module, tmp_path, monkeypatch):
    parts = {
        name: _patients(count, seed)
        for seed, (name, count) in enumerate([("training", 40), ("validation", 20), ("test", 20)])
    }
    features = {}

    def records(name):
        bags, labels = parts[name]
        for place, bag in enumerate(bags):
            features.update({f"{name}{place}/{cell}": row for cell, row in enumerate(bag)})
        return [
            {
                "id": f"{name}{place}",
                "label": label,
                "image": [f"{name}{place}/{cell}" for cell in range(CELLS)],
                "instance_label": [int(label == 1 and cell < 2) for cell in range(CELLS)],
            }
            for place, label in enumerate(labels)
        ]

    monkeypatch.setattr(
        module.FeatureExtraction, "many", lambda _, paths, **__: np.stack([features[path] for path in paths])
    )
    sections = {name: records(name) for name in parts}
    module.ClassicalModel(sections, ["reactive", "tumoral"], tmp_path, tmp_path, tmp_path / "f.npz", resamples=50).run()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    table = pd.read_csv(tmp_path / "predictions.csv")
    # tumoral patients have a mean first feature that is 16/7 greater
    assert metrics["metrics"]["roc_auc"]["value"] > 0.8
    assert table["probability_tumoral"].to_numpy() == pytest.approx(expit(table["logit_tumoral"]), abs=1e-9)
    rows = json.loads((tmp_path / "interpretability.json").read_text())["rows"]
    found = {(row["measure"], row["method"]): row for row in rows if not row.get("label")}
    assert found["instance_ndcg", "coefficients"]["value"] > 0.9
    assert found["instance_ndcg", "random_values"]["value"] < 0.7
    assert found["completeness_error", "coefficients"]["value"] < 1e-9
    assert "no layers" in found["cascading_randomisation", "coefficients"]["reason"]
