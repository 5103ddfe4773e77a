"""Rows of the interpretability file from measures of samples: overall, by class and by size of the lesion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.evaluation.interpretability.file import not_measured, row
from shared.evaluation.interpretability.measures import COMPARED
from shared.evaluation.paired_samples import by_sample
from shared.saliency.base import Sign
from shared.saliency.map_arrays import pixel_rows
from shared.saliency.map_measures import map_measures
from shared.saliency.overlap import TunedThreshold
from shared.saliency.quality import MapQuality, summarise_quality

__all__ = ["map_rows", "measure_rows"]

_OF_MASKS = ("rank_accuracy", "localisation_auc", "mass_accuracy", "pointing_game", "cause_share")
_REASONS = {
    **dict.fromkeys(_OF_MASKS, "no masks: the data do not say where the cause is"),
    "iou": "no threshold: it is chosen on validation samples with masks of the cause, and there are none",
    "background_share": "no masks of the background",
    "edge_agreement": "no images were given",
}
#: what a share is on that only some data have
_MARKS = {"distractor_share": "distractor", "shortcut_share": "shortcut"}
#: measures of a region: a sample without one is counted, and is no fault of its map
_OF_REGIONS = (*_OF_MASKS, "iou", "background_share", "distractor_share", "shortcut_share")
#: measures that can differ with the size of the lesion
_BY_SIZE = (*_OF_MASKS, "iou")
#: measures whose chance level is what random orders of the same samples reach, which is compared sample by sample
AGAINST_ORDERS = ("deletion_auc", "insertion_auc", "aupc_drop", "aupc_add")
_SIZES = ("small", "medium", "large")


def map_rows(
    name: str,
    maps: ArrayLike,
    *,
    images: ArrayLike | None = None,
    masks: ArrayLike | None = None,
    background: ArrayLike | None = None,
    distractor: ArrayLike | None = None,
    shortcut: ArrayLike | None = None,
    tuned: TunedThreshold | None = None,
    labels: Sequence[str | None] | None = None,
    sizes: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    ids: Sequence[Any] | None = None,
    seed: int = 0,
    sign: Sign = "signed",
    radius: float = 0.0,
    known: MapQuality | None = None,
    variants: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Measure one method's maps, and return the rows of every measure that needs only maps and masks.

    A measure that needs what is not given has one row, which says so.

    Args:
        name: of the method, its key in the config.
        maps: attributions ``(B, H, W)``.
        images: see :func:`shared.saliency.map_measures.map_measures`, as the next five and ``sign`` and ``radius``.
        masks: where the cause is.
        background: what cannot matter.
        distractor: structures drawn to mislead.
        shortcut: a mark that goes with the class without causing it.
        tuned: threshold of the IoU.
        labels: see :func:`measure_rows`, as the next three.
        sizes: by default the number of pixels of each mask.
        groups: what the intervals resample.
        ids: what tells the samples apart.
        seed: of the bootstrap.
        sign: what of a map is measured.
        radius: tolerance of the pointing game in pixels.
        known: measures of the same samples that were taken already, on another grid for instance: they replace those
            taken here; but for the pointing game with a tolerance, which is one in pixels of the maps.
        variants: which variant of the phantoms marks a ``distractor`` or a ``shortcut``, for the reader of data that
            mark none.

    Raises:
        ValueError: as :func:`shared.saliency.map_measures.map_measures`.
    """
    given = {"images": images, "background": background}
    marks = {"distractor": distractor, "shortcut": shortcut}
    given |= {mark: region for mark, region in marks.items() if region is not None and np.any(region)}
    quality = map_measures(maps, masks=masks, tuned=tuned, sign=sign, radius=radius, **given)
    quality |= {measure: part for measure, part in (known or {}).items() if measure != "pointing_game" or not radius}
    if sizes is None and masks is not None:
        area = pixel_rows(np.asarray(masks)).sum(axis=1, dtype=np.float64)
        sizes = np.where(area > 0, area, np.nan)
    parameters: dict[str, dict[str, Any]] = {"pointing_game": {"radius": radius}}
    if tuned is not None:
        parameters["iou"] = {"quantile": tuned.quantile, "iou_of_choice": tuned.iou, "n_of_choice": tuned.n}
    rows = measure_rows(
        name, quality, labels=labels, sizes=sizes, groups=groups, seed=seed, parameters=parameters, ids=ids
    )
    reasons = _REASONS | {measure: _unmarked(mark, variants or {}) for measure, mark in _MARKS.items()}
    absent = [not_measured(measure, reason, name) for measure, reason in reasons.items() if measure not in quality]
    return rows + absent


def _unmarked(mark: str, variants: Mapping[str, str]) -> str:
    reason = f"the data mark no {mark}"
    if mark not in variants:
        return reason
    variant = variants[mark]
    return f"{reason}; phantoms of the variant '{variant}' do (prepare with --phantom --variant {variant})"


