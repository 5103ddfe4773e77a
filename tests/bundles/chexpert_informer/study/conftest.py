"""Tables of doubts of several networks, and the study's modules."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def make_doubts(scripts):
    """Build doubts of n images: labels follow the logits, maps differ at random, every tenth label is unknown."""

    def make(n=120, seed=0):
        rng = np.random.default_rng(seed)
        logits = rng.normal(-0.5, 1.5, (n, 5))
        label = (rng.random((n, 5)) < expit(2 * logits)).astype(float)
        label[rng.random((n, 5)) < 0.1] = np.nan
        distances = {}
        for method in ("lrp", "input_x_gradient"):
            vectors = rng.normal(size=(n, 5, 3))
            unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
            values = np.clip(1 - unit @ unit.transpose(0, 2, 1), 0, 2)
            values[:, np.arange(5), np.arange(5)] = 0
            distances[method] = values
        return scripts("alarms.doubt_table").Doubts(
            id=np.array([f"image{i}" for i in range(n)]),
            patient=np.array([f"patient{i // 2}" for i in range(n)]),
            logits=logits,
            label=label,
            distances=distances,
            tta_std=rng.gamma(2, 0.2, (n, 5)),
            mc_std=rng.gamma(2, 0.2, (n, 5)),
            classes=FINDINGS,
        )

    return make
