"""How well attribution maps point at what is known to be the cause: four measures, each beside its chance level.

All take maps and masks ``(B, H, W)`` and give one number per sample. A sample whose mask is empty or covers the whole
image cannot be measured: it is NaN, counted, and never a hit. Ties are resolved by expectation over the orders that
they allow, so that a constant map scores exactly its chance level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.saliency.base import Sign
from shared.saliency.map_arrays import (
    Floats,
    Masks,
    check_maps,
    check_masks,
    check_sign,
    in_chunks,
    measurable,
    pixel_rows,
    signed_part,
)

__all__ = [
    "MapQuality",
    "localisation_auc",
    "map_quality",
    "mass_accuracy",
    "pointing_game",
    "rank_accuracy",
    "sample_quality",
    "summarise_quality",
]

MapQuality = dict[str, dict[str, NDArray[np.float64]]]
"""``{metric: {"value": (B,), "chance": (B,)}}``."""


def map_quality(maps: ArrayLike, masks: ArrayLike, *, sign: Sign = "signed", radius: float = 0.0) -> MapQuality:
    """Measure maps against masks with all four metrics.

    Args:
        maps: attributions ``(B, H, W)``.
        masks: where the cause is, ``(B, H, W)``, boolean or 0 and 1.
        sign: ``signed`` ranks pixels by value, ``absolute`` by magnitude, ``positive`` by value with all that is
            negative set to 0. A method knows its own: :attr:`shared.saliency.base.Attribution.sign`.
        radius: tolerance of the pointing game, in pixels.

    Returns:
        ``rank_accuracy``, ``localisation_auc``, ``mass_accuracy`` and ``pointing_game``, each with ``value`` and
        ``chance`` ``(B,)``; NaN where a sample cannot be measured.

    Raises:
        ValueError: if shapes differ, a map has a value that is not finite, a mask has another value than 0 and 1, or
            an option is unknown.
    """
    check_sign(sign)
    if not radius >= 0:
        raise ValueError(f"radius must be at least 0 pixels, found {radius}")
    attributions = check_maps(maps)
    truth = check_masks(masks, attributions.shape)
    return in_chunks(lambda part, mask: _measure(signed_part(part, sign), mask, radius), attributions, truth)


def rank_accuracy(maps: Floats, masks: Masks) -> NDArray[np.float64]:
    """Return the share of the k highest pixels that lie in the mask, k being the mask's size.

    Relevance rank accuracy of Arras, Osman and Samek, CLEVR-XAI, Information Fusion 81 (2022). Of pixels that tie at
    the k-th place the expected share counts. Chance level: k over the number of pixels.

    Args:
        maps: ``(B, H, W)``.
        masks: ``(B, H, W)``.

    Returns:
        ``(B,)``, NaN where the mask is empty or full.
    """
    values, truth = pixel_rows(maps), pixel_rows(masks)
    size = truth.sum(axis=1)
    ordered = np.sort(values, axis=1)
    # an empty mask has no k-th pixel; its row is overwritten with NaN below
    kth = np.take_along_axis(ordered, (values.shape[1] - np.maximum(size, 1))[:, None], axis=1)
    above, tied = values > kth, values == kth
    places = size - above.sum(axis=1)
    expected = places * (tied & truth).sum(axis=1) / tied.sum(axis=1)
    return measurable(((above & truth).sum(axis=1) + expected) / np.maximum(size, 1), truth)


def localisation_auc(maps: Floats, masks: Masks) -> NDArray[np.float64]:
    """Return the area under the ROC curve of pixel values as detectors of the mask.

    The probability that a pixel of the mask is higher than one outside, ties counted half (Mann–Whitney). Chance level:
    0.5.

    Args:
        maps: ``(B, H, W)``.
        masks: ``(B, H, W)``.

    Returns:
        ``(B,)``, NaN where the mask is empty or full.
    """
    values, truth = pixel_rows(maps), pixel_rows(masks)
    ordered = np.sort(values, axis=1)
    rank_sum = np.array([_rank_sum(*row) for row in zip(ordered, values, truth, strict=True)])
    positives = truth.sum(axis=1).astype(np.float64)
    pairs = positives * (values.shape[1] - positives)
    return measurable((rank_sum - positives * (positives + 1) / 2) / np.maximum(pairs, 1), truth)


def mass_accuracy(maps: Floats, masks: Masks) -> NDArray[np.float64]:
    """Return the share of positive attribution that lies in the mask.

    Relevance mass accuracy of Arras, Osman and Samek, CLEVR-XAI, Information Fusion 81 (2022). A map without any
    positive attribution says nothing about the place and gets the chance level: the mask's share of the image.

    Args:
        maps: ``(B, H, W)``.
        masks: ``(B, H, W)``.

    Returns:
        ``(B,)``, NaN where the mask is empty or full.
    """
    positive, truth = np.maximum(pixel_rows(maps), 0).astype(np.float64), pixel_rows(masks)
    total = positive.sum(axis=1)
    share = np.divide((positive * truth).sum(axis=1), total, out=truth.mean(axis=1), where=total > 0)
    return measurable(share, truth)


def pointing_game(maps: Floats, masks: Masks, radius: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tell whether the highest pixel lies in the mask or at most ``radius`` pixels from it.

    Zhang et al., Top-down neural attention by excitation backprop, International Journal of Computer Vision 126 (2018).
    Where several pixels are highest, the share of them that hit counts. Chance level: the share of the image that
    would be a hit.

    Args:
        maps: ``(B, H, W)``.
        masks: ``(B, H, W)``.
        radius: tolerance in pixels, Euclidean.

    Returns:
        Hits and chance levels, ``(B,)`` each; both NaN where the mask is empty, or where it covers the image once it is
        widened by the tolerance.
    """
    target = masks
    if radius > 0:
        near = [_widened(mask, radius) for mask in masks]
        target = np.stack(near) if near else masks
    values, hit = pixel_rows(maps), pixel_rows(target)
    highest = values == values.max(axis=1, keepdims=True)
    share = (highest & hit).sum(axis=1) / highest.sum(axis=1)
    return measurable(share, hit), measurable(hit.mean(axis=1), hit)


