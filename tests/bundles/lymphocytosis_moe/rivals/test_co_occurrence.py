from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import graycoprops

from tests.oracles import co_occurrence as oracle

# 0°, 45°, 90° and 135° as row and column steps; both orders of a pair count
STEPS = [(0, 1), (1, 1), (1, 0), (1, -1)]


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.co_occurrence")


@pytest.fixture(scope="module")
def region():
    generator = np.random.default_rng(0)
    smooth = np.cumsum(generator.integers(-9, 10, (18, 23)), axis=1) + 120
    return smooth.clip(0, 255).astype(np.uint8), generator.random((18, 23)) < 0.8


@pytest.mark.parametrize("levels", [8, 32])
def test_pairs_are_counted_as_one_by_one(module, region, levels):
    matrices = module.co_occurrence_matrices(*region, levels)
    expected = [oracle.matrix(*region, levels, *step) for step in STEPS]
    # scikit-image's 45° goes down and right
    np.testing.assert_allclose(matrices, expected)


def test_a_direction_without_a_pair_is_zero(module):
    mask = np.zeros((4, 6), bool)
    mask[1] = True
    matrices = module.co_occurrence_matrices(np.full((4, 6), 100, np.uint8), mask)
    assert [bool(matrix.any()) for matrix in matrices] == [True, False, False, False]
    assert matrices[0].sum() == 1


@pytest.mark.parametrize("levels", [8, 32])
def test_statistics_are_the_published_definitions(module, region, levels):
    matrices = module.co_occurrence_matrices(*region, levels)
    found = module.co_occurrence_statistics(matrices)
    assert found.shape == (4, len(module.STATISTICS))
    for row, matrix in zip(found, matrices, strict=True):
        expected = oracle.statistics(matrix)
        for name, value in zip(module.STATISTICS, row, strict=True):
            assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


def test_one_grey_level_has_finite_statistics(module):
    matrices = module.co_occurrence_matrices(np.full((5, 5), 200, np.uint8), np.ones((5, 5), bool))
    found = dict(zip(module.STATISTICS, module.co_occurrence_statistics(matrices)[0], strict=True))
    assert np.isfinite(list(found.values())).all()
    assert found["correlation_1"] == found["energy"] == found["homogeneity_1"] == 1
    assert found["entropy"] == found["contrast"] == found["information_measure_of_correlation_1"] == 0


def test_scikit_image_agrees_where_it_has_the_statistic(module, region):
    matrices = module.co_occurrence_matrices(*region)
    found = dict(zip(module.STATISTICS, module.co_occurrence_statistics(matrices).T, strict=True))
    theirs = np.moveaxis(matrices, 0, -1)[:, :, None]
    for ours, name in {
        "contrast": "contrast",
        "dissimilarity": "dissimilarity",
        "homogeneity_2": "homogeneity",
        "energy": "ASM",
        "correlation_1": "correlation",
        "sum_of_squares": "variance",
        "entropy": "entropy",
    }.items():
        np.testing.assert_allclose(found[ours], graycoprops(theirs, name)[0], rtol=1e-9, err_msg=ours)


def test_mahotas_agrees_on_haralicks_thirteen(module, region):
    """Its entropies are in bits, its second information measure mixes bits into a formula made for nats."""
    mahotas = pytest.importorskip("mahotas", reason="mahotas is not installed")
    channel, mask = region
    levels = 32
    quantised = np.where(mask, channel.astype(int) * levels // 256 + 1, 0).astype(np.uint8)
    theirs = mahotas.features.haralick(quantised, ignore_zeros=True, use_x_minus_y_variance=True)
    found = dict(
        zip(module.STATISTICS, module.co_occurrence_statistics(module.co_occurrence_matrices(*region)).T, strict=True)
    )
    names = {
        "energy": 0,
        "contrast": 1,
        "correlation_2": 2,
        "sum_of_squares": 3,
        "homogeneity_2": 4,
        "sum_average": 5,
        "sum_variance": 6,
        "sum_entropy": 7,
        "entropy": 8,
        "difference_variance": 9,
        "difference_entropy": 10,
        "information_measure_of_correlation_1": 11,
    }
    for name, position in names.items():
        bits = np.log(2) if name.endswith("entropy") else 1
        np.testing.assert_allclose(found[name], theirs[:, position] * bits, rtol=1e-6, err_msg=name)
    theirs_in_nats = np.sqrt(1 - (1 - theirs[:, 12] ** 2) ** np.log(2))
    np.testing.assert_allclose(found["information_measure_of_correlation_2"], theirs_in_nats, rtol=1e-6)
