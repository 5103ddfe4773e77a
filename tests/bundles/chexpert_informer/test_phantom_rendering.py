"""Films of the phantoms: densities, noise, text, and what they depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.bundles.chexpert_informer.phantom_films import SIZE, with_findings


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


def test_films_look_like_films(render, studies, bits):
    """Order of the densities: lung, abdomen; and the right lung is the larger."""
    sides = []
    for study in studies[:10]:
        film, truth = render(with_findings(study), 0, SIZE)
        lungs = bits.decode(truth, "lungs")
        rows, columns = np.nonzero(lungs)
        base = film[min(rows.max() + 6, SIZE - 1), int(columns.mean()) - 10 : int(columns.mean()) + 10]
        assert film[lungs].mean() < base.mean() - 40
        assert 40 < film[lungs].mean() < 170
        sides.append(lungs[:, : SIZE // 2].sum() - lungs[:, SIZE // 2 :].sum())
    assert np.mean(sides) > 0  # the heart lies on the patient's left, the film's right


def test_noise_is_that_of_the_photons(render, studies, parameters, scripts):
    """Two films of one chest that differ in their quantum noise only differ by √2 σ, with σ² ∝ 1 / photons."""
    modules = scripts("phantom_rendering")
    grid = scripts("phantom_grid").FilmGrid((200, 200), 0.2)
    flat = np.full(grid.shape, 2.0, np.float32)
    spread = []
    for photons in (1e5, 4e5):
        changed = replace(parameters, acquisition=replace(parameters.acquisition, photons=photons, unevenness=0.0))
        study = with_findings(studies[0])
        film = modules._expose(flat, study, grid, np.random.default_rng(0), np.random.default_rng(1), changed)
        tone = np.log(film / (255 - film))  # the logistic tone curve undone: attenuation over latitude
        latitude = np.random.default_rng(0)
        changed.acquisition.blur.draw(latitude)
        latitude.standard_normal((3, 3))
        changed.acquisition.centre.draw(latitude)
        spread.append(tone.std() * changed.acquisition.latitude.draw(latitude))
        assert spread[-1] == pytest.approx(np.sqrt(np.exp(2.0) / (photons * 0.04)), rel=0.03)
    assert spread[0] / spread[1] == pytest.approx(2, rel=0.02)


def test_the_text_is_where_its_mask_is(render, studies, bits):
    bare = with_findings(studies[3])
    without, truth = render(bare, 0, 320)
    assert not bits.decode(truth, "marker").any()
    film, truth = render(replace(bare, marker=True), 0, 320)
    mask = bits.decode(truth, "marker")
    changed = film != without
    assert changed.any()
    assert not (changed & ~mask).any()
    assert film[mask].max() > 200
    height, width = (np.ptp(axis) for axis in np.nonzero(mask))
    assert width > 3 * height


def test_drawing_depends_on_seed_and_study_only_and_size_changes_no_anatomy(render, studies, bits):
    study = studies[7]
    film, truth = render(study, 3, SIZE)
    again = render(study, 3, SIZE)
    np.testing.assert_array_equal(film, again[0])
    np.testing.assert_array_equal(truth, again[1])
    assert (film.shape, film.dtype, truth.dtype) == ((SIZE, SIZE), np.uint8, np.uint8)
    assert (render(study, 4, SIZE)[0] != film).mean() > 0.8
    assert (render(replace(study, patient=99), 3, SIZE)[0] != film).mean() > 0.8
    small = bits.decode(render(study, 3, SIZE // 2)[1], "lungs")
    large = bits.decode(truth, "lungs").reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3)) > 0.5
    assert 2 * (small & large).sum() / (small.sum() + large.sum()) > 0.97
