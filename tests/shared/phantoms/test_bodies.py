"""Unions of spheres against dense sampling along the light's path."""

import numpy as np
import pytest
from scipy import ndimage

from shared.phantoms.bodies import (
    arc_chain,
    inside_spheres,
    lobed_chain,
    rotate_spheres,
    sphere_union_thickness,
    tumble,
)


@pytest.mark.parametrize("seed", range(4))
def test_thickness_of_a_union_equals_dense_sampling(seed):
    rng = np.random.default_rng(seed)
    spheres = np.column_stack([rng.uniform(-2, 2, (7, 3)), rng.uniform(0.3, 1.2, 7)])
    z = np.linspace(-4, 4, 8001)
    for y, x in rng.uniform(-2.5, 2.5, (25, 2)):
        points = np.column_stack([np.full_like(z, x), np.full_like(z, y), z])
        expected = inside_spheres(points, spheres).sum() * (z[1] - z[0])
        assert sphere_union_thickness(y, x, spheres) == pytest.approx(expected, abs=0.02)


def test_inside_spheres_is_the_plain_distance_test():
    rng = np.random.default_rng(0)
    points, spheres = rng.uniform(-2, 2, (40, 3)), np.array([[0, 0, 0, 1.0], [1, 1, 0, 0.7]])
    expected = [any(sum((p - s[:3]) ** 2) < s[3] ** 2 for s in spheres) for p in points]
    assert inside_spheres(points, spheres).tolist() == expected
    assert 0 < sum(expected) < 40


def test_no_spheres_no_thickness():
    assert sphere_union_thickness(np.zeros((2, 1)), np.zeros((1, 3)), np.empty((0, 4))).tolist() == [[0.0] * 3] * 2


def test_arc_chain_lies_on_the_arc_with_its_centroid_at_the_origin():
    spheres = arc_chain(2.0, np.pi / 2, [0.5, 0.8, 0.5])
    np.testing.assert_allclose(np.average(spheres[:, :3], axis=0, weights=spheres[:, 3] ** 3), 0, atol=1e-12)
    assert np.linalg.norm(spheres[0, :3] - spheres[2, :3]) == pytest.approx(2 * 2.0 * np.sin(np.pi / 4))


@pytest.mark.parametrize("lobes", [2, 3, 5])
def test_lobes_are_apart_and_joined_by_filaments(lobes):
    spheres = lobed_chain(np.random.default_rng(1), np.full(lobes, 0.25), arc_radius=0.6, gap=0.4, jitter=0.0)
    assert spheres.shape == (lobes + 4 * (lobes - 1), 4)
    grid = np.linspace(-1.5, 1.5, 600)
    joined = sphere_union_thickness(grid[:, None], grid, spheres) > 0
    bare = sphere_union_thickness(grid[:, None], grid, spheres[:lobes]) > 0
    assert ndimage.label(joined)[1] == 1
    assert ndimage.label(bare)[1] == lobes


def test_tumbling_is_a_rotation_with_bounded_tilt():
    rng = np.random.default_rng(0)
    tilts = []
    for _ in range(300):
        rotation = tumble(rng, 0.5)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        tilts.append(np.arccos(np.clip(rotation[2, 2], -1, 1)))
    assert 0.45 < max(tilts) <= 0.5 + 1e-9


def test_rotation_keeps_radii_and_distances():
    spheres = np.array([[1, 0, 0, 0.3], [0, 2, 0, 0.4]])
    turned = rotate_spheres(spheres, tumble(np.random.default_rng(3), 1.0))
    assert turned[:, 3].tolist() == [0.3, 0.4]
    assert np.linalg.norm(turned[0, :3] - turned[1, :3]) == pytest.approx(np.sqrt(5))


def test_beside_all_spheres_the_thickness_is_0_and_not_nearly_0():
    """The gaps between the middles of spheres that a ray does not meet add up but for rounding."""
    grid = np.linspace(-1.2, 1.2, 60)
    y, x = grid[:, None], grid
    for seed in range(30):
        rng = np.random.default_rng(seed)
        spheres = rotate_spheres(arc_chain(0.4, 3.0, rng.uniform(0.2, 0.4, 9)), tumble(rng, 0.5))
        met = (np.hypot(x - spheres[:, 0, None, None], y - spheres[:, 1, None, None]) < spheres[:, 3, None, None]).any(
            0
        )
        assert ((sphere_union_thickness(y, x, spheres) > 0) == met).all()
