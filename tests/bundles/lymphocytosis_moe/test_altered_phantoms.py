"""Phantom patients of whom one thing is altered: outside of it every pixel stays, inside it what shall follow does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

SIZE, CELLS = 64, 6
REACH = 3  # pixels: four standard deviations of the largest blur, and a soft edge


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def altered(scripts):
    """By what is altered: the cause, and one patient at all its strengths."""
    module = scripts("altered_phantoms")
    found = {}
    for cause in module.CELL_CAUSES:
        (patient,) = module.drawn_patients(1, CELLS, cause.label, seed=3)
        found[cause.title] = cause, module.alter_cells(patient, cause, 3, SIZE)
    return found


def test_outside_of_what_is_altered_all_strengths_are_the_same_picture(altered):
    for title, (_, patient) in altered.items():
        extent = patient.extent.any(axis=(0,))
        near = ndimage.binary_dilation(extent, np.ones((1, 2 * REACH + 1, 2 * REACH + 1)))
        outside = np.where(near[None, ..., None], 0, patient.images)
        assert near.mean() < 0.5
        assert (outside == outside[:1]).all(), title
        # each step changes each cell
        changed = (patient.images[1:] != patient.images[:-1]).any(axis=(2, 3, 4))
        assert changed.all(), title


def test_nucleoli_become_paler_and_granules_darker_and_nuclei_larger(altered):
    def brightness(title):
        _, patient = altered[title]
        region = patient.cause.any(axis=0)
        assert region.any(axis=(1, 2)).all()
        return (patient.images.mean(axis=-1) * region).sum(axis=(2, 3)) / region.sum(axis=(1, 2))  # (S, N)

    assert (np.diff(brightness("paleness of the nucleoli"), axis=0) > 0).all()
    assert (np.diff(brightness("stain of the granules"), axis=0) < 0).all()
    cause, patient = altered["radius of the nucleus"]
    radius = np.sqrt(patient.cause.sum(axis=(2, 3)) / np.pi)
    assert (np.diff(radius, axis=0) > 0).all()
    np.testing.assert_allclose((radius / radius[2]).mean(axis=1)[:4], cause.strengths[:4], atol=0.03)
    # the largest may be cut where its cell ends
    assert 1.1 < (radius / radius[2]).mean(axis=1)[4] < 1.2


def test_the_strongest_granules_are_those_of_the_cell_as_it_is_drawn_otherwise(scripts, altered):
    module, images = scripts("altered_phantoms"), scripts("phantom_images")
    cause, patient = altered["stain of the granules"]
    (drawn,) = module.drawn_patients(1, CELLS, cause.label, seed=3)
    plain, _, kinds = images.draw_patient(replace(drawn, shares=(0, 0, 1)), 3, image_size=SIZE)
    assert (kinds == 2).all()
    np.testing.assert_array_equal(patient.images[-1], plain)


def test_share_of_abnormal_cells_replaces_cells_and_leaves_the_others(scripts):
    module = scripts("altered_phantoms")
    (patient,) = module.drawn_patients(1, 8, 1, seed=0)
    altered = module.alter_share(patient, 0, 48)
    assert altered.cause.sum(axis=1).tolist() == [0, 1, 2, 3, 4]
    same = (altered.images[1:] == altered.images[:-1]).all(axis=(2, 3, 4))
    assert ((~same).sum(axis=1) == 1).all()
    assert (altered.images[:, 4:] == altered.images[:1, 4:]).all()
    assert altered.attributes.tolist() == pytest.approx([patient.age, patient.lymphocyte_count])


def test_patients_are_of_the_class_and_their_cells_drawn_at_once(scripts):
    module = scripts("altered_phantoms")
    assert {patient.label for patient in module.drawn_patients(4, 8, 0, seed=1)} == {0}
    with pytest.raises(ValueError, match="2 to 32 cells, found 33"):
        module.drawn_patients(1, 33, 0, seed=1)
