"""The three verdicts of a sanity check."""

from __future__ import annotations

import pytest

from shared.evaluation.interpretability.verdict import sanity_verdict


@pytest.mark.parametrize(
    ("value", "ci95", "chance", "verdict"),
    [
        (0.2, [0.1, 0.3], None, "passed"),
        (0.63, [0.46, 0.78], None, "undecided"),
        (0.4, [0.2, 0.55], None, "undecided"),
        (0.4, [0.2, 0.5], None, "undecided"),  # below the limit means below it
        (0.9, [0.8, 0.95], None, "failed"),
        (0.9, [0.8, 0.95], 0.3, "failed"),
        (0.7, [0.6, 0.8], 0.65, "undecided"),  # no more alike than maps of different images
        (0.3, [0.2, 0.4], 0.65, "passed"),
        (1.0, None, 0.1, "failed"),
        (-1.0, None, 0.0, "undecided"),  # without an interval nothing is shown to pass
        (0.2, [None, None], None, "undecided"),
    ],
)
def test_only_what_is_shown_is_a_verdict(value, ci95, chance, verdict):
    assert sanity_verdict(value, ci95, chance) == verdict


def test_the_limit_is_the_callers():
    assert sanity_verdict(0.2, [0.15, 0.25], limit=0.1) == "failed"
    assert sanity_verdict(0.2, [0.15, 0.25], limit=0.3) == "passed"
