"""Results of several networks put together: who is who, and whose alarms judge whom."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="module")
def settings(scripts):
    return scripts("study.settings").read_settings("quick")


@pytest.fixture(scope="module")
def workshop(scripts, make_doubts, settings):
    """Results of networks whose doubts differ by seed and fold."""
    arrays_of = scripts("study.doubting").arrays_of

    def result(run):
        validation, test = (make_doubts(n, 10 * run.seed + run.fold + shift) for n, shift in ((150, 0), (80, 500)))
        return arrays_of(validation, "validation") | arrays_of(test, "test")

    return SimpleNamespace(result=result, settings=settings)


def test_doubts_survive_being_arrays(scripts, make_doubts):
    doubting, table = scripts("study.doubting"), make_doubts(20)
    arrays = doubting.arrays_of(table, "test") | doubting.arrays_of(make_doubts(10, 1), "test_other")
    again = doubting.doubts_from({k: v for k, v in arrays.items() if not k.startswith("test_other")}, "test")
    assert list(again.distances) == list(table.distances)
    for name in ("id", "patient", "logits", "label", "tta_std", "mc_std"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
    np.testing.assert_array_equal(again.distances["lrp"], table.distances["lrp"])


def test_each_part_is_judged_by_its_own_network(scripts, workshop):
    Run, pooled = scripts("study.grid").Run, scripts("study.pooled")
    runs = [Run("phantoms", 3), Run("phantoms", 4)]
    found = pooled.pool_runs(workshop, runs)
    assert found.part.tolist() == [0] * 80 + [1] * 80
    for number, run in enumerate(runs):
        result = workshop.result(run)
        doubts_from = scripts("study.doubting").doubts_from
        fitted = pooled.fit_network(doubts_from(result, "validation"), workshop.settings)
        alone = fitted.applied(doubts_from(result, "test"))
        rows = found.part == number
        for alarm, flags in alone.flags.items():
            np.testing.assert_array_equal(found.applied.flags[alarm][rows], flags)
        np.testing.assert_array_equal(found.applied.prediction[rows], alone.prediction)
    first, second = (found.applied.flags["entropy"][found.part == number] for number in (0, 1))
    assert not np.array_equal(first, second)


def test_a_real_patient_is_one_in_all_repeats_and_phantom_patients_are_not(scripts, workshop):
    Run, pool_runs = scripts("study.grid").Run, scripts("study.pooled").pool_runs
    real = pool_runs(workshop, [Run("real", 0, 0), Run("real", 1, 0)]).applied
    assert len(np.unique(real.patient)) == 40
    assert len(np.unique(real.id)) == 160
    phantoms = pool_runs(workshop, [Run("phantoms", 0), Run("phantoms", 1)]).applied
    assert len(np.unique(phantoms.patient)) == 80
