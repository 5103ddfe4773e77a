"""The table as CSV (one line per number), Markdown and a self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.study.grid import Run
from scripts.study.measures import Estimate
from scripts.study.rows import Section
from scripts.study.table import Table, build_table
from scripts.study.workshop import Workshop
from shared.data.files import atomic_path

__all__ = ["long_frame", "markdown", "write_table"]

STAND_IN = (
    "The cells are stained bright-field crops, a stand-in for quantitative phase images: grey, inverted and scaled. "
    "No number here is a result on phase images."
)
DASH = "\u2013"
READING = (
    "Numbers are means over the seeds, each with its 95 % bootstrap interval over cells, which holds no other source "
    "of chance (the standard deviation over seeds is in the CSV file). ECE: top-label calibration error with {bins} "
    "equal-width bins; its interval is the basic one, which subtracts the upward bias of the estimate and so may end "
    "there. Null: largest value within the central 95 % of what perfect predictors get on as many cells. Confidence: "
    "(K p - 1) / (K - 1) for the largest of K calibrated probabilities p."
)


def write_table(workshop: Workshop, runs: Sequence[Run]) -> list[Path]:
    """Write ``table.csv``, ``table.md`` and ``table.html`` of the results that are there.

    Returns:
        The files.
    """
    table = build_table(workshop, runs)
    folder = workshop.output
    facts = _facts(workshop, runs)
    reading = READING.format(bins=workshop.settings.n_bins)
    page = _template().render(
        stand_in=STAND_IN, reading=reading, table=table, facts=facts, cell=html_cell, dropout=_dropout
    )
    texts = {"table.md": markdown(table, reading, facts), "table.html": page}
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    with atomic_path(folder / "table.csv") as temporary:
        long_frame(table.sections).to_csv(temporary, index=False)
    return [folder / "table.csv", folder / "table.md", folder / "table.html"]


def long_frame(sections: Sequence[Section]) -> pd.DataFrame:
    """Return one line for each number: section, network, dropout, condition, measure, value, interval, N and so on."""
    records: list[dict[str, Any]] = []
    for section in sections:
        for row in section.rows:
            place = {"section": section.title, "network": row.network, "dropout": row.dropout}
            place["condition"] = row.condition
            for measure, cell in row.cells.items():
                numbers = asdict(cell) if isinstance(cell, Estimate) else {"text": cell}
                records.append({**place, "measure": measure, **numbers})
    columns = ["section", "network", "dropout", "condition", "measure", "value", "low", "high", "n", "seeds"]
    columns += ["seed_sd", "null_low", "null_high", "chance", "text"]
    return pd.DataFrame.from_records(records).reindex(columns=columns)


def markdown(table: Table, reading: str, facts: Sequence[str]) -> str:
    """Return the table as Markdown."""
    lines = ["# leukocyte_qpi on stained cells", "", f"**{STAND_IN}** {reading}", "", *(f"- {fact}" for fact in facts)]
    for section in table.sections:
        lines += ["", f"## {section.title}", "", section.note, ""]
        header = ["network", "dropout", "condition", "N", "seeds", *section.columns]
        lines += ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        for row in section.rows:
            texts = [text_cell(row.cells.get(name)) for name in section.columns]
            counts = counts_of(row.cells)
            lines.append("| " + " | ".join([row.network, _dropout(row.dropout), row.condition, *counts, *texts]) + " |")
    if table.missing:
        lines += ["", "## Left out", "", f"{len(table.missing)} runs have no result. Seeds left out of their rows:", ""]
        lines += [f"- {text}" for text in table.incomplete]
    return "\n".join(lines) + "\n"


def text_cell(cell: Estimate | str | None) -> str:
    """Write a cell on one line.

    Example:
        >>> text_cell(Estimate(0.5, 0.25, 0.75, 10, 3, null_high=0.1))
        '0.500 [0.250, 0.750], null ≤ 0.100'
    """
    if cell is None:
        return DASH
    if isinstance(cell, str):
        return cell
    text = f"{cell.value:.3f} [{cell.low:.3f}, {cell.high:.3f}]"
    if cell.null_high is not None:
        text += f", null ≤ {cell.null_high:.3f}"
    return text if cell.chance is None else f"{text}, chance {cell.chance:.3f}"


def html_cell(cell: Estimate | str | None) -> dict[str, str]:
    """Return the parts of a cell: ``value``, ``interval`` and ``remark``, and ``kind`` for its style."""
    if cell is None:
        return {"value": DASH, "interval": "", "remark": "", "kind": "none"}
    if isinstance(cell, str):
        kind = next((word for word in ("met", "missed") if cell.startswith(word)), "text")
        return {"value": cell, "interval": "", "remark": "", "kind": kind}
    remarks = [] if cell.null_high is None else [f"null ≤ {cell.null_high:.3f}"]
    remarks += [] if cell.chance is None else [f"chance {cell.chance:.3f}"]
    return {
        "value": f"{cell.value:.3f}",
        "interval": f"{cell.low:.3f} to {cell.high:.3f}",
        "remark": ", ".join(remarks),
        "kind": "number",
    }


def counts_of(cells: Any) -> list[str]:
    """Return N and the number of seeds of a row; dashes for a row of texts."""
    first = next((cell for cell in cells.values() if isinstance(cell, Estimate)), None)
    return [DASH, DASH] if first is None else [str(first.n), str(first.seeds)]


def _dropout(rate: float | None) -> str:
    return DASH if rate is None else f"{rate:g}"


def _facts(workshop: Workshop, runs: Sequence[Run]) -> list[str]:
    """Return sentences about data, training and cost."""
    cells = workshop.cells
    counts = ", ".join(f"{name} {int((cells.labels == k).sum())}" for k, name in enumerate(cells.classes))
    names, numbers = np.unique(cells.sources, return_counts=True)
    sources = ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))
    seconds = 0.0
    best_epochs: dict[str, list[int]] = {name: [] for name in workshop.settings.networks}
    for run in runs:
        path = workshop.result_path(run)
        if path.is_file():
            with np.load(path, allow_pickle=False) as result:
                facts = json.loads(str(result["facts"]))
            seconds += facts["seconds"]
            if run.experiment == "cross_validation" and "best_epoch" in facts:
                best_epochs[run.network].append(facts["best_epoch"])
    return [
        f"Cells: {len(cells)} ({counts}; sources: {sources}); sha256 of the data {workshop.data_sha256[:16]}…",
        *(
            f"{name}: Adam, learning rate {options['learning_rate']:g}, batches of {options['batch_size']}, patience "
            f"{options['patience']}; {_epochs(best_epochs[name], options['max_epochs'])}"
            for name, options in workshop.settings.networks.items()
        ),
        f"Time of all runs together: {seconds / 60:.0f} minutes of one worker",
    ]


def _epochs(best: Sequence[int], most: int) -> str:
    """Tell where trainings had their best epoch, which shows whether they were cut short."""
    if not best:
        return f"at most {most} epochs"
    late = sum(epoch > 0.9 * most for epoch in best)
    return (
        f"best validation macro F1 in epoch {np.median(best):.0f} (median) of at most {most}, in {late} of {len(best)} "
        "trainings in the last tenth: these would gain from more epochs"
    )


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["counts_of"] = counts_of
    return environment.get_template("table.html.j2")
