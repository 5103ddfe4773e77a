"""Whether the values of a bag's instances stay what they are when its features get a little noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from shared.saliency.noise import check_noise
from shared.saliency.sanity.explained import Explained, ExplainedBags, Explanations
from shared.saliency.sanity.likeness import likeness

__all__ = ["bag_noise_stability", "noisy_bags"]


def bag_noise_stability(
    explained: Explained, original: Explanations, noisy: Iterable[Explained]
) -> dict[str, NDArray[np.float64]]:
    """Return the mean rank correlation of each bag's values and those of noisy copies of it, by method.

    ``1/D Σ_d ρ(φ(X), φ(X + ε_d))``: for maps, see :func:`shared.saliency.noise_stability.noise_stability`; instances
    have no neighbours, so that their order is compared.

    Args:
        explained: bags, methods and network.
        original: explanations of its bags.
        noisy: D times the same bags, network and methods, each time with other noise, as :func:`noisy_bags` makes them.

    Returns:
        ``(B,)`` each; copies whose values are all the same are left out, and NaN is where all are.
    """
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in original}
    for copy in noisy:
        for name, values in copy.explain(copy.network).items():
            found[name].append(likeness(original[name], values, explained.signs[name])["rank_correlation"])
    result = {}
    for name, parts in found.items():
        similarity = np.array(parts)  # (D, B)
        known = np.isfinite(similarity)
        total, number = np.where(known, similarity, 0.0).sum(axis=0), known.sum(axis=0)
        result[name] = np.divide(total, number, out=np.full(similarity.shape[1], np.nan), where=number > 0)
    return result


def noisy_bags(
    explained: ExplainedBags, noise_level: float = 0.02, draws: int = 2, seed: int = 0
) -> Iterator[ExplainedBags]:
    """Yield the same bags with noise ``noise_level · (max X − min X) · z``, z standard normal.

    Args:
        explained: bags, methods and network.
        noise_level: standard deviation of the noise as a fraction of each bag's range of values.
        draws: number of noisy copies D.
        seed: of the noise, which is drawn on the CPU.

    Raises:
        ValueError: if a number is out of its range.
    """
    check_noise(draws, noise_level, chunk_size=1)
    sizes: list[int] = explained.lengths.tolist()
    bags = explained.features.split(sizes)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(draws):
        copies = [
            bag + noise_level * (bag.max() - bag.min()) * torch.randn(bag.shape, generator=generator).to(bag)
            for bag in bags
        ]
        yield ExplainedBags(explained.methods, copies)
