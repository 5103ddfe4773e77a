"""All sanity checks of all methods in one call: rows for the file, and the sentences of what failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from shared.saliency.sanity.explained import Explained, Explanations
from shared.saliency.sanity.random_logit import random_logit
from shared.saliency.sanity.randomisation import cascading_randomisation
from shared.saliency.sanity.result import SanityResult

__all__ = ["SanityChecks", "SanityReport"]


@dataclass(frozen=True)
class SanityReport:
    """What the checks found.

    Attributes:
        results: all results, method by method.
        original: the explanations of the network itself, which other measures can take instead of computing them again.
    """

    results: list[SanityResult]
    original: Explanations

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the interpretability file."""
        return [result.to_row() for result in self.results]

    def failed(self, method: str) -> list[str]:
        """Return what a method failed, in sentences: ``failed`` of its description in the interpretability file."""
        return [sentence for result in self.results if result.method == method and (sentence := result.failed())]


class SanityChecks:
    """Cascading randomisation and the random-logit test, with the settings of a config.

    They cost ``stages + draws`` explanations of each sample by each method, besides the original ones. The interval
    is Student's over draws, among others: with two, methods are undecided that four would decide.

    Args:
        stages: see :func:`~shared.saliency.sanity.randomisation.cascading_randomisation`.
        draws: see there.
        limit: likeness, from −1 to 1, above which a method fails.
        seed: of draws, other classes and pairs of samples.

    Raises:
        ValueError: if the limit is out of its range.
    """

    def __init__(self, stages: int | None = 3, draws: int = 4, limit: float = 0.5, seed: int = 0) -> None:
        if not -1 <= limit <= 1:
            raise ValueError(f"limit must be a likeness in [-1, 1], found {limit}")
        self.stages = stages
        self.draws = draws
        self.limit = limit
        self.seed = seed

    def run(
        self, explained: Explained, groups: ArrayLike | None = None, original: Explanations | None = None
    ) -> SanityReport:
        """Check every method.

        Args:
            explained: samples, methods and network; see :class:`~shared.saliency.sanity.explained.ExplainedImages` and
                :class:`~shared.saliency.sanity.explained.ExplainedBags`.
            groups: patient or donor of each sample ``(B,)``, if samples belong together.
            original: explanations of the network itself, if they are known already.
        """
        if original is None:
            original = explained.explain(explained.network)
        common: dict[str, Any] = {"limit": self.limit, "groups": groups, "seed": self.seed}
        cascades = cascading_randomisation(explained, original, stages=self.stages, draws=self.draws, **common)
        logits = random_logit(explained, original, **common)
        return SanityReport([result for name in original for result in (cascades[name], logits[name])], original)
