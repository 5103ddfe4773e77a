"""The figures of Ilse, Tomczak and Welling 2018 (arXiv 1802.04712).

Means of five repeats of a ten-fold cross-validation: tables 1 (classical data sets, accuracy) and 3 (colon). Of the
classical data sets the paper gives pooling by mean and maximum as one row, MI-Net of Wang et al. 2018.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PUBLISHED"]

COLON = ("accuracy", "precision", "recall", "f1", "roc_auc")


def _colon(*values: float) -> dict[str, float]:
    return dict(zip(COLON, values, strict=True))


#: Condition of a study, then its network, to figures by the name of the measure.
PUBLISHED: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("musk1", "attention"): {"accuracy": 0.892},
    ("fox", "attention"): {"accuracy": 0.615},
    ("elephant", "attention"): {"accuracy": 0.868},
    ("musk1", "gated_attention"): {"accuracy": 0.900},
    ("fox", "gated_attention"): {"accuracy": 0.603},
    ("elephant", "gated_attention"): {"accuracy": 0.857},
    ("colon", "max_instance"): _colon(0.842, 0.866, 0.816, 0.839, 0.914),
    ("colon", "mean_instance"): _colon(0.772, 0.821, 0.710, 0.759, 0.866),
    ("colon", "max_embedding"): _colon(0.824, 0.884, 0.753, 0.813, 0.918),
    ("colon", "mean_embedding"): _colon(0.860, 0.911, 0.804, 0.853, 0.940),
    ("colon", "attention"): _colon(0.904, 0.953, 0.855, 0.901, 0.968),
    ("colon", "gated_attention"): _colon(0.898, 0.944, 0.851, 0.893, 0.968),
}
