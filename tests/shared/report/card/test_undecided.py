"""Sanity checks that decide nothing are named in the card's answers."""

from __future__ import annotations

import pytest

from shared.report.card.answers import explanations
from shared.report.card.undecided import undecided_checks
from tests.shared.report.run_cards import element_row, entry, run


@pytest.mark.parametrize(
    ("likeness", "undecided"),
    [((0.1, 0.0, 0.3), ()), ((0.63, 0.46, 0.78), ("Random logit",)), ((0.9, 0.8, 1.0), ())],
)
def test_what_is_neither_passed_nor_failed_is_undecided(likeness, undecided):
    rows = [
        element_row("random_logit", "lime", entry(*likeness)),
        element_row("noise_stability", "lime", entry(0.5, 0.4, 0.6)),
        element_row("cascading_randomisation", "lime", entry(None)),
    ]
    card = run(rows=rows).card
    assert undecided_checks(card, "lime") == undecided
    assert undecided_checks(card, "grad_cam") == ()
    assert ("Undecided in a sanity check: lime." in explanations(card)) == bool(undecided)


def test_the_limit_and_the_level_of_different_images_are_those_of_the_row():
    numbers = entry(0.63, 0.56, 0.7)
    for more, undecided in (
        ({"parameters": {"limit": 0.6}}, True),
        ({"parameters": {"limit": 0.5}}, False),
        ({"chance": 0.6}, True),
        ({"chance": 0.5}, False),
    ):
        card = run(rows=[element_row("random_logit", "lime", numbers | more)]).card
        assert bool(undecided_checks(card, "lime")) == undecided
