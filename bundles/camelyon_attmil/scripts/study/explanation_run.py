"""One run of the study of explanations: train a network, explain held-out bags by every method, and measure them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.utils import instantiate
from numpy.typing import NDArray

from scripts.explained_slide import ExplainedSlide
from scripts.feature_layouts import read_features
from scripts.lesion_froc import HeatMapFROC
from scripts.standardised_input import StandardisedInput
from scripts.study.bag_parts import Parts, bag_parts, phantom_slides
from scripts.study.bag_training import predict_bags
from scripts.study.explanation_settings import ExplainedSet, ExplanationSettings
from scripts.study.grid import Run
from scripts.study.one_run import trained_network
from shared.data.errors import DataError
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.quality.bag_quality import BagQuality, bag_quality
from shared.study.folder import StudyFolder

__all__ = ["ExplanationRun", "ExplanationWorkshop", "do_explanation_run", "explanation_run", "read_qualities"]

Values = dict[str, NDArray[np.float64]]

# raised whenever the code of networks, training, explanations or their measures changes what is found
VERSION = 3
WORDS = ("title", "minutes")


@dataclass(frozen=True)
class ExplanationRun:
    """A network that is trained and explained.

    Attributes:
        name: of the set.
        run: of the network.
    """

    name: str
    run: Run

    @property
    def key(self) -> str:
        """Name of the run, and of its result's file."""
        return f"{self.name}/{self.run.key}"


def explanation_run(name: str, explained: ExplainedSet, number: int) -> ExplanationRun:
    """Return one of the training runs of a set; each explains bags that no other run explains.

    Where bags are held out by folds, the runs hold out one fold after the other, and begin a new partition when all
    have been; otherwise they draw training bags of their own and explain other ones of the same test bags.
    """
    repeat, fold = divmod(number, explained.settings.folds)
    return ExplanationRun(name, Run(explained.condition, explained.model, repeat, fold))


@dataclass(frozen=True)
class ExplanationWorkshop(StudyFolder[ExplanationRun]):
    """What all runs share; small enough to be sent to a worker.

    Attributes:
        output: folder of the study.
        data: folder of the data of each set.
        sha256: hash of its files.
        settings: of the study.
    """

    data: Mapping[str, Path]
    sha256: Mapping[str, str]
    settings: ExplanationSettings

    def recipe(self, run: ExplanationRun) -> str:
        """Return run, data, network, settings and methods that its result depends on, as JSON."""
        explained = {key: value for key, value in asdict(self.settings.sets[run.name]).items() if key not in WORDS}
        # a run does not depend on how many there are, nor on what its interval is made of
        trained = {
            key: value for key, value in explained["settings"].items() if key not in ("repeats", "resamples", "models")
        }
        trained["network"] = explained["settings"]["models"][run.run.model]["network"]
        for condition in trained["conditions"].values():
            for word in WORDS:
                condition.pop(word, None)
        return json.dumps(
            {
                "run": asdict(run),
                "set": {**explained, "settings": trained},
                "methods": self.settings.methods,
                "data": self.sha256[run.name],
                "version": VERSION,
            },
            sort_keys=True,
        )


class FoundLesions(NamedTuple):
    """The lesions that heat-maps find.

    Attributes:
        scores: FROC score of each method, ``(M,)``; NaN if no lesion counts.
        lesions: number of those that count.
        slides: number of the slides, with and without tumour.
    """

    scores: NDArray[np.float64]
    lesions: int
    slides: int


def do_explanation_run(workshop: ExplanationWorkshop, run: ExplanationRun) -> None:
    """Train, explain and measure, and write the result atomically.

    The result holds the names of the ``methods``; of the explained bags ``labels`` ``(B,)`` and ``logits``; by measure
    ``value <measure>`` ``(B, M)`` and ``chance <measure>`` ``(B,)``; ``drop`` and ``add`` ``(B, M, 101)``; the
    ``seconds`` that each method took ``(B, M)``, and of slides ``froc`` ``(M,)``. Methods that cannot explain the
    network are not among them; the facts say why (``refused``), and of slides what the FROC is a share of
    (``froc_lesions`` on ``froc_slides``).
    """
    started = time.time()
    explained = workshop.settings.sets[run.name]
    parts = bag_parts(explained.settings, workshop.data[run.name], run.run)
    trained = trained_network(explained.settings, run.run, parts)
    network = StandardisedInput(trained.network).eval()
    methods = {
        name: instantiate(str(given["_target_"]), "default", model=network, **_options(given))
        for name, given in workshop.settings.methods.items()
    }
    refused = refusals(methods, network.standardised(parts.test.of([0]).instances))
    methods = {name: method for name, method in methods.items() if name not in refused}
    skipped = run.run.repeat if explained.settings.folds == 1 else 0
    bags = chosen_bags(parts.test.labels.numpy(), explained.positive, explained.negative, skipped)
    qualities, seconds, values = [], [], []
    for bag in bags:
        quality, taken, of_bag = explained_bag(network, methods, parts, int(bag))
        qualities.append(quality)
        seconds.append(taken)
        values.append(of_bag)
    arrays = quality_arrays(qualities)
    arrays["labels"] = parts.test.labels.numpy()[bags]
    arrays["logits"] = predict_bags(trained.network, parts.test).double().numpy()[bags]
    arrays["seconds"] = np.array(seconds)
    facts: dict[str, Any] = {"refused": refused, "accuracy": _accuracy(trained.network, parts)}
    if explained.settings.data == "slides":
        found = lesion_froc(explained, workshop.data[run.name], parts.test_index[bags], values)
        arrays["froc"] = found.scores
        facts |= {"froc_lesions": found.lesions, "froc_slides": found.slides}
    workshop.write_result(run, arrays, facts, seconds=time.time() - started)


