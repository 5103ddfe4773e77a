"""The cases of the explanation gallery: what stands in ``explanations/index.json``, joined with the predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from shared.data.errors import DataError
from shared.report.images import EmbeddedImage, embed_images
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.sources import Sources

__all__ = [
    "MOST_CASES",
    "Case",
    "Overlay",
    "case_count",
    "explained_samples",
    "file_inside",
    "read_case",
    "read_cases",
    "read_method_quality",
]

#: More would make the page heavy; the others lie in the folder.
MOST_CASES = 24


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
        right: whether label and prediction agree; ``None`` without a label.
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
    image: EmbeddedImage | None
    overlays: Sequence[Overlay] = field(default_factory=list)
    probabilities: Mapping[str, float] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether any of the maps was compared with a mask."""
        return any(overlay.quality for overlay in self.overlays)

    @property
    def right(self) -> bool | None:
        """Whether label and prediction agree."""
        return self.label == self.prediction if self.label else None


def explained_samples(
    sources: Sources, kind: Literal["image", "bag", "slide"] = "image"
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the samples of the index of explanations, each with its place for messages.

    Args:
        sources: with explanations.
        kind: which to return: single images, bags of instances (with the key ``bag``) or slides (``slide``).

    Raises:
        DataError: if they are no list of objects.
    """
    where = f"{sources.files['explanations/index.json']}: samples"
    samples = (sources.explanations or {}).get("samples", [])
    if not isinstance(samples, list):
        raise DataError(f"{where}: found {type(samples).__name__}, expected a list; run explaining again")
    tables = [(f"{where}[{i}]", read_table(sample, f"{where}[{i}]")) for i, sample in enumerate(samples)]
    return [(place, sample) for place, sample in tables if _kind(sample) == kind]


def _kind(sample: Mapping[str, Any]) -> str:
    return next((key for key in ("bag", "slide") if key in sample), "image")


def case_count(sources: Sources) -> int:
    """Return how many images were explained; 0 if explaining has not run."""
    return 0 if sources.explanations is None else len(explained_samples(sources))


def read_cases(sources: Sources) -> list[Case]:
    """Read the first ``MOST_CASES`` explained samples with their images.

    Raises:
        DataError: if a sample is malformed, or an image is missing, unreadable or outside the evaluation folder.
    """
    if sources.explanations is None:
        return []
    samples = explained_samples(sources)[:MOST_CASES]
    paths: list[tuple[Path | None, dict[str, Path | None]]] = []
    for where, sample in samples:
        methods = read_table(sample.get("methods", {}), f"{where}.methods")
        overlays = {}
        for name, entry in methods.items():
            place = f"{where}.methods.{name}"
            overlays[name] = file_inside(sources.eval_dir, read_table(entry, place).get("overlay_png"), place)
        paths.append((file_inside(sources.eval_dir, sample.get("image_png"), f"{where}.image_png"), overlays))
    images = embed_images([p for image, overlays in paths for p in (image, *overlays.values()) if p is not None])
    cases = []
    for (where, sample), (image, pictures) in zip(samples, paths, strict=True):
        drawn = [
            Overlay(
                method=name,
                image=None if path is None else images[path],
                quality=read_estimates(sample["methods"][name].get("quality") or {}, f"{where}.methods.{name}.quality"),
            )
            for name, path in pictures.items()
        ]
        picture = None if image is None else images[image]
        cases.append(read_case(sources, sample, where, picture, drawn))
    return cases


def file_inside(folder: Path, relative: Any, where: str) -> Path | None:
    """Return the image's path; the index cannot pull any other file of the machine into a page that is passed on."""
    if relative is None:
        return None
    path = folder / str(relative)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{where}: {relative!r} lies outside {folder}; expected a path inside it")
    return path


def read_case(
    sources: Sources,
    sample: Mapping[str, Any],
    where: str,
    image: EmbeddedImage | None = None,
    drawn: Sequence[Overlay] = (),
) -> Case:
    """Read one explained sample, joined with its row in the predictions.

    Args:
        sources: with the predictions, if there are any.
        sample: entry of the index.
        where: its place, for messages.
        image: its picture.
        drawn: its explanations.

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
        image=image,
        overlays=list(drawn),
        probabilities={
            label: float(row[f"probability_{label}"])
            for label in sources.classes
            if not math.isnan(row.get(f"probability_{label}", math.nan))
        },
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
