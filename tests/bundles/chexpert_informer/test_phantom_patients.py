"""Patients of the phantoms: how findings occur together, what reports say of them, whom the text marks."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tests.bundles.chexpert_informer.conftest import FINDINGS


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


def test_the_joint_distribution_has_the_given_prevalences_and_odds(patients, parameters):
    table = patients.co_occurrence(parameters)
    assert table.sum() == pytest.approx(1)
    for index, name in enumerate(FINDINGS):
        assert table @ patients.COMBINATIONS[:, index] == pytest.approx(parameters.kinds[name].prevalence, abs=1e-6)
    for i, j in combinations(range(5), 2):
        # the odds ratio of two findings, whatever the other three are
        for others in ((0, 0, 0), (1, 0, 1)):
            rest = iter(others)
            base = [next(rest) if k not in (i, j) else 0 for k in range(5)]

            def cell(a, b, base=base, i=i, j=j):
                values = list(base)
                values[i], values[j] = a, b
                return table[(values == patients.COMBINATIONS).all(axis=1)].item()

            odds = cell(1, 1) * cell(0, 0) / (cell(1, 0) * cell(0, 1))
            assert np.log(odds) == pytest.approx(parameters.log_odds[f"{FINDINGS[i]}+{FINDINGS[j]}"], abs=1e-9)


def test_findings_occur_and_co_occur_as_they_shall(studies, patients, parameters):
    present = np.array([study.present for study in studies])
    table = patients.co_occurrence(parameters)
    observed = np.array([(present == row).all(axis=1).mean() for row in patients.COMBINATIONS.astype(bool)])
    error = np.sqrt(table * (1 - table) / len(present))
    assert (np.abs(observed - table) < 4 * error).all()
    together = np.corrcoef(present.T)
    assert together[1, 3] > 0.15  # a large heart and edema
    assert together[0, 4] > 0.12  # a collapsed lung and an effusion


def test_a_finding_is_present_from_the_threshold_on_and_extents_have_no_gap(studies, parameters):
    extents, present = (np.array([getattr(study, name) for study in studies]) for name in ("extents", "present"))
    threshold = parameters.reports.threshold
    np.testing.assert_array_equal(present, extents >= threshold)
    assert extents.max() <= 1
    near = (np.abs(extents - threshold) < 0.03).sum(axis=0)
    assert (near > 30).all()  # subtle on both sides
    assert ((extents > 0) & ~present).any(axis=0).all()


def test_reports_doubt_near_the_threshold(studies, parameters):
    train = [study for study in studies if study.table == "train"]
    codes, extents = (np.array([getattr(study, name) for study in train]) for name in ("codes", "extents"))
    shown, threshold = extents > 0, parameters.reports.threshold
    near = shown & (np.abs(extents - threshold) < 0.05)
    assert (codes[near] == -1).mean() == pytest.approx(parameters.reports.doubt, abs=0.06)
    assert (codes[extents > 0.8] == -1).mean() < 0.01
    assert (codes[extents > 0.8] == 1).mean() > 0.97
    assert not (codes[~shown] == -1).any()
    assert (codes[~shown] == 0).mean() == pytest.approx(parameters.reports.explicit, abs=0.01)
    assert np.isnan(codes[~shown]).mean() == pytest.approx(1 - parameters.reports.explicit, abs=0.01)
    assert 0.05 < (codes == -1).mean() < 0.2
    tests = [study for study in studies if study.table == "test"]
    assert all(study.codes == tuple(map(float, study.present)) for study in tests)


def test_the_text_says_nothing_unless_it_shall(patients, studies, parameters):
    tied = FINDINGS.index(parameters.shortcut.finding)
    shortcut = patients.sample_studies({"train": 3000, "test": 1500}, seed=1, variant="shortcut")
    # as text, since a blank code (NaN) equals nothing
    assert [str(replace(study, marker=False)) for study in shortcut] == [
        str(replace(study, marker=False)) for study in studies
    ]
    present = np.array([study.present[tied] for study in studies])
    marker, tied_marker = (np.array([study.marker for study in one]) for one in (studies, shortcut))
    assert marker.mean() == pytest.approx(tied_marker.mean(), abs=0.03)
    error = np.sqrt(marker.mean() * (1 - marker.mean()) * (1 / present.sum() + 1 / (~present).sum()))
    assert abs(marker[present].mean() - marker[~present].mean()) < 3 * error
    assert tied_marker[present].mean() == pytest.approx(parameters.shortcut.with_finding, abs=0.03)
    assert tied_marker[~present].mean() == pytest.approx(parameters.shortcut.without_finding, abs=0.03)
