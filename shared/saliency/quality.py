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

Floats = NDArray[np.floating]
Masks = NDArray[np.bool_]
MapQuality = dict[str, dict[str, NDArray[np.float64]]]
"""``{metric: {"value": (B,), "chance": (B,)}}``."""

CHUNK_PIXELS = 8_000_000


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
    attributions, truth = _checked(maps, masks, sign, radius)
    rows = max(1, CHUNK_PIXELS // max(1, attributions[0].size)) if len(attributions) else 1
    parts = [
        _measure(_signed(attributions[i : i + rows], sign), truth[i : i + rows], radius)
        for i in range(0, max(1, len(attributions)), rows)
    ]
    return {
        name: {key: np.concatenate([part[name][key] for part in parts]) for key in ("value", "chance")}
        for name in parts[0]
    }


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
    values, truth = _rows(maps), _rows(masks)
    size = truth.sum(axis=1)
    ordered = np.sort(values, axis=1)
    # an empty mask has no k-th pixel; its row is overwritten with NaN below
    kth = np.take_along_axis(ordered, (values.shape[1] - np.maximum(size, 1))[:, None], axis=1)
    above, tied = values > kth, values == kth
    places = size - above.sum(axis=1)
    expected = places * (tied & truth).sum(axis=1) / tied.sum(axis=1)
    return _measurable(((above & truth).sum(axis=1) + expected) / np.maximum(size, 1), truth)


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
    values, truth = _rows(maps), _rows(masks)
    order = np.argsort(values, axis=1)
    ordered, inside = np.take_along_axis(values, order, axis=1), np.take_along_axis(truth, order, axis=1)
    n = values.shape[1]
    new = np.ones(ordered.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    places = np.arange(n, dtype=np.int32)
    first = np.maximum.accumulate(np.where(new, places, 0), axis=1)
    last_of_tie = np.ones(ordered.shape, dtype=bool)
    last_of_tie[:, :-1] = new[:, 1:]
    last = np.minimum.accumulate(np.where(last_of_tie, places, n)[:, ::-1], axis=1)[:, ::-1]
    # the mean rank (from 1) of tied pixels is (first + last) / 2 + 1
    rank_sum = ((first + last) * inside).sum(axis=1, dtype=np.float64) / 2 + inside.sum(axis=1)
    positives = truth.sum(axis=1).astype(np.float64)
    pairs = positives * (n - positives)
    return _measurable((rank_sum - positives * (positives + 1) / 2) / np.maximum(pairs, 1), truth)


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
    positive, truth = np.maximum(_rows(maps), 0).astype(np.float64), _rows(masks)
    total = positive.sum(axis=1)
    share = np.divide((positive * truth).sum(axis=1), total, out=truth.mean(axis=1), where=total > 0)
    return _measurable(share, truth)


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
        # without a pixel of the mask there is nothing to measure the distance to
        near = [ndimage.distance_transform_edt(~mask) <= radius if mask.any() else mask for mask in masks]
        target = np.stack(near) if near else masks
    values, hit = _rows(maps), _rows(target)
    highest = values == values.max(axis=1, keepdims=True)
    share = (highest & hit).sum(axis=1) / highest.sum(axis=1)
    return _measurable(share, hit), _measurable(hit.mean(axis=1), hit)


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
        ``n_without_mask`` were not. Nothing measured gives ``None`` with a ``reason``, and so does an interval of fewer
        than two samples or groups (:func:`shared.evaluation.bootstrap.interval_entry`).
    """
    summary: dict[str, dict[str, Any]] = {}
    for name, part in per_sample.items():
        measured = ~np.isnan(part["value"])
        values, n = part["value"][measured], int(measured.sum())
        counts = {"n": n, "n_without_mask": int(len(measured) - n)}
        key = f"ci{100 * level:g}"
        if n == 0:
            reason = "no sample with a mask that is neither empty nor the whole image"
            summary[name] = {"value": None, key: None, "chance": None, **counts, "reason": reason}
            continue
        chance = float(part["chance"][measured].mean())
        kept = None if groups is None else np.asarray(groups)[measured]
        interval = bootstrap_interval(weighted_mean, [values], resamples=resamples, level=level, seed=seed, groups=kept)
        summary[name] = {**interval.to_json(), "chance": chance, **counts}
    return summary


def sample_quality(per_sample: MapQuality, index: int) -> dict[str, dict[str, float | None]]:
    """Return the quality of one sample, ready for JSON: ``{metric: {"value", "chance"}}``, ``None`` if not measured."""
    return {
        name: {key: None if np.isnan(part[key][index]) else float(part[key][index]) for key in ("value", "chance")}
        for name, part in per_sample.items()
    }


def _measure(maps: Floats, masks: Masks, radius: float) -> MapQuality:
    share = _measurable(_rows(masks).mean(axis=1), _rows(masks))
    hits, hit_chance = pointing_game(maps, masks, radius)
    return {
        "rank_accuracy": {"value": rank_accuracy(maps, masks), "chance": share},
        "localisation_auc": {"value": localisation_auc(maps, masks), "chance": np.where(np.isnan(share), np.nan, 0.5)},
        "mass_accuracy": {"value": mass_accuracy(maps, masks), "chance": share.copy()},
        "pointing_game": {"value": hits, "chance": hit_chance},
    }


def _rows(array: np.ndarray) -> np.ndarray:
    """Return one row of pixels per sample: ``(B, H, W)`` to ``(B, H * W)``."""
    return array.reshape(len(array), array.shape[1] * array.shape[2])


def _measurable(values: NDArray[np.floating], masks: Masks) -> NDArray[np.float64]:
    """Set NaN where a row of masks ``(B, P)`` is empty or full."""
    return np.where(masks.any(axis=1) & ~masks.all(axis=1), values, np.nan)


def _signed(maps: Floats, sign: Sign) -> Floats:
    if sign == "absolute":
        return np.abs(maps)
    return np.maximum(maps, 0) if sign == "positive" else maps


def _checked(maps: ArrayLike, masks: ArrayLike, sign: str, radius: float) -> tuple[Floats, Masks]:
    if sign not in ("signed", "absolute", "positive"):
        raise ValueError(f"sign must be signed, absolute or positive, found {sign!r}")
    if not radius >= 0:
        raise ValueError(f"radius must be at least 0 pixels, found {radius}")
    attributions, truth = np.asarray(maps), np.asarray(masks)
    if not np.issubdtype(attributions.dtype, np.floating):
        attributions = attributions.astype(np.float64)
    if attributions.ndim != 3 or attributions.shape != truth.shape or 0 in attributions.shape[1:]:
        raise ValueError(
            f"maps and masks must both be (B, H, W), found {attributions.shape} and {truth.shape}; sum or average the "
            "channels of an attribution first"
        )
    broken = np.flatnonzero(~np.isfinite(attributions).all(axis=(1, 2)))
    if len(broken):
        raise ValueError(f"maps must be finite, found NaN or infinity in samples {broken[:5].tolist()}")
    if truth.dtype != np.bool_:
        other = truth[(truth != 0) & (truth != 1)]
        if other.size:
            raise ValueError(f"masks must be boolean or 0 and 1, found {other[0]}; choose a bit of a bit image first")
        truth = truth == 1
    return attributions, truth
