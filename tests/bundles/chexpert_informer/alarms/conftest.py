"""Tables of doubts to fit and measure alarms on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

CLASSES = ("atelectasis", "edema", "effusion")


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def make_table(scripts):
    """Build a table in which similar maps go with wrong logits; some labels are unknown, some maps empty."""

    def make(n=300, seed=0, methods=("lrp",), informative=True):
        rng = np.random.default_rng(seed)
        k = len(CLASSES)
        truth = rng.normal(-0.7, 1.5, (n, k))
        label = (rng.random((n, k)) < expit(4 * truth)).astype(float)
        confused = rng.random((n, 1)) < 0.3
        logits = np.where(confused, rng.normal(-0.7, 1.5, (n, k)), truth)
        label[rng.random((n, k)) < 0.1] = np.nan
        distances = {}
        for method in methods:
            common = rng.normal(size=(n, 1, 4)) * np.where(confused & informative, 3.0, 0.5)[:, :, None]
            vectors = rng.normal(size=(n, k, 4)) + common
            unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
            values = np.clip(1 - unit @ unit.transpose(0, 2, 1), 0, 2)
            values[:, np.arange(k), np.arange(k)] = 0
            values[:3, 1, :] = values[:3, :, 1] = np.nan  # the second finding's map is empty in three images
            distances[method] = values
        return scripts("alarms.doubt_table").Doubts(
            id=np.array([f"image{seed}_{i}" for i in range(n)]),
            patient=np.array([f"patient{seed}_{i // 2}" for i in range(n)]),
            logits=logits,
            label=label,
            distances=distances,
            tta_std=rng.gamma(2, 0.2, (n, k)),
            mc_std=rng.gamma(2, 0.2, (n, k)),
            classes=CLASSES,
        )

    return make


@pytest.fixture(scope="module")
def calibrate():
    from shared.calibration.label_calibration import fit_label_calibration

    def fit(table, **options):
        return fit_label_calibration(table.logits, table.label, table.classes, **options)

    return fit
