"""Where the numbers come from, and what contradicts what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.data.files import sha256_file
from shared.report.flat_rows import flat_rows
from shared.report.measures import read_table
from shared.report.sources import Sources

__all__ = ["provenance_section"]


def provenance_section(sources: Sources) -> dict[str, Any]:
    """Where the numbers come from: recorded provenance, methods' parameters, the files read, and contradictions."""
    tables = {"Evaluation": "metrics", "Calibration": "calibration", "Explanations": "explanations"}
    records = {
        title: rows
        for title, key in tables.items()
        if (rows := flat_rows((getattr(sources, key) or {}).get("provenance")))
    }
    methods = read_table((sources.explanations or {}).get("methods") or {}, "explanations/index.json: methods")
    return {
        "records": records,
        "methods": {
            name: flat_rows({key: value for key, value in entry.items() if key != "quality"})
            for name, entry in methods.items()
            if isinstance(entry, Mapping)
        },
        "files": [(name, sha256_file(path)) for name, path in sources.files.items()],
        "warnings": _contradictions(sources),
    }


def _contradictions(sources: Sources) -> list[str]:
    """Say where files of different models were put together."""
    used = {}
    for name, content in (
        ("calibration.json", sources.calibration),
        ("metrics.json", sources.metrics),
        ("explanations/index.json", sources.explanations),
    ):
        found = _weight_hashes(content or {})
        if found:
            used[name] = found
    if not used or set.intersection(*used.values()):
        return []
    listed = "; ".join(f"{name}: {', '.join(digest[:12] for digest in sorted(found))}" for name, found in used.items())
    return [f"These files belong to different weights ({listed}). Calibrate, evaluate and explain again."]


def _weight_hashes(content: Mapping[str, Any]) -> set[str]:
    """Return the hashes of the weights that a file was made with: its own key, or those in its provenance."""
    if content.get("weights_sha256"):
        return {str(content["weights_sha256"])}
    provenance = content.get("provenance")
    weights = provenance.get("weights") if isinstance(provenance, Mapping) else None
    return {str(entry["sha256"]) for entry in weights or [] if isinstance(entry, Mapping) and entry.get("sha256")}
