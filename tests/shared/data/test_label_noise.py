"""Wrong labels: the exact rate, never the true label, each wrong class equally often."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.label_noise import corrupt_labels

RECORDS = [{"id": str(i), "label": i % 4} for i in range(4000)]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 1.0])
def test_exact_rate(rate):
    noisy = corrupt_labels(RECORDS, rate, 4, seed=1)
    changed = [(new, old) for new, old in zip(noisy, RECORDS, strict=True) if new["label"] != old["label"]]
    assert len(changed) == rate * len(RECORDS)
    assert all(new["true_label"] == old["label"] for new, old in changed)
    assert all(new["id"] == old["id"] for new, old in zip(noisy, RECORDS, strict=True))


def test_wrong_classes_are_uniform():
    noisy = corrupt_labels(RECORDS, 1.0, 4, seed=2)
    shift = np.bincount(
        [(new["label"] - old["label"]) % 4 for new, old in zip(noisy, RECORDS, strict=True)], minlength=4
    )
    assert shift[0] == 0
    # three equal shares of 4000: standard deviation sqrt(4000 * 1/3 * 2/3) = 30
    assert np.abs(shift[1:] - 4000 / 3).max() < 4 * 30


def test_seed_and_originals():
    before = [dict(record) for record in RECORDS]
    assert corrupt_labels(RECORDS, 0.3, 4, seed=5) == corrupt_labels(RECORDS, 0.3, 4, seed=5)
    assert corrupt_labels(RECORDS, 0.3, 4, seed=5) != corrupt_labels(RECORDS, 0.3, 4, seed=6)
    assert before == RECORDS


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"found 1\.5"):
        corrupt_labels(RECORDS, 1.5, 4, seed=0)
    with pytest.raises(ValueError, match="two classes"):
        corrupt_labels([{"label": 0}], 1.0, 1, seed=0)
