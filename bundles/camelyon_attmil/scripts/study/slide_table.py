"""The table of the study of sparse evidence: slides by the size of their metastases, and planted bags."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t
from sklearn.metrics import roc_auc_score

from scripts.study.bag_parts import phantom_slides
from scripts.study.measures import Meter
from scripts.study.phantom_slides import KINDS, NORMAL
from scripts.study.results import BagResults, HeldOutBags
from shared.evaluation.classification import weighted_roc_auc
from shared.study.measures import Estimate, mean_over_repeats
from shared.study.table import Cell, Picture, Row, Section, Table

__all__ = ["REFERENCE", "build_table", "by_kind", "over_seeds"]

Floats = NDArray[np.float64]

#: the network that the others are compared with
REFERENCE = "gated_attention"
TITLES = {"macro": "macrometastases", "micro": "micrometastases", "itc": "isolated tumour cells"}
READING = (
    "Numbers are means over the repeats with 95 % intervals: of slides by a bootstrap over the slides, which holds no "
    "other source of chance; of planted bags by Student's t over the seeds, each with tissues, directions, bags and "
    "initial weights of its own. Differences are paired: the same slides, or the same seeds."
)
SLIDES = (
    "ROC AUC of the slides with metastases of one size, the largest of a slide, against all normal slides; sensitivity "
    "where a slide is called positive above a probability of one half. Each slide is held out once in each repeat."
)
PLANTED = (
    "ROC AUC on new bags. Evidence is an instance that is shifted by some standard deviations along a direction which "
    "is not known; hard negatives, shifted as far in other directions, are in all bags. All networks get the same bags "
    "and the same number of steps."
)


def build_table(slides: BagResults, planted: BagResults, pictures: list[Picture]) -> Table:
    """Compute the table from the results that are there.

    Args:
        slides: of the phantom slides.
        planted: of the planted bags.
        pictures: shown below the table.
    """
    sections = [
        Section("Phantom slides by the size of their metastases", SLIDES, _slide_rows(slides)),
        Section("Planted bags", PLANTED, _planted_rows(planted)),
    ]
    return Table(
        title="Sparse evidence: slides and planted bags",
        warning="Everything here is generated; no number says how good a network is on real slides.",
        reading=READING,
        facts=_facts(slides, planted),
        sections=[section for section in sections if section.rows],
        left_out=[*slides.incomplete, *planted.incomplete],
        pictures=pictures,
    )


def by_kind(found: HeldOutBags, kinds: NDArray[np.str_], kind: str, resamples: int) -> Estimate:
    """Return the ROC AUC of the slides of one kind against the normal ones.

    Args:
        found: of all slides.
        kinds: of the slides, ``(B,)``.
        kind: one of :data:`~scripts.study.phantom_slides.KINDS`.
        resamples: of the bootstrap.
    """
    chosen = (kinds == kind) | (kinds == NORMAL)
    return Meter(found.labels[chosen], resamples).classification(found.logits[:, chosen])["roc_auc"]


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


def _slide_rows(results: BagResults) -> list[Row]:
    settings = results.workshop.settings
    rows = []
    for condition in settings.conditions:
        kinds = phantom_slides(settings, results.workshop.data, condition).kinds
        reference = results.found.get((condition, REFERENCE))
        for model, described in settings.models.items():
            found = results.found.get((condition, model))
            if found is None:
                continue
            meter = Meter(found.labels, settings.resamples)
            cells: dict[str, Cell] = {"ROC AUC": meter.classification(found.logits)["roc_auc"]}
            for kind in KINDS:
                cells[TITLES[kind]] = by_kind(found, kinds, kind, settings.resamples)
            if reference is not None and model != REFERENCE:
                for kind in KINDS[1:]:
                    cells[f"{TITLES[kind]}, difference"] = _difference(
                        found, reference, kinds, kind, settings.resamples
                    )
            called = (found.logits > 0).astype(np.float64)
            for kind in KINDS:
                cells[f"sensitivity, {TITLES[kind]}"] = meter.mean(called, kinds == kind)
            cells["specificity"] = meter.mean(1 - called, kinds == NORMAL)
            rows.append(Row({"network": described["title"]}, cells))
    return rows


def _difference(
    found: HeldOutBags, reference: HeldOutBags, kinds: NDArray[np.str_], kind: str, resamples: int
) -> Estimate:
    """Return the paired difference of the areas of :func:`by_kind`, over the repeats that both have."""
    chosen = (kinds == kind) | (kinds == NORMAL)
    repeats = min(len(found.logits), len(reference.logits))
    positive = found.labels[chosen] == 1

    def statistic(weights: Floats, truth: NDArray[np.bool_], first: Floats, second: Floats) -> Floats:
        return (weighted_roc_auc(weights, first, truth) - weighted_roc_auc(weights, second, truth))[:, None]

    parts = [part.logits[:repeats][:, chosen] for part in (found, reference)]
    return mean_over_repeats(statistic, [positive], parts, resamples=resamples, strata=positive)[0]


def _planted_rows(results: BagResults) -> list[Row]:
    settings = results.workshop.settings
    rows = []
    for condition, conditions in settings.conditions.items():
        areas = {
            model: np.array([roc_auc_score(found.labels, logits) for logits in found.logits])
            for (other, model), found in results.found.items()
            if other == condition
        }
        for model, values in areas.items():
            area = over_seeds(values, settings.test_bags)
            # beyond 0 and 1 there is nothing
            cells: dict[str, Cell] = {"ROC AUC": replace(area, low=max(area.low, 0.0), high=min(area.high, 1.0))}
            if model != REFERENCE and REFERENCE in areas:
                both = min(len(values), len(areas[REFERENCE]))
                difference = values[:both] - areas[REFERENCE][:both]
                cells["difference to gated attention"] = over_seeds(difference, settings.test_bags)
            rows.append(Row({"evidence": conditions["title"], "network": settings.models[model]["title"]}, cells))
    return rows


def _facts(slides: BagResults, planted: BagResults) -> list[str]:
    texts = []
    for results in (slides, planted):
        settings = results.workshop.settings
        for name, condition in settings.conditions.items():
            training = settings.training_of(name)
            texts.append(
                f"{condition['title']}: {training.optimizer}, learning rate {training.learning_rate:g}, weight decay "
                f"{training.weight_decay:g}, {training.bags_per_step} bags in a step, {training.epochs} epochs; the "
                "last epoch is taken"
            )
        seconds = sum(results.workshop.facts(run)["seconds"] for run in results.done)
        texts.append(f"Time of these runs together: {seconds / 60:.0f} minutes of one worker")
    return texts