def measure_rows(
    name: str,
    per_sample: MapQuality,
    *,
    labels: Sequence[str | None] | None = None,
    sizes: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    seed: int = 0,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    ids: Sequence[Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of measures that were taken of each sample: overall, for each class, and by size of the lesion.

    Args:
        name: of the method, its key in the config.
        per_sample: by the name of a measure, ``value`` and ``chance`` ``(B,)``, NaN where a sample could not be
            measured or there is no chance level.
        labels: class of each sample, ``None`` where it is unknown; there are rows by class if there are several.
        sizes: size of each sample's lesion, NaN where it is unknown; measures of the cause have rows for its tertiles
            ``small``, ``medium`` and ``large`` over all classes.
        groups: donor or patient of each sample ``(B,)``; whole groups are resampled.
        seed: seed of the bootstrap.
        parameters: of measures, by name.
        ids: what tells the samples from those that other methods are measured on: names, which other runs know too,
            or numbers, which hold within a file; by default their places. Of the measures that methods are compared
            by, the values of all samples are kept beside the mean.

    Raises:
        ValueError: if a measure is unknown, or labels, sizes or groups are not as many as the samples.
    """
    n = len(next(iter(per_sample.values()))["value"]) if per_sample else 0
    drawn = None if groups is None else _of_samples(groups, n, "groups")
    rows = []
    for place, chosen, measures in _subsets(per_sample, labels, sizes, n):
        part = {key: {end: values[chosen] for end, values in per_sample[key].items()} for key in measures}
        summary = summarise_quality(part, groups=None if drawn is None else drawn[chosen], seed=seed)
        for measure, entry in summary.items():
            stated = {"parameters": dict((parameters or {}).get(measure, {}))} if measure in (parameters or {}) else {}
            if not place and measure in COMPARED and entry["value"] is not None:
                own = range(n) if ids is None else ids
                stated["samples"] = by_sample(own, per_sample[measure]["value"], drawn)
            if measure in AGAINST_ORDERS and entry["value"] is not None:
                stated["difference"] = _against_orders(part[measure], None if drawn is None else drawn[chosen], seed)
            rows.append(row(measure, _explained(measure, entry, place) | stated, name, **place))
    return rows


def _against_orders(part: Mapping[str, NDArray[np.float64]], groups: NDArray[Any] | None, seed: int) -> dict[str, Any]:
    """Return the mean difference to random orders of the same samples, with its paired interval."""
    known = np.isfinite(part["value"]) & np.isfinite(part["chance"])
    difference = part["value"][known] - part["chance"][known]
    if not len(difference):
        return {"value": None, "ci95": None, "reason": "no random orders"}
    kept = None if groups is None else groups[known]
    return bootstrap_interval(weighted_mean, [difference], seed=seed, groups=kept).to_json()


def _subsets(
    per_sample: MapQuality, labels: Sequence[str | None] | None, sizes: ArrayLike | None, n: int
) -> Iterator[tuple[dict[str, str], NDArray[np.bool_], list[str]]]:
    """Yield where a row belongs, which samples ``(B,)`` and which measures it is of."""
    yield {}, np.ones(n, dtype=bool), list(per_sample)
    if labels is not None:
        classes = _of_samples(np.array(list(labels), dtype=object), n, "labels")
        present = sorted({label for label in classes if label is not None})
        for label in present if len(present) > 1 else []:
            yield {"label": label}, classes == label, list(per_sample)
    by_size = [measure for measure in per_sample if measure in _BY_SIZE]
    if sizes is not None and by_size:
        extents = _of_samples(np.asarray(sizes, dtype=np.float64), n, "sizes")
        if np.isfinite(extents).any():
            ends = np.nanquantile(extents, [1 / 3, 2 / 3])
            # a size that is not known is larger than any, and of no tertile
            tertile = np.where(np.isnan(extents), -1, np.searchsorted(ends, extents))
            for number, size in enumerate(_SIZES):
                yield {"size": size}, tertile == number, by_size


def _explained(measure: str, entry: dict[str, Any], place: Mapping[str, str]) -> dict[str, Any]:
    """Return an entry that says why samples, or all of them, have no value."""
    without = entry["n_without_mask"]
    if entry["n"] + without == 0:
        return entry | {"reason": f"no sample of this {' and '.join(place)}" if place else "no samples"}
    if measure in _OF_REGIONS:
        return entry
    entry = {key: value for key, value in entry.items() if key != "n_without_mask"}
    if without:
        undefined = f"undefined for {without} of {entry['n'] + without} samples, whose map is zero or constant"
        others = [entry["reason"]] if entry["value"] is not None and "reason" in entry else []
        entry["reason"] = "; ".join([*others, undefined])
    return entry


def _of_samples(values: ArrayLike, n: int, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (n,):
        raise ValueError(f"{name} must have one entry for each of the {n} samples, found shape {array.shape}")
    return array
