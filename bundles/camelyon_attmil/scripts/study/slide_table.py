"""The table of the study of sparse evidence: slides by the size of their metastases, and planted bags."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t
from sklearn.metrics import roc_auc_score

from scripts.study.bag_parts import phantom_slides
from scripts.study.measures import Meter, over_bags_and_seeds, weighted_sensitivity
from scripts.study.paired import REFERENCES, BagStatistic, common_repeats, paired_difference
from scripts.study.phantom_slides import KINDS, NORMAL
from scripts.study.results import BagResults, HeldOutBags
from shared.evaluation.classification import weighted_roc_auc
from shared.study.measures import Estimate
from shared.study.table import DASH, Cell, Picture, Row, Section, Table

__all__ = ["SPECIFICITY", "TITLES", "build_table", "by_kind", "over_seeds", "shown_kinds"]

Floats = NDArray[np.float64]

#: at which sensitivities are compared
SPECIFICITY = 0.9
TITLES = {"macro": "macrometastases", "micro": "micrometastases", "itc": "isolated tumour cells"}
READING = (
    "Numbers are means over the repeats with 95 % intervals: of slides over slides (bootstrap) and repeats (Student's "
    "t) together; of planted bags by Student's t over the seeds, each with tissues, directions, bags and initial "
    "weights of its own. Differences are paired: the same slides and partitions, or the same seeds."
)
SLIDES = (
    "ROC AUC of the slides with metastases of one size, the largest of a slide, against all normal slides; their "
    f"sensitivity at a specificity of at least {SPECIFICITY:g}, the threshold read off the normal slides of the same "
    "table. Each slide is held out once in each repeat."
)
PAIRED = (
    "Differences on the same slides and partitions, the network of the row less the one it is compared with: in ROC "
    f"AUC, and in sensitivity (sens.) at a specificity of at least {SPECIFICITY:g}. Above 0 the network of the row is "
    "better."
)
PLANTED = (
    "ROC AUC on new bags. Evidence is an instance that is shifted by some standard deviations along a direction which "
    "is not known; hard negatives, shifted as far in other directions, are in all bags. All networks get the same bags "
    "and the same number of steps."
)


def build_table(slides: Sequence[BagResults], planted: BagResults, pictures: list[Picture]) -> Table:
    """Compute the table from the results that are there.

    Args:
        slides: of each set of phantom slides.
        planted: of the planted bags.
        pictures: shown below the table.
    """
    sections = []
    for results in slides:
        title = _title(results)
        sections.append(Section(f"{title} by the size of their metastases", SLIDES, _slide_rows(results)))
        sections.append(Section(f"{title}: paired differences", PAIRED, _paired_rows(results)))
    sections.append(Section("Planted bags", PLANTED, _planted_rows(planted)))
    return Table(
        title="Sparse evidence: slides and planted bags",
        warning="Everything here is generated; no number says how good a network is on real slides.",
        reading=READING,
        facts=[fact for results in (*slides, planted) for fact in _facts(results)],
        sections=[section for section in sections if section.rows],
        left_out=[text for results in (*slides, planted) for text in results.incomplete],
        pictures=pictures,
    )


def shown_kinds(results: BagResults) -> NDArray[np.str_]:
    """Return the kinds of the slides of the set's one condition, ``(B,)``."""
    settings = results.workshop.settings
    return phantom_slides(settings, results.workshop.data, next(iter(settings.conditions))).kinds


def by_kind(found: HeldOutBags, kinds: NDArray[np.str_], kind: str, resamples: int) -> Estimate:
    """Return the ROC AUC of the slides of one kind against the normal ones.

    Args:
        found: of all slides.
        kinds: of the slides, ``(B,)``.
        kind: one of :data:`~scripts.study.phantom_slides.KINDS`.
        resamples: of the bootstrap.
    """
    chosen = (kinds == kind) | (kinds == NORMAL)
    return over_bags_and_seeds(
        Meter(found.labels[chosen], resamples).classification(found.logits[:, chosen])["roc_auc"]
    )


def over_seeds(values: Floats, bags: int) -> Estimate:
    """Return the mean of one value per seed ``(S,)`` with the interval of Student's t.

    Args:
        values: of the seeds.
        bags: tested with each.
    """
    mean, seeds = float(values.mean()), len(values)
    if seeds == 1:
        return Estimate(mean, math.nan, math.nan, bags)
    deviation = float(values.std(ddof=1))
    reach = float(student_t.ppf(0.975, seeds - 1)) * deviation / math.sqrt(seeds)
    return Estimate(mean, mean - reach, mean + reach, bags, seeds, deviation)


