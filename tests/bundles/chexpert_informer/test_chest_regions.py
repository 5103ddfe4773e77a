"""Regions on the network's input: what is padding, what lies beyond lungs and findings, what is not known."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def original(scripts):
    """A film of 20 × 40 pixels in a square of 40: two lungs, a finding below them, the text in a corner."""

    def make(truth=True):
        bits = np.zeros((20, 40), np.uint8)
        bits[4:12, 5:15] |= 64
        bits[4:12, 25:35] |= 64
        bits[14:16, 10:12] |= 1 << 4
        bits[:2, :3] |= 32
        placement = scripts("placement").Placement((20, 40), 40)
        grey = np.zeros((20, 40), np.float32)
        return scripts("original_image").OriginalImage(grey, placement, bits if truth else None)

    return make


def test_background_is_beyond_the_hull_of_the_lungs_and_the_findings(scripts, original):
    film = original()
    regions = scripts("chest_regions").case_regions([film, film], [4, 1], 32)
    assert regions["background"].shape == (2, 40, 40)
    shown = slice(10, 30)  # rows that the film takes
    expected = np.ones((20, 40), bool)
    expected[4:12, 5:35] = False  # heart and mediastinum, between the lungs, are no background
    expected[14:16, 10:12] = False
    assert (regions["background"][0, shown] == expected).all()
    assert regions["background"][0, :10].all(), "padding is background"
    assert regions["cause"][0].sum() == 4
    assert not regions["cause"][1].any(), "cardiomegaly is not drawn"
    assert regions["shortcut"][0, 10:12, :3].all()
    assert regions["shortcut"].sum() == 2 * 6


def test_without_truth_only_the_padding_is_known(scripts, original):
    regions = scripts("chest_regions").case_regions([original(truth=False)], [0], 32)
    assert set(regions) == {"background"}
    assert regions["background"][0].sum() == 20 * 40


def test_a_film_without_truth_among_others_has_empty_masks(scripts, original):
    regions = scripts("chest_regions").case_regions([original(), original(truth=False)], [4, 4])
    assert set(regions) == {"background", "cause"}
    assert regions["cause"].any(axis=(1, 2)).tolist() == [True, False]
