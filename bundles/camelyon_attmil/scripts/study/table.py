"""The table of a study of bags: all networks under all conditions, the paper's figures beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scripts.study.measures import NAMES, Meter, over_bags_and_seeds, weighted_bag_metrics
from scripts.study.paired import REFERENCES, paired_difference
from scripts.study.published import PUBLISHED
from scripts.study.results import BagResults, HeldOutBags
from scripts.study.settings import BagStudySettings
from shared.study.measures import Estimate
from shared.study.table import DASH, Cell, Picture, Row, Section, Table

__all__ = ["build_table"]

Floats = NDArray[np.float64]

HEADINGS = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1", "roc_auc": "ROC AUC"}
READING = (
    "Numbers are means over the {repeats}, each with its 95 % interval {interval}; SD is the standard deviation over "
    "the {repeats}. A bag is called positive above a probability of one half. Paper: Ilse, Tomczak and Welling 2018; "
    "its figure is met if it is not above the interval."
)
PAIRED = (
    "Difference in {measure} to attention, and to gated attention, on the same held-out bags and with the same "
    "training bags and seeds; above 0 the network of the row is better. Intervals: {interval}."
)
OVER_BAGS = "by a bootstrap over the held-out bags, which holds no other source of chance"
OVER_BOTH = "over test bags (bootstrap) and seeds (Student's t) together"


@dataclass(frozen=True)
class Wording:
    """What a study is called, and which measures it is about.

    Attributes:
        title: of the page.
        warning: what must not be overlooked.
        note: how it was measured.
        measures: columns, by the names of :data:`scripts.study.measures.NAMES`; the first is compared with the paper.
        repeats: what the repeats are called.
        interval: what the intervals are of.
    """

    title: str
    warning: str
    note: str
    measures: tuple[str, ...]
    repeats: str = "repeats"
    interval: str = OVER_BAGS


WORDINGS: Mapping[str, Wording] = {
    "classic": Wording(
        "Bags of features: MUSK1, Fox and Elephant",
        "The settings of the training were chosen on inner splits of one training fold of the same data, so that the "
        "figures may be a little too good.",
        "Each bag is held out once in each repeat, by the folds that are given with the data. Features are "
        "standardised by the training instances.",
        ("accuracy", "roc_auc"),
    ),
    "mnist": Wording(
        "MNIST-bags: is there a nine among the digits?",
        "Numbers of training bags hold those that the epoch is chosen on, if any.",
        "Training bags are drawn anew for each seed; all networks are tested on the same bags, half of which are "
        "positive. Nines found: area under the ROC curve of the attention (or of the logits of instances) for the "
        "nines within a positive bag.",
        ("roc_auc", "accuracy"),
        "seeds",
        OVER_BOTH,
    ),
    "colon": Wording(
        "Colon nuclei: is there an epithelial nucleus in the image?",
        "A hundred images of nine patients whose images are not told apart in the data: images of a patient may lie "
        "on both sides of a split, here as in the paper.",
        "A bag is an image, its instances are patches around the marked nuclei. Each image is held out once in each "
        "repeat. ROC AUC: of all held-out images together; by fold: mean of the areas within the folds. Nuclei found: "
        "area under the ROC curve of the attention (or of the logits of instances) for the epithelial nuclei within "
        "a positive image.",
        ("accuracy", "precision", "recall", "f1", "roc_auc"),
    ),
}


def build_table(results: BagResults, everything: BagStudySettings, pictures: list[Picture]) -> Table:
    """Compute the table from the results that are there; a repeat enters a row only if all its runs are done.

    Args:
        results: of the study.
        everything: the settings of the whole grid, to say what is not in this study.
        pictures: shown below the table.
    """
    settings = results.workshop.settings
    words = WORDINGS[settings.data]
    rows = [
        Row(
            {"data": settings.conditions[condition]["title"], "network": settings.models[model]["title"]},
            _cells(settings, words, condition, model, found),
        )
        for (condition, model), found in results.found.items()
    ]
    paired = _paired_rows(results, words)
    note = PAIRED.format(measure=HEADINGS[words.measures[0]], interval=words.interval)
    return Table(
        title=words.title,
        warning=words.warning,
        reading=READING.format(repeats=words.repeats, interval=words.interval),
        facts=_facts(results),
        sections=[
            section
            for section in (Section("Held-out bags", words.note, rows), Section("Paired differences", note, paired))
            if section.rows
        ],
        left_out=[*results.incomplete, *_left_out(settings, everything)],
        repeats=words.repeats,
        pictures=pictures,
    )


def _cells(
    settings: BagStudySettings, words: Wording, condition: str, model: str, found: HeldOutBags
) -> dict[str, Cell]:
    published = PUBLISHED.get((condition, settings.models[model]["network"]), {})
    meter = Meter(found.labels, settings.resamples)
    measured = meter.classification(found.logits)
    if words.interval == OVER_BOTH:
        measured = {name: over_bags_and_seeds(estimate) for name, estimate in measured.items()}
    cells: dict[str, Cell] = {
        HEADINGS[name]: replace(measured[name], published=published.get(name)) for name in words.measures
    }
    main = words.measures[0]
    if measured[main].repeat_sd is not None:
        cells[f"SD of {HEADINGS[main]}"] = f"{measured[main].repeat_sd:.3f}"
    if settings.folds > 1 and "roc_auc" in words.measures and settings.data == "colon":
        cells["ROC AUC by fold"] = meter.fold_roc_auc(found.logits, found.folds)
    if found.instance_auc is not None:
        cells[{"mnist": "nines found", "colon": "nuclei found"}[settings.data]] = _instances_found(meter, found)
    if main in published:
        cells["against the paper"] = _verdict(measured[main], published[main])
    return cells


def _paired_rows(results: BagResults, words: Wording) -> list[Row]:
    """Return the differences of each network to those of :data:`~scripts.study.paired.REFERENCES` that there are."""
    settings, column = results.workshop.settings, NAMES.index(words.measures[0])

    def statistic(weights: Floats, logits: Floats, positive: NDArray[np.bool_]) -> Floats:
        return weighted_bag_metrics(weights, positive, logits)[:, column]

    rows = []
    for condition in settings.conditions:
        there = {model: found for (other, model), found in results.found.items() if other == condition}
        references = [model for model in REFERENCES if model in there]
        for model, found in there.items():
            cells: dict[str, Cell] = {
                f"to {settings.models[other]['title']}": DASH
                if other == model
                else paired_difference(
                    statistic, found, there[other], settings.resamples, seeds=words.interval == OVER_BOTH
                )
                or DASH
                for other in references
            }
            if len(there) > 1 and cells:
                names = {
                    "data": settings.conditions[condition]["title"],
                    "network": settings.models[model]["title"],
                }
                rows.append(Row(names, cells))
    return rows


def _instances_found(meter: Meter, found: HeldOutBags) -> Estimate:
    """Return the mean area within the bags that have instances of both kinds."""
    values = np.asarray(found.instance_auc)
    return replace(meter.mean(values, np.isfinite(values).all(axis=0)), chance=0.5)


def _verdict(estimate: Estimate, published: float) -> str:
    if estimate.high < published:
        return f"missed by {published - estimate.value:.3f}"
    return "met, above" if estimate.value >= published else "met, within the interval"


def _left_out(settings: BagStudySettings, everything: BagStudySettings) -> list[str]:
    """Say what the whole grid has and this study does not."""
    texts = []
    for kind in ("conditions", "models"):
        here, whole = getattr(settings, kind), getattr(everything, kind)
        if missing := [item["title"] for name, item in whole.items() if name not in here]:
            texts.append(f"Not in this study, but with --full: {'; '.join(missing)}")
    if settings.repeats < everything.repeats:
        texts.append(f"{settings.repeats} instead of {everything.repeats} repeats")
    texts += [
        f"Trained with {key} {settings.training.get(key)} instead of {value}"
        for key, value in everything.training.items()
        if key != "amp" and settings.training.get(key) != value
    ]
    return texts


def _facts(results: BagResults) -> list[str]:
    """Return sentences about data, training and cost."""
    workshop, settings = results.workshop, results.workshop.settings
    facts = {run: workshop.facts(run) for run in results.done}
    texts = [
        f"{described['title']}: sha256 of the data {workshop.sha256[name][:16]}…, "
        + _training(settings, name, [fact for run, fact in facts.items() if run.condition == name])
        for name, described in settings.conditions.items()
    ]
    texts.append(
        f"Time of all runs together: {sum(fact['seconds'] for fact in facts.values()) / 60:.0f} minutes of one worker"
    )
    return texts


def _training(settings: BagStudySettings, condition: str, facts: list[dict]) -> str:
    training = settings.training_of(condition)
    recipe = (
        f"{training.optimizer}, learning rate {training.learning_rate:g}, weight decay {training.weight_decay:g}, "
        f"{training.bags_per_step} {'bag' if training.bags_per_step == 1 else 'bags'} in a step, at most "
        f"{training.epochs} epochs"
    )
    if training.instances_per_bag is not None:
        recipe += f", at most {training.instances_per_bag} instances of a bag in an epoch"
    if not training.choose:
        averaged = training.averaged_epochs
        return f"{recipe}; {'the last epoch is taken' if averaged == 1 else f'mean weights of the last {averaged}'}"
    best = sorted(fact["best_epoch"] for fact in facts)
    chosen = f" (median {best[len(best) // 2]})" if best else ""
    return (
        f"{recipe}; {100 * settings.validation_share:g} % of the bags that are not held out choose the epoch with the "
        f"lowest sum of loss and error{chosen}"
    )
