"""The table: all networks, and what else was measured of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.study.comparisons import cross_validation_section, source_section, wrong_label_section
from scripts.study.explanation_section import explanation_section
from scripts.study.perturbation_sections import attack_section, preprocessing_section
from scripts.study.results import Results
from shared.study.table import Table

__all__ = ["build_table"]

STAND_IN = (
    "The cells are stained bright-field crops, a stand-in for quantitative phase images: grey, inverted and scaled. "
    "No number here is a result on phase images."
)
READING = (
    "Numbers are means over the seeds, each with its 95 % bootstrap interval over cells, which holds no other source "
    "of chance (the standard deviation over seeds is in the CSV file). ECE: top-label calibration error with {bins} "
    "equal-width bins; its interval is the basic one, which subtracts the upward bias of the estimate and so may end "
    "there. Null: largest value within the central 95 % of what perfect predictors get on as many cells. Confidence: "
    "(K p - 1) / (K - 1) for the largest of K calibrated probabilities p."
)


def build_table(results: Results) -> Table:
    """Compute the table from the results that are there; a seed enters a row only if all its parts are done.

    Args:
        results: of the study.
    """
    sections = [
        cross_validation_section(results),
        source_section(results),
        wrong_label_section(results),
        preprocessing_section(results),
        attack_section(results),
        explanation_section(results),
    ]
    return Table(
        title="leukocyte_qpi on stained cells",
        warning=STAND_IN,
        reading=READING.format(bins=results.workshop.settings.n_bins),
        facts=_facts(results),
        sections=[section for section in sections if section.rows],
        left_out=_left_out(results),
        repeats="seeds",
    )


def _left_out(results: Results) -> list[str]:
    """Say what has no result; to be called after all sections have asked for theirs."""
    missing, runs = len(results.runs) - len(results.done), len(results.runs)
    if not missing:
        return []
    text = f"{missing} of {runs} runs have no result; a seed of which a part is missing is left out of its row"
    return [text, *sorted(results.incomplete)]


def _facts(results: Results) -> list[str]:
    """Return sentences about data, training and cost."""
    workshop = results.workshop
    cells = workshop.cells
    counts = ", ".join(f"{name} {int((cells.labels == k).sum())}" for k, name in enumerate(cells.classes))
    names, numbers = np.unique(cells.sources, return_counts=True)
    sources = ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))
    facts = {run: workshop.facts(run) for run in results.runs if run in results.done}
    best_epochs = {
        name: [
            fact["best_epoch"]
            for run, fact in facts.items()
            if run.experiment == "cross_validation" and run.network == name
        ]
        for name in workshop.settings.networks
    }
    return [
        f"Cells: {len(cells)} ({counts}; sources: {sources}); sha256 of the data {workshop.data_sha256[:16]}…",
        *(
            f"{name}: Adam, learning rate {options['learning_rate']:g}, batches of {options['batch_size']}, patience "
            f"{options['patience']}; {_epochs(best_epochs[name], options['max_epochs'])}"
            for name, options in workshop.settings.networks.items()
        ),
        f"Time of all runs together: {sum(fact['seconds'] for fact in facts.values()) / 60:.0f} minutes of one worker",
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
