"""Areas of the fast ranking against the shared, slower functions, resample by resample."""

from __future__ import annotations

import numpy as np
import pytest

from shared.calibration.selective import weighted_aurc
from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.classification import weighted_roc_auc


@pytest.mark.parametrize("decimals", [1, 12])
def test_areas_equal_those_of_the_shared_functions(scripts, decimals):
    module = scripts("alarms.doubt_ranking")
    rng = np.random.default_rng(0)
    doubt, wrong = rng.normal(size=90).round(decimals), rng.random(90) < 0.2
    weights = np.concatenate(list(bootstrap_weights(90, 40, groups=np.arange(90) // 3)))
    found = module.rank_errors(weights.astype(np.float32), doubt, wrong)
    np.testing.assert_allclose(found.error_auc, weighted_roc_auc(weights, doubt, wrong), rtol=1e-12)
    np.testing.assert_allclose(found.aurc, weighted_aurc(weights, -doubt, wrong), rtol=1e-6)
    area = module.ranked_auc(weights.astype(np.float32), doubt, wrong)
    np.testing.assert_allclose(area, weighted_roc_auc(weights, doubt, wrong), rtol=1e-12)


def test_what_has_no_doubt_is_left_to_a_person_last(scripts):
    module = scripts("alarms.doubt_ranking")
    weights = np.ones((1, 4), dtype=np.float32)
    wrong = np.array([True, False, False, True])
    found = module.rank_errors(weights, np.array([np.nan, 0.1, 0.2, np.nan]), wrong)
    # both errors come first: risks 1, 2/3, 1/2 at coverages 1/2, 3/4, 1
    assert found.aurc[0] == pytest.approx(0.5 * 1 + 0.25 * 2 / 3 + 0.25 * 0.5)
    assert found.error_auc[0] == 0


def test_one_kind_only_has_no_area(scripts):
    module = scripts("alarms.doubt_ranking")
    weights = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]], dtype=np.float32)
    found = module.rank_errors(weights, np.array([0.1, 0.2, 0.3]), np.array([True, False, False]))
    np.testing.assert_array_equal(np.isnan(found.error_auc), [False, True, True])
    np.testing.assert_array_equal(found.aurc[:2], [0.75, 0.0])
    assert np.isnan(found.aurc[2])
