"""Where the numbers come from, and what contradicts what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.data.files import sha256_file
from shared.report.flat_rows import flat_rows
from shared.report.measures import read_table
from shared.report.recorded_weights import recorded_weights
from shared.report.sections.fitted import why_no_calibration
from shared.report.sources import Sources

__all__ = ["provenance_section"]

#: what the index says of a method that no other section shows
OF_METHODS = ("parameters", "stability", "completeness_gap", "refused")


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
            name: flat_rows({key: entry[key] for key in OF_METHODS if key in entry})
            for name, entry in methods.items()
            if isinstance(entry, Mapping)
        },
        "files": [(name, sha256_file(path)) for name, path in sources.files.items()],
        "warnings": _contradictions(sources),
    }


def _contradictions(sources: Sources) -> list[str]:
    """Say where files of different models were put together."""
    found = [f"{sources.left_out}, and is left out. {why_no_calibration(sources)}"] if sources.left_out else []
    contents = {"metrics.json": sources.metrics, "explanations/index.json": sources.explanations}
    used = {name: set(weights) for name, content in contents.items() if (weights := recorded_weights(content or {}))}
    if used and not set.intersection(*used.values()):
        listed = "; ".join(f"{name}: {', '.join(sorted(hash_[:12] for hash_ in set_))}" for name, set_ in used.items())
        found.append(f"These files belong to different weights ({listed}). Evaluate and explain again.")
    return found
