"""Samples as an output collector holds them: labelled ones in disorder among outliers."""

from __future__ import annotations

import numpy as np
from ignite.engine import Engine

from shared.calibration.output_collector import CollectedOutputs, OutputCollector

CLASSES = ["cat", "dog", "owl"]


def make_collected(count=120, outliers=(("empty", 10), ("blurred", 14)), seed=0):
    """Labelled samples in disorder among outliers, with columns as a calibrated classifier gives them."""
    rng = np.random.default_rng(seed)
    kinds = [None] * count + [kind for kind, number in outliers for _ in range(number)]
    n = len(kinds)
    labels = rng.integers(0, 3, n)
    logits = 2.5 * np.eye(3)[labels] + 1.5 * rng.normal(size=(n, 3))
    soft = np.exp(logits / 2)
    sharp = np.exp(2 * logits)
    probabilities = soft / soft.sum(axis=1, keepdims=True)
    unusual = np.array([kind is not None for kind in kinds])
    confidence = (3 * probabilities.max(axis=1) - 1) / 2
    score = rng.normal(size=n) + np.where(unusual, 1.5, 0)
    decision = np.where(confidence < 0.6, "defer", "accept").astype(object)
    decision[(confidence < 0.2) | (score > 1.5)] = "reject"
    outputs = {
        "probabilities": probabilities,
        "uncalibrated_probabilities": sharp / sharp.sum(axis=1, keepdims=True),
        "prediction": probabilities.argmax(axis=1),
        "confidence": confidence,
        "decision": decision,
        "reason": np.array([f"because {d}" for d in decision], dtype=object),
        "outlier_score": score,
        "outlier_energy": rng.normal(size=n),
        "median": probabilities * 0.9,
        "standard_deviation": probabilities * 0.1,
        "predictive_entropy": -(probabilities * np.log(probabilities)).sum(axis=1),
        "mutual_information": rng.uniform(size=n),
    }
    records = []
    for index, (kind, label) in enumerate(zip(kinds, labels, strict=True)):
        truth = {"kind": kind} if kind else {"label": int(label), "donor": f"D{index % 5}"}
        records.append({"id": f"cell/{index}", **truth})
    order = rng.permutation(n)
    return CollectedOutputs([records[i] for i in order], {name: rows[order] for name, rows in outputs.items()})


def run(handler):
    engine = Engine(lambda *_: None)
    handler.attach(engine)
    handler.attach(engine)
    engine.run([0])


def make_collector(collected):
    collector = OutputCollector(collected.records)
    collector.collected = collected
    return collector
