"""An interpretability file as explaining writes it, with what may go wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.evaluation.interpretability.file import not_measured, row, write_interpretability

METHODS = {
    "lime": {
        "title": "LIME",
        "control": False,
        "parameters": {"samples": 50},
        "rule": "weights of a linear model of masked images",
        "satisfies": [],
        "failed": [],
    },
    "random_map": {"title": "Random map (control)", "control": True, "parameters": {}, "rule": "noise"},
    "guided_backpropagation": {
        "title": "Guided backpropagation",
        "control": False,
        "parameters": {},
        "rule": "gradients, negative ones cut off",
        "satisfies": [],
        "failed": ["Random logit: likeness 0.97 is not below 0.5."],
    },
}
VALUES = {  # measure: of lime, guided backpropagation, random map, chance
    "localisation_auc": ((0.80, 0.70, 0.90), (0.90, 0.85, 0.95), (0.50, 0.45, 0.55), 0.5),
    "noise_stability": ((0.60, 0.50, 0.70), (0.80, 0.70, 0.90), (0.01, -0.05, 0.05), None),
    "background_share": ((0.20, 0.15, 0.25), (0.40, 0.35, 0.45), (0.50, 0.48, 0.52), 0.5),
    "random_logit": ((0.20, 0.10, 0.30), (0.97, 0.95, 0.99), (0.00, -0.05, 0.05), None),
    "insertion_auc": ((0.70, 0.60, 0.80), (0.65, 0.55, 0.75), (0.40, 0.35, 0.45), None),
}


def element_rows() -> list[dict]:
    """Rows of three methods, one measure by class and by size, one of two things, one that was not taken."""
    rows = []
    names = ("lime", "guided_backpropagation", "random_map")
    for measure, (*found, chance) in VALUES.items():
        for name, (value, low, high) in zip(names, found, strict=True):
            entry = {"value": value, "ci95": [low, high], "n": 40}
            rows.append(row(measure, entry | ({} if chance is None else {"chance": chance}), name))
    part = {"value": 0.7, "ci95": [0.6, 0.8], "chance": 0.5, "n": 12}
    rows.append(row("localisation_auc", part, "lime", label="monocyte"))
    rows.append(row("localisation_auc", part, "lime", size="small"))
    rows.append(row("iou", part | {"parameters": {"quantile": 0.93}}, "lime"))
    for of in ("size", "dry mass"):
        rows.append(row("output_response", part | {"chance": 0.0}, of=of))
        rows += [not_measured("map_response", "the data are no phantoms", name, of=of) for name in names]
    rows += [not_measured("seed_stability", "no second model; name other_model_files", name) for name in names]
    return rows


def write_rows(eval_dir: Path, rows: list[dict] | None = None, methods: dict | None = None, **further: Any) -> Path:
    """Write the file; returns the folder."""
    write_interpretability(
        eval_dir / "interpretability.json",
        element_rows() if rows is None else rows,
        METHODS if methods is None else methods,
        bundle=eval_dir.parent.name,
        unit="cell",
        model={"name": "LeNet5", "parameters": 61706},
        provenance={"date": "2025-03-02T12:00:00+00:00", "seed": 7},
        **further,
    )
    return eval_dir
