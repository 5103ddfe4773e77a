"""Films drawn again with one finding altered: nothing else changes, and only phantoms are drawn again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from shared.data.generated import generate_once

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
SIZE = 96


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("interventions")


@pytest.fixture(scope="module")
def studies(scripts):
    return scripts("phantom_patients").sample_studies({"test": 3}, seed=5)


def assert_local(films, reach, level=1):
    """Beyond what the finding reaches films differ by rounding at most; within, they do by more."""
    change = np.abs(np.diff(films.astype(int), axis=0)).max(axis=0)
    beyond = ~ndimage.binary_dilation(reach, iterations=3)
    assert beyond.sum() > 1000
    assert change[beyond].max() <= level
    assert change[reach].max() > 8


@pytest.mark.parametrize("finding", ["consolidation", "atelectasis", "pleural_effusion", "edema"])
def test_a_finding_grows_denser_where_it_is_and_nowhere_else(scripts, module, studies, finding, monkeypatch):
    drawn = []
    rendering = scripts("phantom_rendering")
    draw = rendering.draw_opacities

    def note_shares(study, plan, thorax, grid, coordinates, texture, rng):
        shares = draw(study, plan, thorax, grid, coordinates, texture, rng)
        drawn.append((shares, thorax.cage(*coordinates) > 0))
        return shares

    monkeypatch.setattr(rendering, "draw_opacities", note_shares)
    for study in studies:
        films, causes = module.altered_films(study, finding, module.OPACITY, (0, 0.5, 1), seed=5, image_size=SIZE)
        assert causes.any(axis=(1, 2)).all()
        assert (causes == causes[0]).all()
        shares, inside_chest = drawn[-1]
        assert set(shares) == {finding}
        assert_local(films, (shares[finding] > 1e-3) & inside_chest)
        inside = films[:, causes[0]].mean(axis=1)
        assert (np.diff(inside) > 0).all(), "dense is bright"


def test_the_heart_alone_grows(module, studies):
    ratios = (0.42, 0.52, 0.62)
    for study in studies:
        films, causes = module.altered_films(study, "cardiomegaly", module.WIDTH, ratios, seed=5, image_size=SIZE)
        widths = np.array([np.ptp(np.flatnonzero(cause.any(axis=0))) + 1 for cause in causes])
        np.testing.assert_allclose(widths / widths[1], np.array(ratios) / ratios[1], atol=0.06)
        assert_local(films, causes.any(axis=0), level=2)


def test_the_fluid_alone_rises(module, studies):
    for study in studies:
        films, causes = module.altered_films(
            study, "pleural_effusion", module.DEPTH, (0.3, 0.6, 0.9), seed=5, image_size=SIZE
        )
        areas = causes.sum(axis=(1, 2))
        assert (np.diff(areas) > 0).all()
        upper = slice(0, SIZE // 4)  # no fluid there, but for the veil of a lying patient
        if study.view == "PA":
            assert np.abs(np.diff(films[:, upper].astype(int), axis=0)).max() <= 1


def test_what_a_finding_has_not_cannot_be_altered(module, studies):
    with pytest.raises(ValueError, match="'width of the heart' cannot be altered in edema"):
        module.altered_films(studies[0], "edema", module.WIDTH, (0.4, 0.5))


def test_every_finding_is_altered_on_the_input_of_the_network(module, tmp_path):
    folder = tmp_path / "chests"
    generate_once(folder, lambda _: None, {"image_size": SIZE, "parameters": None})
    records = [{"image": str(folder / "train" / "film.jpg")}]
    options = {"opacity_strengths": (0.2, 1), "heart_ratios": (0.4, 0.6), "fluid_extents": (0.3, 0.9)}
    altered = module.Interventions(records, FINDINGS, 48, phantoms=2, **options)()
    assert [(part.label, part.target, part.of) for part in altered] == [
        ("atelectasis", 0, module.OPACITY),
        ("consolidation", 2, module.OPACITY),
        ("edema", 3, module.OPACITY),
        ("pleural_effusion", 4, module.OPACITY),
        ("cardiomegaly", 1, module.WIDTH),
        ("pleural_effusion", 4, module.DEPTH),
    ]
    for part in altered:
        assert part.images.shape == (2, 2, 1, 48, 48)
        assert 0 <= float(part.images.min()) < float(part.images.max()) <= 1
        assert part.causes.any(axis=(2, 3)).all()


def test_only_phantoms_are_drawn_again(module, tmp_path):
    assert module.Interventions([{"image": str(tmp_path / "film.jpg")}], FINDINGS, 48)() == []
    assert module.Interventions([], FINDINGS, 48)() == []
