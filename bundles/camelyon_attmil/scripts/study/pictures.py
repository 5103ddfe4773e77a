"""The pictures of a study of bags: networks side by side, learning curves, and what the attention looks at."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from scripts.study.bag_parts import bag_parts
from scripts.study.bags import Bags
from scripts.study.grid import Run
from scripts.study.measures import Meter
from scripts.study.published import PUBLISHED
from scripts.study.results import BagResults
from shared.data.files import atomic_path
from shared.study.measures import Estimate
from shared.study.table import Picture

__all__ = ["write_pictures"]

#: networks whose weights of instances are shown, the first that there is
SHOWN = ("gated_attention", "attention")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DIGITS_OF_A_ROW = 13


def write_pictures(folder: Path, results: BagResults) -> list[Picture]:
    """Write the pictures of what is there.

    Args:
        folder: to write to.
        results: of the study.

    Returns:
        The pictures; none if no repeat is done as a whole.
    """
    if not results.found:
        return []
    kind = results.workshop.settings.data
    if kind == "classic":
        return [_comparison(folder / "accuracy.png", results)]
    if kind == "mnist":
        curve = _learning_curves(folder / "training_bags.png", results)
        return [*curve, *_digits(folder / "attention.png", results)]
    return [_comparison(folder / "accuracy.png", results), *_nuclei(folder / "attention.png", results)]


def _comparison(path: Path, results: BagResults) -> Picture:
    """Draw the accuracies with their intervals, the paper's beside."""
    settings = results.workshop.settings
    figure = _figure(3.2 * len(settings.conditions) + 1.6, 0.32 * len(settings.models) + 1.2)
    axes = figure.subplots(1, len(settings.conditions), sharey=True, squeeze=False)[0]
    names = list(settings.models)
    for panel, (condition, described) in zip(axes, settings.conditions.items(), strict=True):
        for place, model in enumerate(names):
            published = PUBLISHED.get((condition, settings.models[model]["network"]), {}).get("accuracy")
            if published is not None:
                panel.plot(published, place, "d", color=COLOURS[1], zorder=3)
            if (condition, model) in results.found:
                estimate = _measured(results, condition, model, "accuracy")
                panel.plot([estimate.low, estimate.high], [place, place], color=COLOURS[0])
                panel.plot(estimate.value, place, "o", color=COLOURS[0])
        panel.set_title(described["title"], fontsize=10)
        panel.set_xlabel("accuracy")
        panel.grid(axis="x", alpha=0.3)
        panel.margins(y=0.15)
    axes[0].set_yticks(range(len(names)), [settings.models[name]["title"] for name in names])
    axes[0].invert_yaxis()
    _save(figure, path)
    return Picture(
        path.name,
        "Accuracy on held-out bags with its 95 % interval (blue), and figures of Ilse et al. 2018 (orange diamonds).",
    )


def _learning_curves(path: Path, results: BagResults) -> list[Picture]:
    """Draw the area against the number of training bags, one panel for each mean size of bags."""
    settings = results.workshop.settings
    sizes = sorted({described["mean_size"] for described in settings.conditions.values()})
    figure = _figure(4.2 * len(sizes) + 1.5, 3.6)
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for panel, size in zip(axes, sizes, strict=True):
        for colour, (model, described) in zip(cycle(COLOURS), settings.models.items(), strict=False):
            points = {
                settings.conditions[condition]["bags"]: _measured(results, condition, model, "roc_auc")
                for condition, other in results.found
                if other == model and settings.conditions[condition]["mean_size"] == size
            }
            numbers = sorted(points)
            values = [points[number].value for number in numbers]
            spread = np.array([points[number].repeat_sd or 0.0 for number in numbers])
            # an area cannot be above 1, nor below 0
            bars = [np.minimum(spread, values), np.minimum(spread, 1 - np.array(values))]
            panel.errorbar(numbers, values, bars, color=colour, marker="o", label=described["title"], capsize=2)
        panel.set_title(f"{size} digits in a bag on average", fontsize=10)
        panel.set_xlabel("training bags")
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("ROC AUC")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    _save(figure, path)
    return [
        Picture(
            path.name, "Area under the ROC curve on the test bags: mean over the seeds, bars of one standard deviation."
        )
    ]


