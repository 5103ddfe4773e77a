"""One answer from what a station wrote: the row of the predictions file, and the files of the explanation.

Nothing is computed here: every number stands in ``predictions.csv`` or ``explanations/index.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from shared.data.files import read_json
from shared.saliency.explanation_files import FOLDER
from shared.serving.items import key_of

__all__ = ["explanations", "predictions", "refusals"]

Row = Mapping[str, str]


def predictions(output_dir: Path, classes: Sequence[str], multi_label: bool) -> dict[str, list[dict[str, Any]]]:
    """Return what a station said, by the key of the item; several for an item in which it found several.

    Args:
        output_dir: of the station.
        classes: of the bundle.
        multi_label: whether each class is judged by itself.

    Returns:
        ``probabilities`` by class; ``prediction``, ``confidence``, ``decision``, ``reason`` and ``alarm``, each by
        finding where there are several; ``further``, what else the row says in numbers.
    """
    table = pd.read_csv(output_dir / "predictions.csv", dtype=str, keep_default_na=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        said = _of_findings(row, classes) if multi_label else _of_classes(row, classes)
        found.setdefault(key_of(row["id"]), []).append(said)
    return found


def refusals(output_dir: Path) -> dict[str, str]:
    """Return why a station left an item out, by the item's key, as ``excluded.csv`` says."""
    file = output_dir / "excluded.csv"
    if not file.is_file():
        return {}
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    found: dict[str, str] = {}
    for row in table.to_dict("records"):
        for place in (row["item"], row["source"]):
            found.setdefault(key_of(place), row["reason"])
    return found


def explanations(output_dir: Path, method: str) -> list[dict[str, Any]]:
    """Return the explanations of the one item that a station explained, one for each class.

    Args:
        output_dir: of the station.
        method: by name.

    Returns:
        ``method``, ``target_class``, ``files`` (paths by kind); of bags what the index says of the instances; of slides
        the ``geojson`` of the heat-map.
    """
    index = read_json(output_dir / FOLDER / "index.json")
    found = []
    for sample in index["samples"]:
        entry: dict[str, Any] = {"method": method, "target_class": sample["target"]}
        said = sample["methods"].get(method, {})
        files = {key: value for key, value in said.items() if _is_file(output_dir, value)}
        if (bag := sample.get("bag")) is not None:
            files |= _files(output_dir, bag, ("instances_csv",))
            files |= _files(output_dir, bag["highest"][0], ("overlay_png", "layer_png", "nifti", "image_png"))
            entry |= {"shapley": bag["shapley"], "highest": _plain(bag["highest"]), "lowest": _plain(bag["lowest"])}
            if "experts" in bag:
                entry["experts"] = bag["experts"]
        if (slide := sample.get("slide")) is not None:
            files |= _files(output_dir, slide, ("thumbnail_png", "instances_csv", "tiles_geojson"))
            entry |= {key: slide[key] for key in ("tiles", "tile_size_px", "size_px", "mpp", "ranked_by", "missing")}
            entry |= {side: _plain(slide[side]) for side in ("highest", "lowest") if side in slide}
        if "geojson" in files:
            entry["geojson"] = read_json(output_dir / files["geojson"])
        if "image_png" in sample:
            files["image_png"] = sample["image_png"]
        entry["files"] = {key: str(output_dir / name) for key, name in files.items()}
        found.append(entry)
    return found


def _of_classes(row: Row, classes: Sequence[str]) -> dict[str, Any]:
    decision = row["decision"]
    used = {"id", "prediction", "confidence", "decision", "reason", *(f"probability_{name}" for name in classes)}
    return {
        "probabilities": {name: float(row[f"probability_{name}"]) for name in classes},
        "prediction": row["prediction"],
        "confidence": float(row["confidence"]),
        "decision": decision,
        "reason": row["reason"],
        "alarm": decision != "accept",
        "further": _numbers(row, used),
    }


def _of_findings(row: Row, classes: Sequence[str]) -> dict[str, Any]:
    def column(name: str) -> dict[str, str]:
        return {finding: row[f"{name}_{finding}"] for finding in classes}

    names = ("probability", "prediction", "confidence", "decision", "reason", "alarm", "prediction_after_alarm")
    used = {"id", "reason", *(f"{name}_{finding}" for name in names for finding in classes)}
    return {
        "probabilities": {finding: float(value) for finding, value in column("probability").items()},
        "prediction": {finding: int(value) for finding, value in column("prediction").items()},
        "confidence": {finding: float(value) for finding, value in column("confidence").items()},
        "decision": column("decision"),
        "reason": column("reason"),
        "alarm": {finding: value == "1" for finding, value in column("alarm").items()},
        "prediction_after_alarm": {finding: int(value) for finding, value in column("prediction_after_alarm").items()},
        "further": _numbers(row, used),
    }


def _numbers(row: Row, used: set[str]) -> dict[str, float | None]:
    """Return the columns that hold a number and were not used yet; ``None`` where a number is not finite."""
    found: dict[str, float | None] = {}
    for name, text in row.items():
        if name in used:
            continue
        try:
            value = float(text) if text else math.nan
        except ValueError:
            continue
        found[name] = value if math.isfinite(value) else None
    return found


def _files(output_dir: Path, entry: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    return {key: entry[key] for key in keys if _is_file(output_dir, entry.get(key))}


def _is_file(output_dir: Path, value: Any) -> bool:
    return isinstance(value, str) and (output_dir / value).is_file()


def _plain(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return instances without the files of each, whose paths end with the request."""
    return [{key: value for key, value in entry.items() if not key.endswith(("_png", "nifti"))} for entry in entries]
