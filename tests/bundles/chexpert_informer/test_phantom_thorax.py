"""The drawn thorax: its heart is as wide as planned, and its diaphragm follows a collapsed lung."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bundles.chexpert_informer.phantom_films import with_findings


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.mark.parametrize("extent", [0.0, 0.1, 0.24, 0.25, 0.5, 1.0])
def test_a_heart_is_large_if_it_takes_more_than_half_of_the_chest(scripts, studies, parameters, extent):
    """The heart's widest rows and the chest's are measured on the drawn outlines."""
    plan_findings = scripts("phantom_plan").plan_findings
    sample_thorax, grid = (
        scripts("phantom_thorax").sample_thorax,
        scripts("phantom_grid").FilmGrid((700, 700), 0.05, (0, 14)),
    )
    x, y = grid.coordinates()
    for study in studies[:5]:
        study = with_findings(study, cardiomegaly=extent)
        plan = plan_findings(study, np.random.default_rng(0), parameters.reports.threshold)
        person, film = np.random.default_rng(study.patient), np.random.default_rng(1)
        thorax = sample_thorax(study, person, film, plan.heart_ratio, plan.lifts, plan.shift, parameters)
        heart, cage = ((x[shape > 0].max() - x[shape > 0].min()) for shape in (thorax.heart(x, y), thorax.cage(x, y)))
        ratio = heart / cage
        assert ratio == pytest.approx(thorax.heart_ratio, abs=0.004)
        assert (thorax.heart_ratio >= 0.5) == study.present[1]
        if extent == 1.0:
            assert ratio > 0.63


def test_a_collapsed_lung_draws_its_diaphragm_up(scripts, studies, parameters):
    module, plan_findings = scripts("phantom_thorax"), scripts("phantom_plan").plan_findings
    for study in studies[:20]:
        domes = []
        for extent in (0.0, 0.9):
            changed = with_findings(study, atelectasis=extent)
            plan = plan_findings(changed, np.random.default_rng(study.patient), parameters.reports.threshold)
            rngs = np.random.default_rng(study.patient), np.random.default_rng(2)
            thorax = module.sample_thorax(changed, *rngs, plan.heart_ratio, plan.lifts, plan.shift, parameters)
            domes.append(np.array(thorax.domes))
            side = plan.collapsed[0]
        lift = domes[0] - domes[1]
        assert lift[int(side > 0)] > 0.7  # cm
        assert lift[int(side < 0)] == 0
        assert plan.shift * side >= 0  # and the heart towards it
