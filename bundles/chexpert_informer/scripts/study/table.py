"""The page: networks, alarms and goals on phantoms and on real images, and the shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.alarm_titles import alarm_title
from scripts.findings import FINDINGS
from scripts.study.alarm_sections import (
    Evaluated,
    alarm_section,
    deferral_section,
    difference_section,
    evaluate,
    finding_section,
    goal_section,
)
from scripts.study.areas import area_intervals
from scripts.study.beyond_logit import beyond_logit_section
from scripts.study.cells import cell_of_interval
from scripts.study.doubting import doubts_from
from scripts.study.grid import Run
from scripts.study.pooled import Pooled, pool_runs
from scripts.study.real_images import REFERENCE_FILE, reference_probabilities
from scripts.study.settings import StudySettings
from scripts.study.shortcut_picture import write_shortcut_picture
from scripts.study.shortcut_run import tied_finding
from scripts.study.shortcut_sections import map_section, prediction_section, read_shortcut, revealing_section
from scripts.study.workshop import Workshop
from shared.evaluation.provenance import provenance
from shared.study.precision import precision_name
from shared.study.repeats import whole_repeats
from shared.study.table import Picture, Row, Section, Table

__all__ = ["Results", "build_table", "left_out"]

WARNING = (
    "The networks here are far smaller than the paper's DenseNet121 and are trained on few images: on the real images "
    "they stay far below the reference network beside them, which was trained on some 80,000. What is measured is the "
    "alarms, each beside its rivals on the same network."
)
READING = (
    "Numbers are of tested images that decided nothing, pooled over networks, each image with calibration, decision "
    "thresholds and alarms that were fitted on its own network's validation images. Brackets: 95 % percentile "
    "bootstrap over patients, given the trained networks. N counts tested images; differences are paired."
)
REAL, PHANTOMS = "real images", "phantoms"


@dataclass
class Results:
    """What is there of a study.

    Args:
        workshop: shared by the runs.
        runs: all runs of the study.

    Attributes:
        done: runs with a result.
        real: runs of the cross-validations all of whose folds are done.
        phantoms: runs of phantoms that are done.
        shortcut: runs of the shortcut that are done, with the networks that they are compared with.
        incomplete: what is missing, in words.
    """

    workshop: Workshop
    runs: Sequence[Run]
    done: set[Run] = field(init=False)
    real: list[Run] = field(init=False)
    phantoms: list[Run] = field(init=False)
    shortcut: list[Run] = field(init=False)
    incomplete: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.done = {run for run in self.runs if self.workshop.is_done(run)}
        real = [run for run in self.runs if run.experiment == "real"]
        whole, lacking = whole_repeats(real, self.done, lambda run: run.seed)
        self.real = [run for group in whole.values() for run in group]
        self.phantoms = [run for run in self.runs if run.experiment == "phantoms" and run in self.done]
        self.shortcut = [
            run
            for run in self.runs
            if run.experiment == "shortcut" and run in self.done and Run("phantoms", run.seed) in self.done
        ]
        self.incomplete = [
            f"Real images, repeat {seed + 1}: {finished} of {number} folds"
            for seed, (finished, number) in lacking.items()
        ]
        self.incomplete += [
            f"No result: {run.key}" for run in self.runs if run.experiment != "real" and run not in self.done
        ]


def build_table(results: Results, everything: StudySettings, data: Path) -> Table:
    """Compute the table from the results that are there.

    Args:
        results: of the study.
        everything: the settings of the whole study, to say what is not in this one.
        data: folder of the real images, for the reference beside them.
    """
    workshop = results.workshop
    settings = workshop.settings
    texts = [*results.incomplete, *left_out(settings, everything)]
    experiments: list[Evaluated] = []
    areas: list[Row] = []
    beyond: list[Section] = []
    for name, runs, independent in ((PHANTOMS, results.phantoms, True), (REAL, results.real, False)):
        if runs:
            pooled = pool_runs(workshop, runs)
            experiments.append(evaluate(name, pooled, settings, independent))
            areas += _area_rows(name, workshop, pooled, data)
            found = [workshop.result(run) for run in runs]
            tables = [(doubts_from(result, "validation"), doubts_from(result, "test")) for result in found]
            beyond.append(beyond_logit_section(name, tables, pooled.applied.patient, settings.resamples))
    if results.real and reference_probabilities(data, workshop.radiographs) is None:
        texts.append(f"No reference beside the real images: the data have no {REFERENCE_FILE}")
    sections = [_area_section(areas)]
    sections += [goal_section(experiment, settings.goal) for experiment in experiments]
    sections += beyond
    for experiment in experiments:
        sections += [
            alarm_section(experiment),
            difference_section(experiment, [*settings.goal["rivals"], "no_alarm"]),
            finding_section(experiment),
            deferral_section(experiment),
        ]
    pictures: list[Picture] = []
    if results.shortcut:
        shortcut = read_shortcut(workshop, results.shortcut, tied_finding(settings.phantoms.parameters))
        sections += [
            prediction_section(shortcut, settings.resamples),
            revealing_section(shortcut, settings.resamples),
            map_section(shortcut, settings.resamples),
        ]
        pictures.append(
            write_shortcut_picture(workshop.output / "shortcut.png", shortcut, settings.shortcut.shown_method)
        )
    return Table(
        title="chexpert_informer: alarms on real radiographs and on phantoms",
        warning=WARNING,
        reading=READING,
        facts=_facts(results),
        sections=[section for section in sections if section.rows],
        left_out=texts,
        repeats="networks",
        pictures=pictures,
    )


def left_out(settings: StudySettings, everything: StudySettings) -> list[str]:
    """Say what the whole study has and this one does not, in sentences."""
    texts = [
        f"Networks with {key} {settings.training.get(key)} instead of {value}"
        for key, value in everything.training.items()
        if key not in ("amp", "train#augmentation") and settings.training.get(key) != value
    ]
    if settings.training.get("train#augmentation") != everything.training.get("train#augmentation"):
        texts.append("Augmentation with blur and padding for smaller images")
    texts += [
        f"{name} of test-time augmentation {settings.doubts[key]} instead of {value} pixels, in proportion to the image"
        for key, value in everything.doubts.items()
        if (name := key.partition("augmentation_draws#")[2]) in ("blur", "padding") and settings.doubts[key] != value
    ]
    for name in ("train", "valid", "test"):
        here, there = settings.phantoms.patients[name], everything.phantoms.patients[name]
        if here != there:
            texts.append(f"Phantoms: {here} instead of {there} films in '{name}' of each seed")
    counts = {
        "seeds of phantoms": (len(settings.phantoms.seeds), len(everything.phantoms.seeds)),
        "seeds of the shortcut": (len(settings.shortcut.seeds), len(everything.shortcut.seeds)),
        "films of the shortcut": (settings.shortcut.films, everything.shortcut.films),
        "cross-validations of real images": (settings.real.repeats, everything.real.repeats),
    }
    texts += [f"{here} instead of {there} {what}" for what, (here, there) in counts.items() if here != there]
    if settings.real.folds != everything.real.folds:
        texts.append("A smoke test: its numbers mean nothing")
    return texts


def _area_rows(name: str, workshop: Workshop, pooled: Pooled, data: Path) -> list[Row]:
    reference = reference_probabilities(data, workshop.radiographs) if name == REAL else None
    if reference is not None:
        place = {record["id"]: row for row, record in enumerate(workshop.radiographs.records)}
        rows = [place[identity.rpartition("/")[2]] for identity in pooled.applied.id.tolist()]
        reference = reference[rows]
    found = area_intervals(pooled.applied, pooled.part, reference, workshop.settings.resamples)
    headings = {"own": "this study", "reference": "reference, DenseNet121", "difference": "difference"}
    n, networks = len(pooled.applied.id), len(pooled.parts)
    return [
        Row(
            {"images": name, "finding": finding.replace("_", " ")},
            {headings[key]: cell_of_interval(intervals[index], n, networks) for key, intervals in found.items()},
        )
        for index, finding in enumerate((*FINDINGS, "mean"))
    ]


def _area_section(rows: list[Row]) -> Section:
    return Section(
        "Networks: area under the ROC curve",
        "Of each network within the images that it was tested on, mean over the networks. Real images are tested once "
        "in each cross-validation, so that N counts some of them several times; intervals draw patients, with all "
        "their tests. The reference: a published DenseNet121's probabilities of the same images.",
        rows,
    )


def _facts(results: Results) -> list[str]:
    """Return sentences about data, protocol and cost."""
    workshop, settings = results.workshop, results.workshop.settings
    real, phantoms, training = settings.real, settings.phantoms, settings.training
    labels = workshop.radiographs.labels
    counts = ", ".join(f"{name.replace('_', ' ')} {int((labels[:, k] == 1).sum())}" for k, name in enumerate(FINDINGS))
    network = (
        f"DenseNet with {training['init_features']} first filters, growth rate {training['growth_rate']} and blocks of "
        f"{training['block_config']} layers at a side of {training['image_size']} pixels (the paper's: 64, 32, "
        "[6, 12, 24, 16] at 320)"
    )
    seconds = sum(workshop.facts(run)["seconds"] for run in results.done)
    goal = ", ".join(alarm_title(name) for name in settings.goal["alarms"])
    made = provenance(None)
    return [
        f"Real images: {len(workshop.radiographs)} of {len(set(workshop.radiographs.patients))} patients ({counts}); "
        f"sha256 of the data {workshop.radiographs.sha256[:16]}…. {real.folds}-fold cross-validation by patient, "
        f"{real.repeats} times; {100 * real.validation_share:g} % of the images outside the test fold choose the "
        "epoch, and calibration, decision thresholds and alarms are fitted on them",
        f"Phantoms: seeds {', '.join(map(str, phantoms.seeds))}, each with {phantoms.patients['train']} training, "
        f"{phantoms.patients['valid']} validation and {phantoms.patients['test']} test films of its own; training "
        "labels as reports give them, with uncertain ones masked and some findings missed, the others true. Parameters "
        "of the phantoms, seeds, and the alarms and rivals of the goal were fixed before an alarm of the study was "
        "fitted",
        f"Network: {network}; trained through the bundle's train.json in "
        f"{precision_name(training, settings.device)}, {real.training.get('max_epochs')} epochs on real images and "
        f"{phantoms.training.get('max_epochs')} on phantoms, the best by validation AUC kept; doubts in float32",
        *_epochs(results),
        f"Alarms that shall beat the rivals: {goal}. Epsilon of LRP: {settings.doubts.get('methods#lrp#epsilon')}; "
        "with an epsilon near 0 LRP would be input \u00d7 gradient on such networks",
        f"Time of all runs together: {seconds / 60:.0f} minutes of one worker; torch {made['packages']['torch']}, code "
        f"{made['git_revision'] or 'of no known revision'}",
    ]


def _epochs(results: Results) -> list[str]:
    """Tell in which epoch the networks were best, which shows whether they were cut short."""
    texts = []
    for name, runs in ((PHANTOMS, results.phantoms), (REAL, results.real)):
        facts = [results.workshop.facts(run) for run in runs]
        if facts:
            epochs = ", ".join(str(fact["best_epoch"]) for fact in facts)
            values = ", ".join(f"{fact['best_value']:.3f}" for fact in facts)
            texts.append(f"Epoch kept, {name}: {epochs} of {facts[0]['epochs']}; mean validation AUC there {values}")
    return texts
