"""The random-logit test: does a map depend on the class that it explains?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from shared.saliency.sanity.explained import Explained, Explanations
from shared.saliency.sanity.likeness import headline, likeness
from shared.saliency.sanity.result import SanityResult

__all__ = ["random_logit"]


def random_logit(
    explained: Explained,
    original: Explanations,
    *,
    limit: float = 0.5,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, SanityResult]:
    """Compare every method's maps of the explained class with those of another class of the same sample.

    Sixt, Granz and Landgraf 2020 ("When explanations lie: why many modified BP attributions fail", section 4): a map
    that stays the same when another logit is explained does not explain the class. The other class is drawn for each
    sample; of one logit it is the logit's opposite (:meth:`Explained.explain_other`), whose explanation is the first
    one's negative for every method that is linear in the logit: −1.

    Args:
        explained: samples, methods and network.
        original: explanations of the network itself, of ``explained.explain(explained.network)``.
        limit: likeness above which a method fails.
        groups: patient or donor of each sample, if samples belong together.
        seed: of the other classes and of the intervals.

    Returns:
        By method.
    """
    return {
        name: SanityResult(
            check="random_logit",
            method=name,
            headline=headline(explained.signs[name]),
            likeness={
                kind: np.asarray(values)[None, None]
                for kind, values in likeness(original[name], maps, explained.signs[name]).items()
            },
            stages=[{"logit": "another"}],
            limit=limit,
            groups=groups,
            seed=seed,
        )
        for name, maps in explained.explain_other(seed).items()
    }