def _digits(path: Path, results: BagResults) -> list[Picture]:
    """Draw the first positive and the first negative test bag with the attention's weights."""
    run = _shown_run(results)
    if run is None:
        return []
    settings = results.workshop.settings
    bags = bag_parts(settings, results.workshop.data, run).test
    weights = results.workshop.result(run)["instance_values"]
    shown = [int(np.flatnonzero(bags.labels.numpy() == label)[0]) for label in (1, 0)]
    rows = [-(-int(bags.lengths[bag]) // DIGITS_OF_A_ROW) for bag in shown]
    figure = _figure(0.85 * min(int(bags.lengths[shown].max()), DIGITS_OF_A_ROW), 1.35 * sum(rows) + 0.4)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=rows)[:, 0]
    for part, bag, number in zip(parts, shown, rows, strict=True):
        _draw_bag(part, bags.of([bag]), weights[bags.rows(bags.labels.new_tensor([bag])).numpy()], number)
    _save(figure, path)
    condition, model = settings.conditions[run.condition], settings.models[run.model]
    return [
        Picture(
            path.name,
            f"The first positive and the first negative test bag, each digit with its weight in its bag, by "
            f"{model['title']} trained on {condition['title']}, seed 1: the nines are framed, a bar shows the weight.",
        )
    ]


def _draw_bag(figure: Figure, bag: Bags, weights: NDArray[np.float32], rows: int) -> None:
    figure.suptitle("positive bag" if int(bag.labels[0]) else "negative bag", fontsize=9)
    columns = -(-len(weights) // rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in axes:
        panel.set_axis_off()
    truth = np.zeros(len(weights), dtype=bool) if bag.truth is None else bag.truth.numpy()
    for panel, image, weight, found in zip(axes, bag.instances[:, 0].numpy(), weights, truth, strict=False):
        panel.imshow(image, cmap="gray")
        side = image.shape[0]
        panel.barh(side + 2, weight * side, height=3, left=-0.5, color=COLOURS[0], align="center")
        panel.set_xlim(-1.5, side + 0.5)
        panel.set_ylim(side + 4, -1.5)
        panel.set_title(f"{weight:.2f}", fontsize=8, pad=2)
        if found:
            panel.plot([-1, side, side, -1, -1], [-1, -1, side, side, -1], color=COLOURS[1], linewidth=1.5)


def _nuclei(path: Path, results: BagResults) -> list[Picture]:
    """Draw a held-out positive image: its epithelial nuclei, and the attention's weights of all."""
    run = _shown_run(results)
    if run is None:
        return []
    workshop = results.workshop
    bags = bag_parts(workshop.settings, workshop.data, run).test
    if bags.truth is None or bags.places is None:
        return []
    bag = int(np.flatnonzero(bags.labels.numpy() == 1)[0])
    rows = bags.rows(bags.labels.new_tensor([bag]))
    weights = workshop.result(run)["instance_values"][rows.numpy()]
    x, y = bags.places[rows].numpy().T
    with Image.open(workshop.data / "images" / f"{bags.ids[bag]}.png") as file:
        image = np.asarray(file)
    figure = _figure(11.0, 3.9)
    left, middle, right = figure.subplots(1, 3)
    for panel in (left, middle, right):
        panel.imshow(image)
        panel.set_axis_off()
    truth = bags.truth[rows].numpy()
    middle.scatter(x[truth], y[truth], s=14, color=COLOURS[1])
    middle.scatter(x[~truth], y[~truth], s=14, color="white", edgecolors="grey", linewidths=0.5)
    points = _draw_weights(right, x, y, weights)
    bar = figure.colorbar(points, ax=right, shrink=0.75, pad=0.02)
    bar.set_label("attention, rescaled to its least and greatest here", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    titles = {left: "held-out image", middle: "epithelial nuclei (orange)", right: "attention"}
    for panel, title in titles.items():
        panel.set_title(title, fontsize=9)
    _save(figure, path)
    title = workshop.settings.models[run.model]["title"]
    return [
        Picture(
            path.name,
            f"{bags.ids[bag]}, the first positive image that the first fold of the first repeat holds out, by {title}: "
            "the weights of its nuclei are rescaled to 0 to 1, light for high.",
        )
    ]


def _draw_weights(panel: Axes, x: NDArray, y: NDArray, weights: NDArray[np.float32]) -> PathCollection:
    span = float(weights.max() - weights.min())
    rescaled = (weights - weights.min()) / span if span else np.zeros_like(weights)
    order = np.argsort(rescaled)
    return panel.scatter(
        x[order], y[order], s=16, c=rescaled[order], cmap="inferno", vmin=0, vmax=1, edgecolors="white", linewidths=0.3
    )


def _shown_run(results: BagResults) -> Run | None:
    """Return the first run of the last condition that has the attention's weights."""
    settings = results.workshop.settings
    for condition in reversed(list(settings.conditions)):
        for name in SHOWN:
            for model, described in settings.models.items():
                if described["network"] == name and (condition, model) in results.found:
                    whole = [run for run in results.runs if (run.condition, run.model) == (condition, model)]
                    return min((run for run in whole if run in results.done), key=lambda run: (run.repeat, run.fold))
    return None


def _measured(results: BagResults, condition: str, model: str, measure: str) -> Estimate:
    found = results.found[condition, model]
    return Meter(found.labels, results.workshop.settings.resamples).classification(found.logits)[measure]


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