def _title(results: BagResults) -> str:
    title: str = next(iter(results.workshop.settings.conditions.values()))["title"]
    return title[0].upper() + title[1:]


def _slide_rows(results: BagResults) -> list[Row]:
    settings = results.workshop.settings
    rows = []
    for (_, model), found in results.found.items():
        kinds, resamples = shown_kinds(results), settings.resamples
        meter = Meter(found.labels, resamples)
        cells: dict[str, Cell] = {"ROC AUC": over_bags_and_seeds(meter.classification(found.logits)["roc_auc"])}
        there = [kind for kind in KINDS if (kinds == kind).any()]
        for kind in there:
            cells[TITLES[kind]] = by_kind(found, kinds, kind, resamples)
        for kind in there:
            chosen = (kinds == kind) | (kinds == NORMAL)
            estimate = Meter(found.labels[chosen], resamples).sensitivity(found.logits[:, chosen], SPECIFICITY)
            cells[f"sensitivity, {TITLES[kind]}"] = over_bags_and_seeds(estimate)
        rows.append(Row({"network": settings.models[model]["title"]}, cells))
    return rows


def _paired_rows(results: BagResults) -> list[Row]:
    settings = results.workshop.settings
    statistics: dict[str, BagStatistic] = {
        "": weighted_roc_auc,
        "sens., ": partial(weighted_sensitivity, specificity=SPECIFICITY),
    }
    rows = []
    for other in REFERENCES:
        for (condition, model), found in results.found.items():
            reference = results.found.get((condition, other))
            if reference is None or model == other:
                continue
            kinds = shown_kinds(results)
            cells: dict[str, Cell] = {
                f"{word}{TITLES[kind]}": paired_difference(
                    statistic, found, reference, settings.resamples, (kinds == kind) | (kinds == NORMAL)
                )
                or DASH
                for word, statistic in statistics.items()
                for kind in KINDS
                if (kinds == kind).any()
            }
            names = {"network": settings.models[model]["title"], "less": settings.models[other]["title"]}
            rows.append(Row(names, cells))
    return rows


def _planted_rows(results: BagResults) -> list[Row]:
    settings = results.workshop.settings
    rows = []
    for condition, conditions in settings.conditions.items():
        there = {model: found for (other, model), found in results.found.items() if other == condition}
        areas = {
            model: np.array([roc_auc_score(found.labels, logits) for logits in found.logits])
            for model, found in there.items()
        }
        for model, values in areas.items():
            area = over_seeds(values, settings.test_bags)
            # beyond 0 and 1 there is nothing
            cells: dict[str, Cell] = {"ROC AUC": replace(area, low=max(area.low, 0.0), high=min(area.high, 1.0))}
            for other in (other for other in REFERENCES if other in areas):
                own, its = common_repeats(there[model], there[other])
                heading = f"difference to {settings.models[other]['title']}"
                difference = values[own] - areas[other][its]
                cells[heading] = over_seeds(difference, settings.test_bags) if own and other != model else DASH
            rows.append(Row({"evidence": conditions["title"], "network": settings.models[model]["title"]}, cells))
    return rows


def _facts(results: BagResults) -> list[str]:
    settings, texts = results.workshop.settings, []
    for name, condition in settings.conditions.items():
        training = settings.training_of(name)
        texts.append(
            f"{condition['title']}: {training.optimizer}, learning rate {training.learning_rate:g}, weight decay "
            f"{training.weight_decay:g}, {training.bags_per_step} bags in a step, {training.epochs} epochs; the last "
            f"epoch is taken; sha256 of the data {results.workshop.sha256[name][:16]}…"
        )
        if settings.data == "slides":
            texts.append(f"{condition['title']}: {_slide_fact(results)}")
    seconds = sum(results.workshop.facts(run)["seconds"] for run in results.done)
    return [*texts, f"Time of these runs together: {seconds / 60:.0f} minutes of one worker"]


def _slide_fact(results: BagResults) -> str:
    """Say how many slides of each kind there are, and how much of them is tumour."""
    settings = results.workshop.settings
    slides = phantom_slides(settings, results.workshop.data, next(iter(settings.conditions)))
    bags = slides.bags
    assert bags.truth is not None  # phantoms know theirs
    tumour = np.array([int(part.sum()) for part in bags.truth.split(bags.lengths.tolist())])
    parts = [
        f"{of.sum()} with {TITLES[kind]} ({tumour[of].min()} to {tumour[of].max()} tumour tiles)"
        for kind in KINDS
        if (of := slides.kinds == kind).any()
    ]
    normal = f"{(slides.kinds == NORMAL).sum()} normal slides"
    return f"{', '.join([normal, *parts])}; {int(bags.lengths.min())} to {int(bags.lengths.max())} tiles a slide"
