"""The cases of the explanation gallery: what stands in ``explanations/index.json``, joined with the predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from shared.data.errors import DataError
from shared.report.images import EmbeddedImage
from shared.report.instances import read_rows
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.pictures import Pictures
from shared.report.similar_cases import SimilarCase, read_similar
from shared.report.sources import Sources
from shared.report.view import LayerEntry, View, add_view, read_view

__all__ = [
    "MOST_CASES",
    "Case",
    "Overlay",
    "SampleKind",
    "explained_count",
    "explained_samples",
    "read_case",
    "read_cases",
    "read_method_quality",
]

#: What a sample is: a single image, a bag of instances (with the key ``bag``) or a slide (``slide``).
SampleKind = Literal["image", "bag", "slide"]

#: More would make the page heavy; the others lie in the folder.
MOST_CASES = 24
#: for images, and for the maps over them
PICTURE_BYTES, LAYER_BYTES = 550_000, 700_000


@dataclass(frozen=True)
class Overlay:
    """One explanation of one case: its picture and its quality against the masks, as far as there are any."""

    method: str
    image: EmbeddedImage | None
    quality: Sequence[Estimate]


@dataclass(frozen=True)
class Case:
    """One explained sample.

    Attributes:
        probability: calibrated probability of the predicted class, from the predictions file.
        probabilities: calibrated probability of every class, from the predictions file; empty where it lacks the id.
        kind: kind of outlier; empty for a sample of a known class.
        confidence: chance-corrected confidence.
        image: in a frame, where there is no view.
        overlays: of each method its quality, and where there is no view its picture in a frame.
        view: the image with its maps as layers; ``None`` where explanations have none.
        similar: training cases that look alike to the network.
        watched: whether it is a validation sample that was explained while the network trained, and no sample of what
            is evaluated.
    """

    id: str
    label: str
    kind: str
    prediction: str
    target: str
    probability: float | None
    confidence: float | None
    decision: str
    reason: str
    image: EmbeddedImage | None = None
    overlays: Sequence[Overlay] = field(default_factory=list)
    view: View | None = None
    similar: Sequence[SimilarCase] = field(default_factory=list)
    probabilities: Mapping[str, float] = field(default_factory=dict)
    watched: bool = False

    @property
    def measured(self) -> bool:
        """Whether any of the maps was compared with a mask."""
        return any(overlay.quality for overlay in self.overlays)

    @property
    def right(self) -> bool | None:
        """Whether label and prediction agree."""
        return self.label == self.prediction if self.label else None


def explained_samples(sources: Sources, kind: SampleKind = "image") -> list[tuple[str, Mapping[str, Any]]]:
    """Return the samples of the index of explanations, each with its place for messages; none without an index.

    Validation samples that were watched while the network trained come last: they are not what was evaluated.

    Args:
        sources: the files.
        kind: which to return.

    Raises:
        DataError: if they are no list of objects.
    """
    if sources.explanations is None:
        return []
    where = f"{sources.files['explanations/index.json']}: samples"
    samples = sources.explanations.get("samples", [])
    if not isinstance(samples, list):
        raise DataError(f"{where}: found {type(samples).__name__}, expected a list; run explaining again")
    tables = [(f"{where}[{i}]", read_table(sample, f"{where}[{i}]")) for i, sample in enumerate(samples)]
    chosen = [(place, sample) for place, sample in tables if _kind(sample) == kind]
    return sorted(chosen, key=lambda item: item[1].get("watched") is True)


def _kind(sample: Mapping[str, Any]) -> str:
    return next((key for key in ("bag", "slide") if key in sample), "image")


def explained_count(sources: Sources, kind: SampleKind = "image") -> int:
    """Return how many samples of a kind were explained; 0 if explaining has not run."""
    return len(explained_samples(sources, kind))


def read_cases(sources: Sources) -> list[Case]:
    """Read the first ``MOST_CASES`` explained samples with their images.

    Where explanations have layers, these are laid over one image; else each map is a picture in a frame.

    Raises:
        DataError: if a sample is malformed, or an image is missing, unreadable or outside the evaluation folder.
    """
    samples = explained_samples(sources)[:MOST_CASES]
    flagged = _flagged_layers(sources)
    pictures = Pictures(sources.eval_dir)
    for where, sample in samples:
        if "view" in sample:
            add_view(pictures, sample["view"], _layers(sample, flagged, where), f"{where}.view")
        else:
            pictures.add(sample.get("image_png"), f"{where}.image_png")
            for place, _, entry in _methods(sample, where):
                pictures.add(entry.get("overlay_png"), place)
    pictures.embed(PICTURE_BYTES, LAYER_BYTES)
    similar = read_similar(sources, samples)
    cases = []
    for where, sample in samples:
        framed = "view" not in sample
        overlays = [
            Overlay(
                method=name,
                image=pictures.get(entry.get("overlay_png"), place) if framed else None,
                quality=read_estimates(entry.get("quality") or {}, f"{place}.quality"),
            )
            for place, name, entry in _methods(sample, where)
        ]
        case = read_case(sources, sample, where, overlays, similar[where])
        view = read_view(pictures, sample.get("view"), _layers(sample, flagged, where), f"{where}.view")
        image = pictures.get(sample.get("image_png"), f"{where}.image_png") if framed else None
        cases.append(replace(case, view=view, image=image))
    return cases


def _methods(sample: Mapping[str, Any], where: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return place, key and entry of each method of a sample."""
    methods = read_table(sample.get("methods", {}), f"{where}.methods")
    return [
        (f"{where}.methods.{name}", name, read_table(entry, f"{where}.methods.{name}"))
        for name, entry in methods.items()
    ]


