"""The ratio of drawn lungs is known, and that of phantoms follows the width that their hearts are drawn with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


def lungs(right, left):
    """Two lungs of 100 columns from column 10, with a heart that reaches so far to both sides of the midline."""
    mask = np.zeros((90, 120), bool)
    mask[10:80, 10:110] = True
    mask[10:80, 57:63] = False  # the spine
    mask[50:80, 60 - right : 60 + left] = False
    return mask


@pytest.mark.parametrize(("right", "left"), [(10, 30), (20, 35), (5, 8)])
def test_a_drawn_heart_has_the_ratio_of_its_width(scripts, right, left):
    assert scripts("heart_ratio").heart_to_chest_ratio(lungs(right, left)) == pytest.approx((right + left) / 100)


def test_below_a_dome_the_lungs_do_not_count(scripts):
    mask = lungs(10, 30)
    mask[70:80, 25:95] = False  # what is left of the lungs lies beside the domes
    assert scripts("heart_ratio").heart_to_chest_ratio(mask) == pytest.approx(0.4)


def test_without_two_lungs_there_is_no_ratio(scripts):
    ratio = scripts("heart_ratio").heart_to_chest_ratio
    assert np.isnan(ratio(np.zeros((9, 9), bool)))


def test_the_ratio_of_phantoms_is_that_of_their_hearts(scripts):
    patients, render = scripts("phantom_patients"), scripts("phantom_rendering").render_study
    drawn = np.linspace(0.40, 0.64, 12)
    # a collapsed lobe draws heart and diaphragm aside, which is no matter of the heart's width
    studies = [replace(study, extents=(0.0,) * 5) for study in patients.sample_studies({"test": 12}, seed=2)]
    found = [
        scripts("heart_ratio").heart_to_chest_ratio((render(study, 2, 128, heart_ratio=ratio)[1] >> 6 & 1) > 0)
        for study, ratio in zip(studies, drawn, strict=True)
    ]
    assert spearmanr(found, drawn).statistic > 0.97
    # where the heart's border is faint the film shows lung
    assert np.abs(np.array(found) / drawn - 0.83).max() < 0.05
