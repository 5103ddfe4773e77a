"""The table: all models, and what else was measured of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.study.diagnoses import diagnosis_section, goal_section, shortcut_section
from scripts.study.further_sections import (
    attention_section,
    cell_number_section,
    expert_section,
    repeatability_section,
)
from scripts.study.grid import Run, all_runs
from scripts.study.held_out import HeldOut, held_out
from scripts.study.measures import Meter
from scripts.study.settings import StudySettings
from scripts.study.workshop import Workshop
from shared.study.precision import precision_name
from shared.study.repeats import whole_repeats
from shared.study.table import Table

__all__ = ["Results", "build_table", "left_out"]

WARNING = (
    "The paper's figures beside are of one split with another test set of 42 patients: they are there for orientation, "
    "and differences to them are no result."
)
READING = (
    "Numbers are means over the repeats, each with its 95 % bootstrap interval over patients (stratified by class), "
    "which holds no other source of chance; the standard deviation over repeats is in the CSV file. ECE: top-label "
    "calibration error with {bins} equal-width bins; its interval is the basic one, which subtracts the upward bias of "
    "the estimate and so may end there. Null: largest value within the central 95 % of what perfect predictors get on "
    "as many patients."
)


RECIPE = (
    "What networks have in common in study.json was settled with the help of the 121 patients that the paper's authors "
    "published: field of view, cells in a step and epochs on inner splits of one fold's training patients, the last "
    "epoch instead of that with the least validation loss after a look at four held-out folds of one model. On those "
    "patients the networks' figures are a little too good"
)


@dataclass
class Results:
    """What is there of a study: joins the folds of each model once.

    Args:
        workshop: shared by the runs.
        runs: all runs of the study.

    Attributes:
        done: runs with a result.
        found: held-out predictions of each model that has a whole repeat, in the order of the settings.
        incomplete: repeats of which folds are missing, in words.
    """

    workshop: Workshop
    runs: Sequence[Run]
    done: set[Run] = field(init=False)
    found: dict[str, HeldOut] = field(default_factory=dict, init=False)
    incomplete: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.done = {run for run in self.runs if self.workshop.is_done(run)}
        for model in self.workshop.settings.models:
            # further members of an ensemble enter the ensemble's row only
            folds = [run for run in self.runs if run.model == model and run.member == 0]
            whole, lacking = whole_repeats(folds, self.done, lambda run: run.repeat)
            title = self.workshop.settings.models[model]["title"]
            self.incomplete += [
                f"{title}, repeat {repeat + 1}: {finished} of {number} folds"
                for repeat, (finished, number) in lacking.items()
            ]
            if whole:
                self.found[model] = held_out(self.workshop, model, list(whole))


def build_table(results: Results, everything: StudySettings) -> Table:
    """Compute the table from the results that are there; a repeat enters a row only if all its folds are done.

    Args:
        results: of the study.
        everything: the settings of the whole grid, to say what is not in this study.
    """
    workshop, found = results.workshop, results.found
    settings = workshop.settings
    meter = Meter(workshop.patients.labels, settings.n_bins, settings.resamples)
    sections = [
        diagnosis_section(settings, meter, found),
        goal_section(settings, meter, found),
        shortcut_section(settings, meter, found),
        repeatability_section(workshop, meter, found),
        cell_number_section(settings, meter, found),
        expert_section(settings, meter, found),
        attention_section(workshop, found),
    ]
    return Table(
        title="lymphocytosis_moe on real patients",
        warning=WARNING,
        reading=READING.format(bins=settings.n_bins),
        facts=_facts(workshop, results.done),
        sections=[section for section in sections if section.rows],
        left_out=[*results.incomplete, *left_out(settings, everything)],
    )


def left_out(settings: StudySettings, everything: StudySettings) -> list[str]:
    """Say what the whole grid has and this study does not, in sentences."""
    here, whole = all_runs(settings), all_runs(everything)
    repeats_here = {name: {run.repeat for run in here if run.model == name} for name in everything.models}
    texts = []
    without = [name for name in everything.models if any(run.model == name for run in whole) and not repeats_here[name]]
    if without:
        titles = "; ".join(everything.models[name]["title"] for name in without)
        texts.append(f"Not in this study, but with --full: {titles}")
    fewer: dict[tuple[int, int], list[str]] = {}
    for name in everything.models:
        number = len({run.repeat for run in whole if run.model == name})
        if 0 < len(repeats_here[name]) < number:
            fewer.setdefault((len(repeats_here[name]), number), []).append(everything.models[name]["title"])
    texts += [f"{n} instead of {of} repeats: {'; '.join(titles)}" for (n, of), titles in sorted(fewer.items())]
    texts += [
        f"Networks trained with {key} {settings.training.get(key)} instead of {value}"
        for key, value in everything.training.items()
        if key != "amp" and settings.training.get(key) != value
    ]
    if settings.folds != everything.folds or settings.patients is not None or settings.cells is not None:
        texts.append("A smoke test on a part of the data: its numbers mean nothing")
    return texts


def _facts(workshop: Workshop, done: set[Run]) -> list[str]:
    """Return sentences about data, protocol and cost."""
    patients, settings = workshop.patients, workshop.settings
    counts = ", ".join(f"{name} {int((patients.labels == k).sum())}" for k, name in enumerate(patients.classes))
    facts = {run: workshop.facts(run) for run in done}
    training = ", ".join(f"{key} {value}" for key, value in settings.training.items() if key != "amp")
    precision = precision_name(settings.training, settings.device)
    return [
        f"Patients: {len(patients)} ({counts}), {int(patients.lengths.sum())} cells, {patients.lengths.min()} to "
        f"{patients.lengths.max()} each; sha256 of the data {patients.sha256[:16]}…",
        f"{settings.folds}-fold cross-validation by patient, stratified by class, a new partition in each repeat. "
        f"{100 * settings.validation_share:g} % of the patients outside the held-out fold choose parameters of the "
        "rivals, threshold, and the epoch of networks that are validated more than once, and give the temperature, "
        "which is held near 1 as far as they are few; the fraction of SPEC_MIL is chosen by three-fold "
        "cross-validation on the training patients, as in the paper. A held-out fold decides nothing in its run.",
        RECIPE,
        f"Networks: the bundle's train.json{' with ' + training if training else ''}; trained in {precision}",
        *_epochs(facts),
        f"Time of all runs together: {sum(fact['seconds'] for fact in facts.values()) / 60:.0f} minutes of one worker",
    ]


def _epochs(facts: dict[Run, dict[str, Any]]) -> list[str]:
    """Tell in which epoch the networks were best, which shows whether they were cut short."""
    trained: dict[str, list[tuple[int, int]]] = {}
    for run, fact in facts.items():
        if "best_epoch" in fact:
            trained.setdefault(run.model, []).append((fact["best_epoch"], fact["epochs"]))
    # where every training ends with its last epoch there was no choice
    chosen = [pair for pairs in trained.values() if any(best < epochs for best, epochs in pairs) for pair in pairs]
    number = sum(map(len, trained.values())) - len(chosen)
    texts = [f"The last epoch was taken in {number} trainings"] if number else []
    if chosen:
        late = sum(best > 0.9 * epochs for best, epochs in chosen)
        epochs = sorted(best for best, _ in chosen)
        texts.append(
            f"Epoch chosen on the validation patients: {epochs[len(epochs) // 2]} (median of {len(epochs)} trainings "
            f"of at most {max(most for _, most in chosen)} epochs), in {late} of them in the last tenth"
        )
    return texts
