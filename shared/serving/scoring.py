"""How far a served model agrees with labels that people gave, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.errors import DataError
from shared.evaluation.classification import classification_metrics
from shared.evaluation.metrics_file import json_ready
from shared.evaluation.multi_label import multilabel_metrics
from shared.serving.items import Item
from shared.serving.judging import judge
from shared.serving.labels import label_of
from shared.serving.served_bundle import ServedBundle

__all__ = ["score"]


def score(bundle: ServedBundle, items: Sequence[Item], work_dir: Path, seed: int = 0) -> dict[str, Any]:
    """Judge labelled items and compare.

    Labels that a training used say little of what the model does with others: ``trained_on_labels.json`` beside the
    weights lists them.

    Args:
        bundle: that judges.
        items: with labels.
        work_dir: for the stations' files.
        seed: of the bootstrap.

    Returns:
        ``n``, ``metrics`` (name to ``value`` and ``ci95``), ``decisions`` (how often each), ``refused`` by key, and the
        ``model``.

    Raises:
        DataError: if a label is none of the bundle's, or nothing can be judged.
    """
    multi_label = bundle.settings["multi_label"]
    labels = {item.key: label_of(item.label, bundle.classes, multi_label, item.key) for item in items}
    judged = judge(bundle, items, work_dir)
    answers: Mapping[str, Any] = judged["answers"]
    if not answers:
        reason = next(iter(judged["refused"].values()), "there are none")
        raise DataError(f"none of {len(items)} labelled {bundle.settings['unit']}s can be judged: {reason}")
    groups = [str(item.attributes.get(bundle.settings["group_key"], item.key)) for item in items if item.key in answers]
    rows = [answers[item.key] for item in items if item.key in answers]
    probabilities = np.array([[row["probabilities"][name] for name in bundle.classes] for row in rows])
    truth = [labels[key] for key in (item.key for item in items) if key in answers]
    if multi_label:
        predicted = np.array([[row["prediction"][name] for name in bundle.classes] for row in rows])
        metrics = multilabel_metrics(
            np.array(truth, dtype=np.float64), predicted, probabilities, bundle.classes, seed=seed, groups=groups
        )
        decisions = Counter(decision for row in rows for decision in row["decision"].values())
    else:
        indices = [bundle.classes.index(row["prediction"]) for row in rows]
        metrics = classification_metrics(
            np.array(truth), indices, bundle.classes, probabilities, seed=seed, groups=groups
        )
        decisions = Counter(row["decision"] for row in rows)
    content = {"n": len(rows), "metrics": metrics, "decisions": dict(decisions)}
    return {**json_ready(content), "refused": judged["refused"], "model": judged["model"]}
