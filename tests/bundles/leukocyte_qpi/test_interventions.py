"""Cells drawn again with their cause altered: nothing else changes, and only phantoms are drawn again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from shared.data.generated import generate_once

CLASSES = ("monocyte", "lymphocyte", "neutrophil", "eosinophil")


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")


@pytest.fixture
def phantom_data(tmp_path):
    """What preparing leaves of phantoms, without a single image."""
    generate_once(tmp_path / "recordings", lambda _: None, {"parameters": {"optics": {"pixel_size": 0.36}}})
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": CLASSES, "info": {"source": "recordings"}}))
    return tmp_path


@pytest.fixture
def altered(scripts, phantom_data):
    module = scripts("interventions")
    strengths = {"index_strengths": (0.0, 0.5, 1.0), "size_strengths": (0.6, 0.8, 1.0)}
    return module.Interventions(phantom_data, CLASSES, phantoms=3, **strengths)()


def test_every_cause_is_altered_in_two_ways(scripts, altered):
    module = scripts("interventions")
    assert [(part.of, part.label, part.target) for part in altered] == [
        (of, name, k) for of in (module.INDEX, module.SIZE) for k, name in enumerate(CLASSES)
    ]
    assert all(part.images.shape == (3, 3, 1, 50, 50) for part in altered)


def test_beyond_the_cause_and_its_blur_the_images_are_equal(altered):
    for part in altered:
        images, causes = part.images[:, :, 0].numpy(), part.causes
        for phantom in range(3):
            # the blur ends at four standard deviations: 1.3 pixels at the worst focus that is likely
            reached = ndimage.binary_dilation(causes[phantom].any(axis=0), iterations=8)
            assert (~reached).sum() > 300
            beyond = images[phantom][:, ~reached]
            assert (beyond == beyond[0]).all(), (part.of, part.label)
            changes = np.abs(np.diff(images[phantom], axis=0))
            assert (changes[:, causes[phantom].any(axis=0)].max(axis=1) > 0.02).all()


def test_dry_mass_grows_in_proportion_to_the_index(scripts, altered):
    index = [part for part in altered if part.of == scripts("interventions").INDEX]
    for part in index:
        total = part.images.double().sum(dim=(2, 3, 4)).numpy()  # phase integrated over the crop, (P, S)
        steps = np.diff(total, axis=1)
        assert (steps > 0).all()
        np.testing.assert_allclose(steps[:, 0], steps[:, 1], rtol=1e-3)


def test_size_shrinks_the_mask_and_full_strength_is_the_cell_as_it_was(scripts, altered):
    module = scripts("interventions")
    for part in altered:
        areas = part.causes.sum(axis=(2, 3))
        if part.of == module.SIZE:
            assert (np.diff(areas, axis=1) > 0).all()
        else:
            assert (areas == areas[:, :1]).all()
    halves = len(altered) // 2
    for first, second in zip(altered[:halves], altered[halves:], strict=True):
        assert (first.images[:, -1] == second.images[:, -1]).all()


def test_a_property_is_that_of_the_cause(scripts):
    module, cells, parameters = scripts("interventions"), scripts("phantom_cells"), scripts("phantom_parameters")
    for kind in CLASSES:
        cell = cells.sample_cell(kind, np.random.default_rng(0), parameters.PhantomParameters())
        faded = module.alter_cause(cell, module.INDEX, 0.25)
        name = "granule_index" if kind == "eosinophil" else "nucleus_index"
        assert getattr(faded, name) == 0.25 * getattr(cell, name)
        assert replace(faded, **{name: getattr(cell, name)}) == cell
        shrunk = module.alter_cause(cell, module.SIZE, 0.5)
        part = "granules" if kind == "eosinophil" else "nucleus"
        np.testing.assert_allclose(getattr(shrunk, part)[:, 3], getattr(cell, part)[:, 3] / 2)
        between = [np.ptp(getattr(c, part)[:, 0]) for c in (cell, shrunk)]
        assert between[1] == pytest.approx(between[0] * (1 if kind == "eosinophil" else 0.5))
    with pytest.raises(ValueError, match="between 0 and 1, found"):
        module.alter_cause(cell, module.SIZE, 1.5)
    with pytest.raises(ValueError, match="no property of a cause is called 'colour'"):
        module.alter_cause(cell, "colour", 0.5)


def test_only_phantoms_are_drawn_again(scripts, phantom_data, tmp_path_factory):
    module = scripts("interventions")
    assert module.Interventions(phantom_data, CLASSES, phantoms=0)() == []
    real = tmp_path_factory.mktemp("real")
    assert module.Interventions(real, CLASSES)() == [], "images without a datalist"
    (real / "datalist.json").write_text(json.dumps({"classes": CLASSES, "info": {"source": "recordings"}}))
    assert module.Interventions(real, CLASSES)() == [], "the recordings lie elsewhere"
    (real / "recordings").mkdir()
    assert module.Interventions(real, CLASSES)() == [], "the recordings were not generated"


def test_phantoms_have_the_parameters_of_the_data(scripts, tmp_path):
    changes = {"parameters": {"cells": {"monocyte": {"chromatin_contrast": 0.3}}}}
    generate_once(tmp_path / "recordings", lambda _: None, changes)
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": CLASSES, "info": {"source": "recordings"}}))
    found = scripts("interventions").phantom_parameters(tmp_path)
    assert found.cells["monocyte"].chromatin_contrast == 0.3
