"""Decisions and outliers: counts and shares are those of the predictions and the metrics."""

from __future__ import annotations

import pandas as pd

from shared.report.curves import wilson
from shared.report.formats import number, percent


def test_decisions_are_counted_from_the_predictions(page, four_classes):
    table = pd.read_csv(four_classes / "predictions.csv", keep_default_na=False)
    known = table[table["kind"] == ""]
    for decision in ("accept", "defer", "reject"):
        chosen = known[known["decision"] == decision]
        right = int((chosen["label"] == chosen["prediction"]).sum())
        row = page.row(decision)
        assert row[1:3] == [str(len(chosen)), percent(len(chosen) / len(known)).replace("\u202f", " ")]
        assert row[4] == percent(right / len(chosen)).replace("\u202f", " ")
        assert row[5].startswith(f"{100 * wilson(right, len(chosen))[0]:.1f} to ")
    deferred = int((known["decision"] == "defer").sum())
    assert page.row("defer")[6] == f"confidence … is below …, which acceptance asks for ({deferred})"


def test_outliers_per_kind_and_score(page, metrics):
    for kind, entry in metrics["outliers"].items():
        rows = [[" ".join(cell.split()) for cell in row] for row in page.rows if row and row[0] == kind]
        assert rows[0][:3] == [kind, "24", percent(entry["caught"]).replace("\u202f", " ")]
        low, high = entry["ci95"]
        reached = "reached" if entry["caught"] >= 0.95 else "missed"
        assert rows[0][4] == reached + (", within the interval" if low <= 0.95 <= high else "")
    assert page.row("Known classes: not rejected") == [
        "Known classes: not rejected",
        str(metrics["n"]),
        percent(0.97).replace("\u202f", " "),
        "94.0 to 99.0 %",
        "reached, within the interval",
    ]
    for score in ("energy", "mahalanobis"):
        rows = [[" ".join(cell.split()) for cell in row] for row in page.rows if row and row[0] == score.capitalize()]
        for row, measure in zip(rows, ("auroc", "fpr95"), strict=True):
            assert row[1:] == [number(entry[measure][score]) for entry in metrics["outliers"].values()]


def test_scores_that_decide_are_named(page):
    assert "The decision rests on: Energy, Mahalanobis." in page.text