def refusals(methods: Mapping[str, BagAttribution], bag: torch.Tensor) -> dict[str, str]:
    """Return why methods cannot explain the network, by name, found out on one bag ``(N, …)``."""
    reasons = {}
    for name, method in methods.items():
        try:
            method.attribute(bag)
        except (TypeError, ValueError) as error:
            reasons[name] = str(error)
    return reasons


def chosen_bags(labels: NDArray[np.int64], positive: int, negative: int, skipped: int = 0) -> NDArray[np.intp]:
    """Return bags of either label, at most so many, in ascending order.

    Args:
        labels: of the held-out bags, ``(B,)``.
        positive: number of bags with evidence.
        negative: number of bags without.
        skipped: so many times the number are left to earlier runs.

    Raises:
        DataError: if none is left.
    """
    chosen = [
        np.flatnonzero(labels == label)[skipped * count : (skipped + 1) * count]
        for label, count in ((1, positive), (0, negative))
    ]
    if min(map(len, chosen)) == 0:
        raise DataError(f"run {skipped + 1} has no held-out bags of either label left to explain; raise test_bags")
    return np.sort(np.concatenate(chosen))


def explained_bag(
    network: StandardisedInput, methods: Mapping[str, BagAttribution], parts: Parts, bag: int
) -> tuple[BagQuality, list[float], Values]:
    """Return the quality of all methods on a test bag, the seconds that each took, and its values."""
    whole = parts.test.of([bag])
    features = network.standardised(whole.instances)
    values, seconds = {}, []
    for name, method in methods.items():
        before = time.perf_counter()
        values[name] = method.attribute(features)
        seconds.append(time.perf_counter() - before)
    truth = None if whole.truth is None else whole.truth.numpy()
    quality = bag_quality(network, features, values, truth, seed=bag)
    return quality, seconds, {name: rows.numpy() for name, rows in values.items()}


def lesion_froc(explained: ExplainedSet, folder: Path, slides: NDArray[np.intp], values: list[Values]) -> FoundLesions:
    """Return what each method's heat-maps find on some slides."""
    froc = HeatMapFROC()
    records = phantom_slides(explained.settings, folder, explained.condition).records
    added = 0
    for number, of_slide in zip(slides, values, strict=True):
        slide = ExplainedSlide(records[int(number)], read_features(records[int(number)]["features"]))
        added += froc.add(slide, of_slide)
        slide.close()
    # the interval is that over the runs: one resample suffices
    measured = froc.measure(list(values[0]), resamples=1)
    scores = [float(measured[name]["value"]) if name in measured else np.nan for name in values[0]]
    lesions = next((int(entry["n"]) for entry in measured.values()), 0)
    return FoundLesions(np.array(scores), lesions, added)


def quality_arrays(qualities: list[BagQuality]) -> dict[str, NDArray[Any]]:
    """Return what was measured of B bags as arrays."""
    first = qualities[0]
    return {
        "methods": np.array(first.methods),
        "drop": np.stack([quality.drop for quality in qualities]),
        "add": np.stack([quality.add for quality in qualities]),
        **{f"value {name}": np.stack([quality.values[name] for quality in qualities]) for name in first.values},
        **{f"chance {name}": np.array([quality.chance[name] for quality in qualities]) for name in first.values},
    }


def read_qualities(arrays: Mapping[str, NDArray[Any]]) -> list[BagQuality]:
    """Return the qualities from the arrays of :func:`quality_arrays`."""
    methods = tuple(str(name) for name in arrays["methods"])
    measures = [name.removeprefix("value ") for name in arrays if name.startswith("value ")]
    return [
        BagQuality(
            methods,
            {name: arrays[f"value {name}"][bag] for name in measures},
            {name: float(arrays[f"chance {name}"][bag]) for name in measures},
            arrays["drop"][bag],
            arrays["add"][bag],
        )
        for bag in range(len(arrays["drop"]))
    ]


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != "_target_"}


def _accuracy(network: Any, parts: Parts) -> float:
    called = predict_bags(network, parts.test).numpy() > 0
    return float((called == (parts.test.labels.numpy() == 1)).mean())
