"""Signs of the findings: where their masks are, the stronger the larger the extent, in the shape of each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from tests.bundles.chexpert_informer.conftest import FINDINGS
from tests.bundles.chexpert_informer.phantom_films import SIZE, film_pair, with_findings


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.mark.parametrize("finding", ["atelectasis", "consolidation", "edema", "pleural_effusion"])
def test_a_strong_finding_brightens_the_lung_where_its_mask_is_and_little_elsewhere(render, studies, bits, finding):
    inside, outside, lungs_part = [], [], []
    for study in studies[:6]:
        healthy, ill, truth = film_pair(render, study, finding, 0.8)
        mask, lungs = bits.decode(truth, finding), bits.decode(truth, "lungs")
        assert mask.any()
        difference = ill - healthy
        inside.append(difference[mask].mean())
        outside.append(np.abs(difference[lungs & ~ndimage.binary_dilation(mask, iterations=8)]).mean())
        lungs_part.append(mask.mean())
        assert not any(bits.decode(truth, name).any() for name in FINDINGS if name != finding)
    assert np.mean(inside) > 15
    assert np.mean(inside) > 3 * np.mean(outside)
    assert 0.005 < np.mean(lungs_part) < 0.5


@pytest.mark.parametrize("finding", FINDINGS)
def test_signs_grow_with_the_extent(render, studies, bits, finding):
    """The change of the film, on average over patients, is the larger the larger the extent, from the subtle on."""
    changes = []
    for extent in (0.1, 0.3, 0.6, 1.0):
        pairs = [film_pair(render, study, finding, extent, size=80) for study in studies[:6]]
        changes.append(np.mean([np.abs(ill - healthy).mean() for healthy, ill, _ in pairs]))
        has_mask = [bits.decode(truth, finding).any() for _, _, truth in pairs]
        assert all(has_mask) if extent >= 0.25 else not any(has_mask)
    assert changes == sorted(changes)
    assert changes[-1] > 1.5 * changes[1]


def test_an_effusion_fills_the_angle_and_rises_at_the_wall(scripts, render, studies, bits):
    rises, depths = [], []
    for study in studies[:12]:
        _, truth = render(with_findings(study, pleural_effusion=0.6), 0, SIZE)
        fluid = ndimage.label(bits.decode(truth, "pleural_effusion"))
        sizes = np.bincount(fluid[0].ravel())[1:]
        mask = fluid[0] == 1 + sizes.argmax()
        columns = np.flatnonzero(mask.any(axis=0))
        top = np.array([np.flatnonzero(mask[:, column])[0] for column in columns])
        left_side = columns.mean() > SIZE / 2
        wall, middle = (top[-8:], top[len(top) // 2]) if left_side else (top[:8], top[len(top) // 2])
        rises.append(middle - wall.min())
        depths.append(np.flatnonzero(mask.any(axis=1)).mean() / SIZE)
    assert np.mean(rises) > 3  # the meniscus: pixels by which the wall's end lies higher
    assert np.mean(depths) > 0.6  # at the base


def test_edema_is_on_both_sides_around_the_hila(render, studies, bits):
    for study in studies[:8]:
        _, truth = render(with_findings(study, edema=0.8), 0, SIZE)
        columns = np.flatnonzero(bits.decode(truth, "edema"))
        share = (columns % SIZE < SIZE / 2).mean()
        assert 0.25 < share < 0.75


def test_consolidation_shows_dark_bronchi_in_a_bright_patch(scripts, studies, parameters):
    """Along the bronchi the share of air taken is smaller than beside them."""
    module, grid = scripts("phantom_findings"), scripts("phantom_grid").FilmGrid((300, 300), 0.12, (0, 14))
    thorax = scripts("phantom_thorax").sample_thorax
    plan = scripts("phantom_plan").plan_findings
    study = with_findings(studies[0], consolidation=0.9)
    rng = np.random.default_rng(5)
    layout = plan(study, rng, 0.25)
    chest = thorax(study, np.random.default_rng(0), rng, None, (0, 0), 0.0, parameters)
    flat = np.zeros(grid.shape, np.float32)
    share = module.draw_opacities(study, layout, chest, grid, grid.coordinates(), flat, rng)["consolidation"]
    core = ndimage.binary_erosion(share > 0.25, iterations=6)
    filled = ndimage.grey_closing(share, 9)
    assert core.sum() > 500
    assert 0.02 < (share[core] < 0.75 * filled[core]).mean() < 0.5
    edges = np.abs(np.gradient(filled)[0])
    assert np.quantile(edges[(filled > 0.1) & (filled < 0.5)], 0.5) < 0.15  # soft


def test_one_number_tells_a_finding_but_not_without_error(render, studies, bits):
    """Subtle and strong films mix: the mean brightness of the lungs is no diagnosis."""
    chosen = studies[:150]
    brightness, present = [], []
    for study in chosen:
        film, truth = render(study, 0, 64)
        brightness.append(film[bits.decode(truth, "lungs")].mean())
        present.append(study.present)
    for index in range(5):
        assert 0.25 < roc_auc_score(np.array(present)[:, index], brightness) < 0.85
