"""The figures of Sahasrabudhe et al. 2020 (hal-03032875), tables 2 to 4.

They are of one split of other patients, with 42 in the test set. Their threshold is one half, as here. Figures of the
classical approach are those of SPEC_MIL. The rivals' areas in table 4 equal their balanced accuracies in table 3, so
that they seem to be those of decisions and not of scores.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BIOLOGISTS", "PUBLISHED"]

NAMES = ("sensitivity", "specificity", "accuracy", "balanced_accuracy", "roc_auc")


def _figures(*values: float) -> dict[str, float]:
    return dict(zip(NAMES, values, strict=True))


#: Twelve biologists, on images and attributes; the area is that of their average.
BIOLOGISTS: Mapping[str, float] = _figures(0.7529, 0.7885, 0.7639, 0.7707, 0.9204)

#: Model of the study to its figures.
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "adaboost": _figures(0.7586, 0.6923, 0.7381, 0.7255, 0.7255),
    "svm": _figures(0.8621, 0.6923, 0.8095, 0.7772, 0.7771),
    "decision_tree": _figures(0.7241, 0.6154, 0.6905, 0.6698, 0.6698),
    "random_forest": _figures(0.8276, 0.6154, 0.7619, 0.7215, 0.7215),
    "gaussian_naive_bayes": _figures(0.5517, 0.8462, 0.6429, 0.6989, 0.6989),
    "gradient_boosting": _figures(0.6897, 0.6923, 0.6905, 0.6910, 0.6910),
    "mlp": _figures(0.8621, 0.6923, 0.8095, 0.7772, 0.8912),
    "spec_mil": _figures(1.0, 0.3846, 0.8095, 0.6923, 0.8727),
    "spec_mil_attributes": _figures(0.8966, 0.6923, 0.8333, 0.7944, 0.8329),
    "attention_k32": _figures(0.9655, 0.6923, 0.8810, 0.8289, 0.9151),
    "attention_k64": _figures(1.0, 0.2308, 0.7619, 0.6154, 0.9390),
    "cnn_mean_k32": _figures(0.9310, 0.6923, 0.8571, 0.8117, 0.9416),
    "cnn_mean_k64": _figures(0.8621, 0.8462, 0.8571, 0.8541, 0.9629),
    "avg_mean_k32": _figures(0.9310, 0.6923, 0.8571, 0.8117, 0.92),
    "avg_mean_k64": _figures(0.9310, 0.6154, 0.8333, 0.7732, 0.94),
    "moe_p1_k32": _figures(0.8621, 0.8462, 0.8571, 0.8541, 0.9416),
    "moe_p2_k32": _figures(0.8621, 0.6923, 0.8095, 0.7772, 0.9178),
    "moe_p3_k32": _figures(0.8621, 0.6154, 0.7857, 0.7387, 0.9151),
    "moe_p1_k64": _figures(0.8621, 0.8462, 0.8571, 0.8541, 0.9443),
    "moe_p2_k64": _figures(0.8621, 0.8462, 0.8571, 0.8541, 0.9178),
    "moe_p3_k64": _figures(0.8966, 0.6923, 0.8333, 0.7944, 0.9390),
    # table 2 only
    **{
        f"{model}_{pooling}_k{width}": {"roc_auc": area}
        for model, pooling, areas in (
            ("cnn", "max", {8: 0.60, 16: 0.47, 32: 0.47, 64: 0.89}),
            ("cnn", "lme", {8: 0.82, 16: 0.72, 32: 0.77, 64: 0.82}),
            ("cnn", "mean", {8: 0.82, 16: 0.88}),
            ("avg", "max", {8: 0.87, 16: 0.88, 32: 0.88, 64: 0.90}),
            ("avg", "lme", {8: 0.91, 16: 0.89, 32: 0.89, 64: 0.90}),
            ("avg", "mean", {8: 0.90, 16: 0.91}),
        )
        for width, area in areas.items()
    },
    "moe_p1_k8": {"roc_auc": 0.90},
    "moe_p1_k16": {"roc_auc": 0.92},
}
