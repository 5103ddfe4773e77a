"""What a sanity check says of a method: passed, failed, or that it cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = ["LIMIT", "SANITY_CHECKS", "Verdict", "sanity_verdict"]

Verdict = Literal["passed", "failed", "undecided"]

#: Measures that are sanity checks: likeness of maps that should have nothing in common.
SANITY_CHECKS = ("cascading_randomisation", "random_logit")

#: Likeness above which a method fails, where no other limit is stated.
LIMIT = 0.5


def sanity_verdict(
    value: float, ci95: Sequence[float | None] | None, chance: float | None = None, limit: float = LIMIT
) -> Verdict:
    """Judge the likeness of maps that should have nothing in common.

    A check is passed only if the whole interval is below the limit. It is failed only if the whole interval is above
    the limit *and* above the level of maps of different images: where all maps of a method are alike because what
    they show sits in the middle of each image, likeness says nothing against the method, and nothing for it. All else
    is undecided. Without an interval nothing is shown to be below the limit; a value above both is a failure still.

    Args:
        value: likeness, from −1 to 1.
        ci95: its interval, if there is one.
        chance: mean likeness of the method's maps of different images, if it is known.
        limit: the limit.

    Example:
        >>> sanity_verdict(0.63, [0.46, 0.78]), sanity_verdict(0.63, [0.58, 0.7]), sanity_verdict(0.1, [0.0, 0.3])
        ('undecided', 'failed', 'passed')
        >>> sanity_verdict(0.63, [0.58, 0.7], chance=0.6)
        'undecided'
    """
    low = high = None
    if ci95 is not None:
        low, high = ci95
    if high is not None and high < limit:
        return "passed"
    least = value if low is None else low
    return "failed" if least > limit and (chance is None or least > chance) else "undecided"
