"""Lines against closed forms: their amount, their profile, their course."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from shared.phantoms.strokes import Strokes, curved_strokes, draw_strokes


def _line(angle=0.0, std=2.0, peak=0.7, length=60.0, centre=(50.0, 50.0)):
    x = centre[0] - length / 2 * np.cos(angle)
    y = centre[1] - length / 2 * np.sin(angle)
    return curved_strokes(x, y, angle, length, 0.0, (std, std), (peak, peak), points=240)


@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi / 2])
@pytest.mark.parametrize("std", [0.8, 2.0, 4.0])
def test_a_line_holds_its_amount_and_its_peak(angle, std):
    image = draw_strokes(_line(angle, std), (101, 101))
    assert image.sum() == pytest.approx(0.7 * std * np.sqrt(2 * np.pi) * 60, rel=0.01)
    # widths are rounded to steps of 1.25, and a thin line on the middle of a row is not spread by the pixels
    assert image[50, 50] == pytest.approx(0.7, rel=0.13 if std > 1 else 0.27)


def test_the_profile_is_gaussian_around_the_line():
    image = draw_strokes(_line(0.0, 3.0), (101, 101))
    profile = image[:, 50] / image[50, 50]
    rows = np.arange(101) - 50
    measured = np.sqrt((profile * rows**2).sum() / profile.sum())
    assert measured == pytest.approx(3.0, rel=0.13)
    np.testing.assert_allclose(profile, np.exp(-(rows**2) / (2 * measured**2)), atol=0.01)


def test_a_line_thinner_than_the_pixels_fades_and_keeps_its_amount():
    fine = draw_strokes(_line(0.3, 1.0), (101, 101))
    coarse = draw_strokes(_line(0.3, 1.0), (26, 26), pixel_size=4.0)
    assert coarse.sum() * 16 == pytest.approx(fine.sum(), rel=0.01)
    assert coarse.max() < 0.65 * fine.max()


def test_the_course_is_the_integral_of_the_direction():
    stroke = curved_strokes(1.0, -2.0, 0.4, 5.0, 1.3, (1.0, 1.0), (1.0, 1.0), points=200)
    for index in (0, 77, 199):
        end = (index + 0.5) / 200
        for values, function, start in ((stroke.x, np.cos, 1.0), (stroke.y, np.sin, -2.0)):
            expected = start + 5 * integrate.quad(lambda u, f=function: f(0.4 + 1.3 * u), 0, end)[0]
            assert values[index] == pytest.approx(expected, abs=2e-3)


def test_values_run_from_start_to_end_and_lines_are_joined_in_order():
    first = curved_strokes([0, 10], [0, 10], 0.0, [2.0, 4.0], 0.0, (1.0, 3.0), ([0.0, 1.0], [1.0, 1.0]), points=2)
    assert first.std.tolist() == [1.5, 2.5, 1.5, 2.5]
    assert first.peak.tolist() == [0.25, 0.75, 1.0, 1.0]
    assert first.step.tolist() == [1.0, 1.0, 2.0, 2.0]
    joined = Strokes.join([first, first])
    assert joined.x.tolist() == [0.5, 1.5, 11.0, 13.0] * 2


def test_nothing_and_what_lies_outside():
    assert draw_strokes(Strokes.join([]), (4, 5)).tolist() == np.zeros((4, 5)).tolist()
    assert draw_strokes(_line(centre=(500.0, 500.0)), (20, 20)).max() == 0
    half = draw_strokes(_line(centre=(0.0, 50.0)), (101, 101))
    assert half.sum() == pytest.approx(0.7 * 2 * np.sqrt(2 * np.pi) * 30, rel=0.03)