def summarise_quality(
    per_sample: MapQuality,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, dict[str, Any]]:
    """Average the quality over the samples that could be measured, with bootstrap intervals.

    Args:
        per_sample: what :func:`map_quality` returned, or several of them joined along the samples.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the intervals.
        seed: seed of the bootstrap.
        groups: donor or patient of each sample ``(B,)``; whole groups are then drawn.

    Returns:
        ``{metric: {"value", "ci95", "chance", "n", "n_without_mask"}}``, ready for JSON. ``n`` samples were measured,
        ``n_without_mask`` were not; ``chance`` is ``None`` where a measure has no chance level (NaN everywhere).
        Nothing measured gives ``None`` with a ``reason``, and so does an interval of fewer than two samples or groups
        (:func:`shared.evaluation.bootstrap.interval_entry`).
    """
    key = f"ci{100 * level:g}"
    summary: dict[str, dict[str, Any]] = {}
    for names, measured in _same_samples(per_sample):
        n = int(measured.sum())
        counts = {"n": n, "n_without_mask": len(measured) - n}
        if n == 0:
            reason = "no sample with a mask that is neither empty nor the whole image"
            summary |= {name: {"value": None, key: None, "chance": None, **counts, "reason": reason} for name in names}
            continue
        values = np.stack([per_sample[name]["value"][measured] for name in names], axis=1)
        kept = None if groups is None else np.asarray(groups)[measured]
        intervals = bootstrap_interval(
            weighted_mean, [values], resamples=resamples, level=level, seed=seed, groups=kept
        )
        for column, name in enumerate(names):
            chance = float(per_sample[name]["chance"][measured].mean())
            known = {"chance": None if np.isnan(chance) else chance}
            summary[name] = {**intervals[column].to_json(), **known, **counts}
    return {name: summary[name] for name in per_sample}


def _same_samples(per_sample: MapQuality) -> list[tuple[list[str], Masks]]:
    """Return the metrics that were measured on the same samples, and these ``(B,)``: one bootstrap serves them all."""
    alike: dict[bytes, tuple[list[str], Masks]] = {}
    for name, part in per_sample.items():
        measured = ~np.isnan(part["value"])
        alike.setdefault(measured.tobytes(), ([], measured))[0].append(name)
    return list(alike.values())


def sample_quality(per_sample: MapQuality, index: int) -> dict[str, dict[str, float | None]]:
    """Return the quality of one sample, ready for JSON: ``{metric: {"value", "chance"}}``, ``None`` if not measured."""
    return {
        name: {key: None if np.isnan(part[key][index]) else float(part[key][index]) for key in ("value", "chance")}
        for name, part in per_sample.items()
    }


def _rank_sum(ordered: Floats, values: Floats, mask: Masks) -> float:
    """Return the sum of the ranks (from 1) of a map's pixels ``(P,)`` in the mask; those that tie have a mean rank."""
    # sorting, and finding some of the values again, takes a quarter of the time of ranking them all
    own = np.sort(values[mask])
    first, last = np.searchsorted(ordered, own, "left"), np.searchsorted(ordered, own, "right") - 1
    return float((first + last).sum()) / 2 + len(own)


def _widened(mask: Masks, radius: float) -> Masks:
    """Return which pixels ``(H, W)`` lie in the mask or at most ``radius`` pixels from it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    widened = np.zeros_like(mask)
    if len(rows):
        reach = int(radius)
        window = tuple(slice(max(0, line[0] - reach), line[-1] + reach + 1) for line in (rows, columns))
        widened[window] = ndimage.distance_transform_edt(~mask[window]) <= radius
    return widened


def _measure(maps: Floats, masks: Masks, radius: float) -> MapQuality:
    share = measurable(pixel_rows(masks).mean(axis=1), pixel_rows(masks))
    hits, hit_chance = pointing_game(maps, masks, radius)
    return {
        "rank_accuracy": {"value": rank_accuracy(maps, masks), "chance": share},
        "localisation_auc": {"value": localisation_auc(maps, masks), "chance": np.where(np.isnan(share), np.nan, 0.5)},
        "mass_accuracy": {"value": mass_accuracy(maps, masks), "chance": share.copy()},
        "pointing_game": {"value": hits, "chance": hit_chance},
    }
