"""What an evaluator collects of images, made up: some labels unknown, and maps that resemble one another in errors."""

from __future__ import annotations

import numpy as np

from shared.calibration.output_collector import CollectedOutputs

CLASSES = ("atelectasis", "edema", "effusion")


def collected(n=80, seed=0, methods=("input_x_gradient", "lrp"), k=3):
    """Images whose wrong predictions have maps that resemble one another, as INFORMER supposes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (n, k)).astype(float)
    logits = 1.5 * (2 * labels - 1) + rng.normal(0, 1.5, (n, k)) - 0.5
    wrong = (logits > -0.5) != (labels == 1)
    outputs = {"logits": logits, "tta_std": rng.uniform(0.1, 1, (n, k)), "mc_std": rng.uniform(0.1, 1, (n, k))}
    for method in methods:
        near = np.where(wrong[:, :, None] | wrong[:, None], 0.3, 1.0) + rng.uniform(0, 0.3, (n, k, k))
        distances = (near + near.transpose(0, 2, 1)) / 2
        distances[:, np.arange(k), np.arange(k)] = 0
        outputs[f"distances_{method}"] = distances
    labels[rng.random((n, k)) < 0.1] = np.nan
    records = [
        {"id": f"{i:03}", "patient": f"p{i // 2}", "label": [None if np.isnan(v) else int(v) for v in row], "sex": "F"}
        for i, row in enumerate(labels)
    ]
    return CollectedOutputs(records, outputs)


class Collector:
    """Stands for a collector that is done."""

    def __init__(self, content):
        self.collected = content
