"""The random-logit test: does a map depend on the class that it explains?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from shared.saliency.sanity.explained import Explained, Explanations
from shared.saliency.sanity.likeness import headline, likeness
from shared.saliency.sanity.result import SanityResult
from shared.saliency.sanity.shuffled import shuffled_likeness

__all__ = ["ONE_LOGIT", "random_logit"]

ONE_LOGIT = (
    "one logit: there is no other class to explain, and the opposite of the logit has the negative map of every method "
    "that is linear in it by construction"
)


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
    sample. Of one logit there is no other: the opposite of the logit has the negative map for every method that is
    linear in it, so that the test could not fail, and it is not made.

    Args:
        explained: samples, methods and network.
        original: explanations of the network itself, of ``explained.explain(explained.network)``.
        limit: likeness above which a method fails.
        groups: patient or donor of each sample, if samples belong together.
        seed: of the other classes and of pairs of samples.

    Returns:
        By method.
    """
    others = explained.explain_other(seed)
    if others is None:
        return {
            name: SanityResult("random_logit", name, headline(explained.signs[name]), {}, unmeasured=ONE_LOGIT)
            for name in original
        }
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
            shuffled=shuffled_likeness(original[name], explained.signs[name], seed),
        )
        for name, maps in others.items()
    }