def _layers(sample: Mapping[str, Any], flagged: Mapping[str, list[LayerEntry]], where: str) -> list[LayerEntry]:
    """Return the layers of a sample: each method's for the class explained, then those for other classes."""
    target = str(sample.get("target") or sample.get("prediction") or "")
    own = [LayerEntry(name, target, entry, place) for place, name, entry in _methods(sample, where)]
    others = [
        LayerEntry(name, str(label), read_table(layer, f"{place}.classes.{label}"), f"{place}.classes.{label}")
        for place, name, entry in _methods(sample, where)
        for label, layer in read_table(entry.get("classes") or {}, f"{place}.classes").items()
    ]
    layers = {(layer.method, layer.target): layer for layer in (*flagged.get(str(sample.get("id")), ()), *others)}
    layers = {(layer.method, layer.target): layer for layer in own} | {
        key: layer for key, layer in layers.items() if key[1] != target
    }
    return list(layers.values())


def _flagged_layers(sources: Sources) -> dict[str, list[LayerEntry]]:
    """Return the maps of all classes of flagged samples, by id."""
    where = str(sources.files.get("explanations/index.json"))
    found: dict[str, list[LayerEntry]] = {}
    for place, row in read_rows(sources.explanations or {}, "flagged", where):
        layers = read_table(row.get("layers") or {}, f"{place}.layers")
        found.setdefault(str(row.get("id")), []).extend(
            LayerEntry(str(row.get("method")), str(label), read_table(entry, at), at)
            for label, entry in layers.items()
            for at in (f"{place}.layers.{label}",)
        )
    return found


def read_case(
    sources: Sources,
    sample: Mapping[str, Any],
    where: str,
    drawn: Sequence[Overlay] = (),
    similar: Sequence[SimilarCase] = (),
) -> Case:
    """Read one explained sample, joined with its row in the predictions.

    Args:
        sources: with the predictions, if there are any.
        sample: entry of the index.
        where: its place, for messages.
        drawn: its explanations.
        similar: training cases that look alike to the network.

    Raises:
        DataError: if the entry has no id, or its confidence is no number.
    """
    if "id" not in sample:
        raise DataError(f"{where}.id is missing; run explaining again")
    name = str(sample["id"])
    rows = None if sources.predictions is None else sources.predictions.set_index("id")
    row = rows.loc[name] if rows is not None and name in rows.index else pd.Series(dtype=object)

    def text(key: str) -> str:
        value = sample.get(key)
        return str(row.get(key, "")) if value is None else str(value)

    confidence = sample.get("confidence", row.get("confidence"))
    probability = row.get(f"probability_{text('prediction')}")
    return Case(
        id=name,
        label="" if text("kind") else text("label"),
        kind=text("kind"),
        prediction=text("prediction"),
        target=text("target"),
        probability=None if probability is None or math.isnan(probability) else float(probability),
        confidence=None if confidence is None else read_number(confidence, f"{where}.confidence"),
        decision=text("decision"),
        reason=text("reason"),
        overlays=list(drawn),
        similar=list(similar),
        probabilities={
            label: float(row[f"probability_{label}"])
            for label in sources.classes
            if not math.isnan(row.get(f"probability_{label}", math.nan))
        },
        watched=sample.get("watched") is True,
    )


def read_method_quality(sources: Sources) -> dict[str, list[Estimate]]:
    """Read the quality of each method over all explained samples.

    Returns:
        Measure to one estimate per method (``name`` is the method), the best first.

    Raises:
        DataError: if an entry is malformed.
    """
    if sources.explanations is None:
        return {}
    where = f"{sources.files['explanations/index.json']}: methods"
    table: dict[str, list[Estimate]] = {}
    for method, entry in read_table(sources.explanations.get("methods", {}), where).items():
        quality = read_table(entry, f"{where}.{method}").get("quality") or {}
        for e in read_estimates(quality, f"{where}.{method}.quality"):
            table.setdefault(e.name, []).append(replace(e, name=method))
    for estimates in table.values():
        estimates.sort(key=lambda e: -math.inf if e.value is None else e.value, reverse=True)
    return table
