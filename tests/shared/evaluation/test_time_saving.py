"""The seed's table of time saved from its formula, and the time that real decisions save, counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.proportion import wilson_interval
from shared.evaluation.time_saving import assumed_time_saving, measure_time_saving, weighted_time_saving


def clock(seconds):
    return f"{int(seconds // 60)}min {round(seconds % 60)}s"


@pytest.mark.parametrize(
    ("error_rate", "human", "saved", "share"),
    [(0.05, "3min 39s", "69min 27s", 0.95), (0.10, "7min 19s", "65min 47s", 0.90), (0.20, "14min 37s", None, 0.80)],
)
def test_the_seeds_table(error_rate, human, saved, share):
    found = assumed_time_saving(error_rate, cases=129, seconds=34)
    assert clock(found.human) == human
    # its last row prints 58min 39s beside 14min 37s; the two do not add up to 73min 6s, the formula's do
    assert clock(found.saved) == (saved or "58min 29s")
    assert found.saved == pytest.approx(share * 129 * 34)


def test_the_seeds_first_row_is_the_person_alone_and_not_the_formula():
    assert clock(129 * 34) == "73min 6s"
    assert assumed_time_saving(1.0, 129) == (129 * 34, 0)
    assert assumed_time_saving(0.0, 129) == (0, 129 * 34)


def test_a_perfect_ranking_saves_what_the_seed_assumes():
    wrong = np.arange(200) < 30
    found = measure_time_saving(~wrong, wrong, cases=200, resamples=20)
    assert found["hours_saved"]["value"] == pytest.approx(assumed_time_saving(0.15, 200).saved / 3600)
    assert found["n_wrong"] == 0


def test_time_is_that_of_a_count_case_by_case():
    rng = np.random.default_rng(0)
    accepted, wrong = rng.random(70) < 0.6, rng.random(70) < 0.2
    seconds = sum(34.0 for taken in accepted if taken)
    later = sum(50.0 for taken, false in zip(accepted, wrong, strict=True) if taken and false)
    found = measure_time_saving(accepted, wrong, correction=50, cases=1000, resamples=400)
    per_thousand = 1000 / 70 / 3600
    assert found["hours_saved"]["value"] == pytest.approx(seconds * per_thousand)
    assert found["hours_after_correction"]["value"] == pytest.approx((seconds - later) * per_thousand)
    assert found["wrong_accepted"]["value"] == pytest.approx(1000 / 70 * (accepted & wrong).sum())
    assert (found["n"], found["n_accepted"], found["n_wrong"]) == (70, accepted.sum(), (accepted & wrong).sum())
    low, high = wilson_interval(found["n_wrong"], found["n_accepted"])
    assert found["error_rate"]["ci95"] == [low, high]
    for name in ("accepted_share", "wrong_accepted", "hours_saved", "hours_after_correction"):
        assert found[name]["ci95"][0] < found[name]["value"] < found[name]["ci95"][1]


def test_every_resample_is_that_of_the_drawn_cases():
    rng = np.random.default_rng(1)
    accepted, wrong = rng.random(25) < 0.7, rng.random(25) < 0.3
    weights = np.concatenate(list(bootstrap_weights(25, 30, seed=2, groups=np.arange(25) // 3)))
    fast = weighted_time_saving(weights, accepted, wrong, seconds=40, correction=10, cases=90)
    for row, values in zip(weights, fast, strict=True):
        drawn = np.repeat(np.arange(25), row.astype(int))
        taken, false = accepted[drawn], (accepted & wrong)[drawn]
        hours = [90 / 3600 * np.mean(part) for part in (40.0 * taken, 40.0 * taken - 10.0 * false)]
        np.testing.assert_allclose(values, [taken.mean(), 90 * false.mean(), *hours], rtol=1e-12)


def test_whole_patients_widen_the_interval():
    accepted = np.repeat([1, 1, 0, 1, 0, 0, 1, 0], 20)
    single, whole = (
        measure_time_saving(accepted, np.zeros(160), groups=groups)["hours_saved"]["ci95"]
        for groups in (None, np.repeat(np.arange(8), 20))
    )
    assert whole[1] - whole[0] > 2 * (single[1] - single[0])


def test_nothing_accepted_saves_nothing_and_has_no_error_rate():
    found = measure_time_saving(np.zeros(9), np.ones(9), resamples=20)
    assert np.isnan(found["error_rate"]["value"])
    assert found["error_rate"]["reason"] == "nothing was accepted"
    assert found["hours_saved"] == {"value": 0.0, "ci95": None, "reason": "all resamples agree"}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 2], [0, 1]), {}, "accepted must be boolean or 0 and 1, found 2"),
        (([1, 0], [0]), {}, "one shape"),
        (([], []), {}, "with a case at least"),
        (([1], [0]), {"seconds": -1}, "times of 0 or more"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        measure_time_saving(*arguments, **options)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], found 5"):
        assumed_time_saving(5, 129)
    with pytest.raises(ValueError, match="must not be negative"):
        assumed_time_saving(0.5, -1)
