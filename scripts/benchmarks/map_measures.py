"""Measures of a thousand maps of 224 × 224 pixels against a loop over them with scikit-learn, scikit-image, SciPy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import entropy as scipy_entropy
from scipy.stats import spearmanr
from skimage.filters import sobel
from skimage.metrics import structural_similarity as skimage_similarity
from sklearn.metrics import jaccard_score, roc_auc_score

from shared.evaluation.timing import Comparison
from shared.saliency.concentration import entropy, gini
from shared.saliency.edge_agreement import edge_agreement
from shared.saliency.map_measures import map_measures
from shared.saliency.map_similarity import rank_correlation, structural_similarity
from shared.saliency.overlap import TunedThreshold, iou_at
from shared.saliency.quality import localisation_auc

MAPS, SIDE, QUANTILE = 1000, 224, 0.9
#: milliseconds of one core in which everything is to be measured
LIMIT_MS = 15_000.0
LOOP = "one map after another"

Maps = NDArray[np.float32]
Measure = Callable[..., float]


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:  # noqa: ARG001
    """Yield each measure that a library has for one map, and all measures together against the time allowed."""
    maps, images, masks = phantoms(seed)
    other = maps + np.float32(0.5) * images
    ways: dict[str, tuple[Callable[[], object], Measure, tuple[np.ndarray, ...]]] = {
        "localisation AUC": (partial(localisation_auc, maps, masks), one_auc, (maps, masks)),
        "IoU": (lambda: iou_at(maps, masks, QUANTILE)["value"], one_iou, (maps, masks)),
        "Gini index": (partial(gini, maps), one_gini, (maps,)),
        "entropy": (partial(entropy, maps), one_entropy, (maps,)),
        "agreement with edges": (partial(edge_agreement, maps, images), one_edge_agreement, (maps, images)),
        "structural similarity": (partial(structural_similarity, maps, other), one_similarity, (maps, other)),
        "rank correlation": (partial(rank_correlation, maps, other), one_rank_correlation, (maps, other)),
    }
    for name, (subject, one, arrays) in ways.items():
        yield Comparison(name=name, subject=subject, rivals={LOOP: partial(each, one, *arrays)}, rounds=1)
    tuned = TunedThreshold(QUANTILE, 0.0, 1)
    everything = partial(map_measures, maps, images=images, masks=masks, background=~masks, tuned=tuned)
    yield Comparison(
        name=f"all of {MAPS} maps",
        subject=partial(milliseconds, everything),
        rivals={"the time allowed": partial(float, LIMIT_MS)},
        goals={"the time allowed": 1.0},
        unit="ms",
        rounds=1,
    )


def phantoms(seed: int) -> tuple[Maps, Maps, NDArray[np.bool_]]:
    """Return maps that point at their masks through noise, images, and masks of 1 to 12 % of the image."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    centre = rng.uniform(0.25 * SIDE, 0.75 * SIDE, (2, MAPS, 1, 1))
    radius = rng.uniform(0.06 * SIDE, 0.2 * SIDE, (MAPS, 1, 1))
    masks = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    images, maps = (rng.standard_normal((MAPS, SIDE, SIDE), dtype=np.float32) for _ in range(2))
    return maps + masks, images, masks


def each(one: Measure, *arrays: np.ndarray) -> NDArray[np.float64]:
    """Call a library's measure on each sample."""
    return np.array([one(*parts) for parts in zip(*arrays, strict=True)])


def one_auc(attribution: Maps, mask: NDArray[np.bool_]) -> float:
    """Return scikit-learn's area under the ROC curve."""
    return roc_auc_score(mask.ravel(), attribution.ravel())


def one_iou(attribution: Maps, mask: NDArray[np.bool_]) -> float:
    """Return scikit-learn's Jaccard index of what is above NumPy's quantile."""
    return jaccard_score(mask.ravel(), (attribution > np.quantile(attribution, QUANTILE)).ravel())


def one_gini(attribution: Maps) -> float:
    """Return the Gini index by its formula."""
    values = np.sort(np.abs(attribution).ravel().astype(np.float64))
    places = np.arange(1, len(values) + 1)
    return ((2 * places - len(values) - 1) * values).sum() / ((len(values) - 1) * values.sum())


def one_entropy(attribution: Maps) -> float:
    """Return SciPy's entropy over its greatest value."""
    values = np.abs(attribution).ravel().astype(np.float64)
    return scipy_entropy(values) / np.log(len(values))


def one_edge_agreement(attribution: Maps, image: Maps) -> float:
    """Return SciPy's rank correlation with scikit-image's edges."""
    return spearmanr(np.abs(attribution).ravel(), sobel(image.astype(np.float64)).ravel()).statistic


def one_similarity(first: Maps, second: Maps) -> float:
    """Return scikit-image's similarity of the positive and of the negative parts, by their share in the squares."""
    x, y = (part.astype(np.float64) / np.sqrt(np.mean(part.astype(np.float64) ** 2)) for part in (first, second))
    similarity = 0.0
    for colour in (1, -1):
        own, other = np.maximum(colour * x, 0), np.maximum(colour * y, 0)
        share = (np.mean(own**2) + np.mean(other**2)) / 2
        similarity += share * skimage_similarity(own, other, data_range=1.0)
    return similarity


def one_rank_correlation(first: Maps, second: Maps) -> float:
    """Return SciPy's rank correlation."""
    return spearmanr(first.ravel(), second.ravel()).statistic


def milliseconds(function: Callable[[], object]) -> float:
    """Return how long a call computes; what else the machine does meanwhile is not counted."""
    start = time.process_time()
    function()
    return 1000 * (time.process_time() - start)
