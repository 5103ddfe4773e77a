"""Bags that were watched while a network trained are shown again, and are no samples of the test section."""

from __future__ import annotations

from shared.saliency.case_selection import BagChoice, watched_records


def test_watched_bags_are_shown_first_and_not_measured():
    own = [{"id": f"test_{number}", "label": number % 2} for number in range(8)]
    validation = [{"id": f"validation_{number}", "label": number % 2} for number in range(6)]
    records = own + watched_records(validation, per_class=1, seed=0, besides=own)
    assert len(records) == 10
    choice = BagChoice(samples_per_class=1, wrong_samples=1, measured_samples=20)
    predicted = [record["label"] for record in records]
    predicted[3] = 0
    shown, measured = choice(records, predicted)
    assert shown[:2] == [8, 9]
    assert measured == [0, 1, 2, 4, 5, 6, 7]
    # they do not change the choice of the others
    alone_shown, alone_measured = choice(own, predicted[:8])
    assert shown[2:] == alone_shown
    assert measured == alone_measured
    assert 3 in shown
