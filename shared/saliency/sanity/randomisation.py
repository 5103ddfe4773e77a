"""Cascading randomisation: what is left of a map when layer after layer forgets what it has learnt."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from shared.saliency.sanity.explained import Explained, Explanations
from shared.saliency.sanity.layers import layers_from_logit, redraw
from shared.saliency.sanity.likeness import headline, likeness
from shared.saliency.sanity.result import SanityResult
from shared.saliency.sanity.shuffled import shuffled_likeness

__all__ = ["cascade_stages", "cascading_randomisation"]


def cascading_randomisation(
    explained: Explained,
    original: Explanations,
    *,
    stages: int | None = 3,
    draws: int = 4,
    limit: float = 0.5,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, SanityResult]:
    """Compare every method's maps with those of the network whose layers are randomised from the logit downwards.

    Adebayo et al. 2018 ("Sanity checks for saliency maps", section 3.1): layer by layer, the parameters are replaced by
    new draws (:func:`~shared.saliency.sanity.layers.redraw`), each stage on top of the one before; a method that
    explains what was learnt changes. It fails if its map is still alike where everything is randomised. Sixt et al.
    2020 ("When explanations lie") found methods that depend on the lower layers only: these change at the last stages.

    Two choices decide the numbers. Likeness is computed map by map and then averaged, over draws and over samples,
    because the mean of many maps is smoother than each. And what is judged is the rank correlation: structural
    similarity of maps that are noise, or nothing over large areas, says little (Binder et al. 2023, "Shortcomings of
    top-down randomization-based sanity checks"). It is given beside, as is the likeness of magnitudes, which for what
    multiplies by the image stays high because of the image. Neither is 0 for unrelated maps where the object sits in
    the middle of each image: the level is measured on maps of different samples
    (:func:`~shared.saliency.sanity.shuffled.shuffled_likeness`).

    The network that is explained is left as it is.

    Args:
        explained: samples, methods and network.
        original: explanations of the network itself, of ``explained.explain(explained.network)``.
        stages: number of stages at which maps are compared, evenly spaced over the layers, the last one with all of
            them randomised; ``None`` for every layer.
        draws: number of draws of the random weights with which the last stage, which is judged, is computed; the
            stages before it, which are shown, with the first of them.
        limit: likeness above which a method fails.
        groups: patient or donor of each sample, if samples belong together.
        seed: of the draws and of pairs of samples.

    Returns:
        By method.

    Raises:
        ValueError: if ``stages`` or ``draws`` is below 1.
    """
    if draws < 1 or (stages is not None and stages < 1):
        raise ValueError(f"stages and draws must be at least 1, found {stages} and {draws}")
    layers = layers_from_logit(explained.network, explained.forward)
    ends = cascade_stages(len(layers), stages)
    found: dict[str, list[list[dict[str, np.ndarray]]]] = {name: [[] for _ in ends] for name in original}
    last = len(ends) - 1
    # what a layer is redrawn to depends on its name and the seed: all at once is the end of the cascade
    steps = [(0, stage) for stage in range(last)] + [(draw, last) for draw in range(draws)]
    network, start = copy.deepcopy(explained.network), 0
    for draw, stage in tqdm(steps, desc="randomising", unit="network"):
        if draw > 0:
            network, start = copy.deepcopy(explained.network), 0
        redraw(network, layers[start : ends[stage]], seed=seed + draw)
        start = ends[stage]
        for name, maps in explained.explain(network).items():
            found[name][stage].append(likeness(original[name], maps, explained.signs[name]))
    told = [{"randomised": end, "layers": len(layers), "down_to": layers[end - 1] or "(the network)"} for end in ends]
    return {
        name: SanityResult(
            check="cascading_randomisation",
            method=name,
            headline=headline(explained.signs[name]),
            likeness={kind: _array(parts, kind, explained.count) for kind in parts[0][0]},
            stages=told,
            limit=limit,
            groups=groups,
            shuffled=shuffled_likeness(original[name], explained.signs[name], seed),
        )
        for name, parts in found.items()
    }


def _array(parts: Sequence[Sequence[Mapping[str, np.ndarray]]], kind: str, count: int) -> np.ndarray:
    """Return the likeness ``(S, D, B)``; NaN where a stage was not computed with a draw."""
    values = np.full((len(parts), len(parts[-1]), count), np.nan)
    for stage, draws in enumerate(parts):
        values[stage, : len(draws)] = [draw[kind] for draw in draws]
    return values


def cascade_stages(layers: int, stages: int | None) -> Sequence[int]:
    """Return how many layers are randomised at each stage, in ascending order, the last time all of them.

    Example:
        >>> cascade_stages(10, 3), cascade_stages(4, None), cascade_stages(2, 5)
        ([3, 7, 10], [1, 2, 3, 4], [1, 2])
    """
    if stages is None or stages >= layers:
        return list(range(1, layers + 1))
    return [round(layers * stage / stages) for stage in range(1, stages + 1)]
