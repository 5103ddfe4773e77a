"""Folders of evaluation files as the bundles write them, with content like a real run's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, softmax

from shared.calibration.calibration_report import calibration_report, multi_label_calibration_report
from shared.calibration.decision import decide
from shared.calibration.selective import selective_report
from shared.data.files import write_json
from shared.evaluation.classification import classification_metrics
from shared.evaluation.metrics_file import write_metrics
from shared.evaluation.predictions import multilabel_table, predictions_table, write_predictions
from shared.report.build import build_report
from tests.shared.report.html_page import Page

CELLS = ("monocyte", "lymphocyte", "neutrophil", "eosinophil")
KINDS = ("thrombocyte", "aggregate", "defocused", "ruptured", "empty")
FINDINGS = ("Atelectasis", "Cardiomegaly", "Edema")
WEIGHTS = "5f2c" * 16
METHODS = {
    "guided_backpropagation": "Guided backpropagation",
    "input_x_gradient": "Input \u00d7 gradient",
    "integrated_gradients": "Integrated gradients",
    "lime": "LIME",
    "grad_cam_plus_plus": "Grad-CAM++",
}
MINIMUM, ACCEPT, OUTLIER = 0.2, 0.6, 3.0


def provenance() -> dict:
    return {
        "date": "2025-03-01T12:00:00+00:00",
        "command": "python -m monai.bundle run evaluating --config_file evaluate.json",
        "seed": 7,
        "packages": {"monai": "1.6.1", "torch": "2.13.0"},
        "weights": [{"file": "models/model.pt", "sha256": WEIGHTS}],
    }


def cell_image(rng: np.random.Generator, size: int = 50) -> np.ndarray:
    """A round cell with a few blobs, uint8."""
    y, x = np.mgrid[:size, :size] - size / 2
    image = 120 * np.exp(-(((x**2 + y**2) / (0.3 * size) ** 2) ** 2))
    for cy, cx in rng.normal(0, 0.12 * size, (3, 2)):
        image += 60 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.07 * size) ** 2)
    return np.clip(image + rng.normal(20, 6, image.shape), 0, 255).astype(np.uint8)


def overlay_image(image: np.ndarray, rng: np.random.Generator, factor: int = 6) -> Image.Image:
    """The image enlarged, with a diverging map over it and a colour bar."""
    size = image.shape[0]
    y, x = np.mgrid[:size, :size] - size / 2
    cy, cx = rng.normal(0, 0.15 * size, 2)
    saliency = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.18 * size) ** 2) - 0.3 * np.exp(
        -((x + cx) ** 2 + (y + cy) ** 2) / (0.1 * size) ** 2
    )
    colours = matplotlib.colormaps["RdBu_r"](0.5 + 0.5 * saliency)[..., :3]
    alpha = 0.75 * np.abs(saliency)[..., None]
    blend = (1 - alpha) * image[..., None] / 255 + alpha * colours
    bar = matplotlib.colormaps["RdBu_r"](np.linspace(1, 0, size))[:, None, :3].repeat(4, axis=1)
    whole = np.concatenate([blend, np.ones((size, 2, 3)), bar], axis=1)
    return Image.fromarray((255 * whole).astype(np.uint8)).resize((factor * whole.shape[1], factor * size))


def write_four_classes(
    bundle: Path, classes: Sequence[str] = CELLS, kinds: Sequence[str] = KINDS, n: int = 320, cases: int = 4
) -> Path:
    """Write everything that calibrating, evaluating and explaining of a single-label bundle leave; return eval."""
    rng = np.random.default_rng(3)
    eval_dir, k = bundle / "eval", len(classes)
    m = 24 * len(kinds)
    logits = rng.normal(size=(n + m, k))
    logits[np.arange(n), rng.integers(0, k, n)] += rng.gamma(3.0, 1.8, n)
    logits[n:] *= 0.3
    raw, probabilities = softmax(2.5 * logits, axis=1), softmax(logits, axis=1)
    # labels drawn from the calibrated probabilities: after calibration, and only then, the model is calibrated
    labels = (rng.random((n, 1)) < probabilities[:n].cumsum(axis=1)).argmax(axis=1)
    predicted = probabilities.argmax(axis=1)
    confidence = np.clip((k * probabilities.max(axis=1) - 1) / (k - 1), 0, 1)
    score = np.concatenate([rng.gamma(2.0, 0.5, n), rng.gamma(9.0, 0.6, m)])
    limits = {"minimum_confidence": MINIMUM, "accept_confidence": ACCEPT, "outlier_threshold": OUTLIER}
    decided = decide(confidence, score, **limits)
    kind = np.repeat(np.arange(len(kinds)), 24)
    ids = [f"D{i % 9:02d}_{classes[label][:3]}_{i:03d}/00001/01" for i, label in enumerate(labels)]
    ids += [f"D{i % 9:02d}_{kinds[j][:3]}_{n + i:03d}/00001/01" for i, j in enumerate(kind)]
    table = predictions_table(
        ids=ids,
        classes=classes,
        logits=np.log(probabilities),
        probabilities=probabilities,
        predictions=[classes[i] for i in predicted],
        confidence=confidence,
        decisions=[decision for decision, _ in decided],
        reasons=[reason for _, reason in decided],
        labels=[classes[i] for i in labels] + [""] * m,
        extra={"kind": [""] * n + [kinds[j] for j in kind], "outlier_score": score},
    )
    write_predictions(eval_dir / "predictions.csv", table)

    confusion = np.zeros((k, k), dtype=int)
    np.add.at(confusion, (labels, predicted[:n]), 1)
    caught = np.array([decision == "reject" for decision, _ in decided[n:]])
    few = {"resamples": 60}
    write_metrics(
        eval_dir / "metrics.json",
        {
            "bundle": bundle.name,
            "split": "test",
            "n": n,
            "classes": list(classes),
            "metrics": classification_metrics(labels, predicted[:n], classes, probabilities[:n], **few)
            | {"kept_share": {"value": 0.97, "ci95": [0.94, 0.99]}},
            "resampled": {"by": "donor", "n": 9},
            "calibration": {
                "before": calibration_report(raw[:n], labels, n_bins=10, simulations=60, **few),
                "after": calibration_report(probabilities[:n], labels, n_bins=10, simulations=60, **few),
            },
            "confusion_matrix": confusion,
            "selective": selective_report(confidence[:n], (predicted[:n] != labels).astype(float), **few),
            "outliers": {
                name: {
                    "n": 24,
                    "caught": caught[kind == j].mean(),
                    "ci95": [max(caught[kind == j].mean() - 0.1, 0), 1.0],
                    "auroc": {"energy": 0.9 + 0.01 * j, "mahalanobis": 0.99 - 0.01 * j},
                    "fpr95": {"energy": 0.3, "mahalanobis": 0.02 + 0.01 * j},
                }
                for j, name in enumerate(kinds)
            },
            "provenance": provenance(),
        },
    )
    write_json(
        bundle / "models" / "calibration.json",
        {
            "bundle": bundle.name,
            "weights_sha256": WEIGHTS,
            "temperature": {"value": 2.345, "loss_before": 0.81, "loss_after": 0.52, "n": 160, "split": "validation"},
            "confidence": {
                "minimum": MINIMUM,
                "accept": ACCEPT,
                "target_risk": 0.05,
                "reached": True,
                "guarantee": None,
                "risk": 0.04,
                "coverage": 0.6,
            },
            "outlier": {
                "members": ["energy", "mahalanobis"],
                "threshold": OUTLIER,
                "kept": 0.968,
                "inliers_kept": 0.97,
            },
            "provenance": {"seed": 7},
        },
    )
    write_json(
        bundle / "configs" / "metadata.json",
        {
            "name": "Leukocytes in phase images",
            "version": "0.1.0",
            "task": "Four-part differential of single white blood cells",
            "intended_use": "Research on label-free differential blood counts.",
            "limits": ["Not for diagnosis.", "Never measured on cells of children."],
            "data_source": "Generated phantoms.",
        },
    )
    write_explanations(eval_dir, table.iloc[[*range(cases - 1), n]], rng)
    return eval_dir


def write_explanations(eval_dir: Path, rows, rng: np.random.Generator) -> None:
    folder = eval_dir / "explanations"
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for i, row in enumerate(rows.to_dict("records")):
        image = cell_image(rng)
        Image.fromarray(image).save(folder / f"{i}.png")
        methods = {}
        for method in METHODS:
            overlay_image(image, rng).save(folder / f"{i}_{method}.png")
            methods[method] = {"overlay_png": f"explanations/{i}_{method}.png", "nifti": f"explanations/{i}.nii.gz"}
            quality = {"rank_accuracy": {"value": rng.uniform(0.2, 0.9), "chance": 0.1}}
            methods[method]["quality"] = quality if row.get("kind", "") == "" else {}
        samples.append(
            {name: row[name] for name in ("id", "label", "prediction", "confidence", "decision")}
            | {"target": row["prediction"], "image_png": f"explanations/{i}.png", "methods": methods}
        )
    summary = {
        method: {
            "title": title,
            "parameters": {"samples": 50, "seed": 0},
            "quality": {
                "rank_accuracy": {
                    "value": 0.15 + 0.13 * j,
                    "ci95": [0.05 + 0.13 * j, 0.2 + 0.13 * j],
                    "chance": 0.1,
                    "n": 40,
                    "n_without_mask": 3,
                },
                "localisation_auc": {
                    "value": 0.5 + 0.08 * j,
                    "ci95": [0.45 + 0.08 * j, 0.55 + 0.08 * j],
                    "chance": 0.5,
                    "n": 40,
                },
            },
            "stability": {"between_seeds": 0.91},
        }
        for j, (method, title) in enumerate(METHODS.items())
    }
    content = {"samples": samples, "methods": summary, "provenance": provenance()}
    write_json(folder / "index.json", content)


def write_multi_label(bundle: Path, classes: Sequence[str] = FINDINGS, n: int = 240) -> Path:
    """Write the metrics and predictions of a multi-label bundle, some labels unknown; return eval."""
    rng = np.random.default_rng(5)
    eval_dir, k = bundle / "eval", len(classes)
    logits = rng.normal(-0.5, 2.0, (n, k))
    labels = (rng.random((n, k)) < expit(logits)).astype(float)
    labels[rng.random((n, k)) < 0.1] = np.nan
    raw, probabilities = expit(2.5 * logits), expit(logits)
    predictions, confidence = (probabilities >= 0.5).astype(int), np.abs(2 * probabilities - 1)
    decisions = np.where(confidence >= 0.3, "accept", "defer")
    table = multilabel_table(
        ids=[f"patient{i:05d}/study1" for i in range(n)],
        classes=classes,
        logits=logits,
        probabilities=probabilities,
        predictions=predictions,
        confidence=confidence,
        decisions=decisions,
        predictions_after_alarm=predictions,
        reasons=[""] * n,
        labels=labels,
    )
    write_predictions(eval_dir / "predictions.csv", table)
    known = ~np.isnan(labels)
    few = {"resamples": 60}
    write_metrics(
        eval_dir / "metrics.json",
        {
            "bundle": bundle.name,
            "split": "test",
            "n": n,
            "classes": list(classes),
            "metrics": {"macro_roc_auc": {"value": 0.86, "ci95": [0.83, 0.89]}}
            | {f"roc_auc_{name}": {"value": 0.8 + 0.05 * i, "ci95": [0.7, 0.95]} for i, name in enumerate(classes)},
            "calibration": {
                stage: multi_label_calibration_report(values, labels, classes, n_bins=10, simulations=60, **few)
                for stage, values in (("before", raw), ("after", probabilities))
            },
            "selective": {
                name: selective_report(
                    confidence[known[:, i], i], (predictions != labels)[known[:, i], i].astype(float), **few
                )
                for i, name in enumerate(classes)
            },
            "provenance": provenance(),
        },
    )
    return eval_dir


@pytest.fixture(scope="session")
def four_classes(tmp_path_factory) -> Path:
    """The eval folder of a complete single-label bundle; not to be changed."""
    return write_four_classes(tmp_path_factory.mktemp("bundles") / "leukocyte_qpi")


@pytest.fixture(scope="session")
def multi_label(tmp_path_factory) -> Path:
    """The eval folder of a multi-label bundle without explanations; not to be changed."""
    return write_multi_label(tmp_path_factory.mktemp("bundles") / "chexpert_informer")


@pytest.fixture(scope="session")
def html(four_classes) -> str:
    """The page of the complete single-label bundle."""
    return build_report(four_classes).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(html) -> Page:
    """The same, parsed."""
    return Page(html)


@pytest.fixture(scope="session")
def metrics(four_classes) -> dict:
    """Its metrics file."""
    return json.loads((four_classes / "metrics.json").read_text())


@pytest.fixture
def write_files():
    """Generators of one's own folders: ``single(bundle, **options)`` and ``multi(bundle, **options)``."""

    class Writers:
        single = staticmethod(write_four_classes)
        multi = staticmethod(write_multi_label)

    return Writers
