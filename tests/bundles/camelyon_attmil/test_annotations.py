"""ASAP's XML, holes and exclusions, lesions and their sizes; tile truth against counted pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.draw import polygon2mask

from shared.data.errors import DataError

REAL_ANNOTATIONS = Path(__file__).resolve().parents[4] / "shared" / "data" / "camelyon16_annotations"


@pytest.fixture(scope="module")
def annotations(scripts):
    return scripts("annotations")


@pytest.fixture(scope="module")
def tile_truth(scripts):
    return scripts("tile_truth")


def _square(x, y, side):
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], dtype=float)


def _circle(x, y, radius, number=400):
    angle = np.linspace(0, 2 * np.pi, number, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def _outline(annotations, vertices, group="_0", tumour=True):
    return annotations.Outline("name", group, vertices, tumour)


def test_exclusions_are_no_tumour_and_overlaps_count_once(annotations):
    annotation = annotations.Annotation(
        (
            _outline(annotations, _square(0, 0, 10)),
            _outline(annotations, _square(5, 0, 10), "_1"),
            _outline(annotations, _square(2, 2, 4), "_2", tumour=False),
        )
    )
    assert annotation.tumour.area == pytest.approx(150 - 16)


def test_a_line_that_crosses_itself_keeps_both_sides(annotations):
    bow = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], dtype=float)
    assert annotations.Annotation((_outline(annotations, bow),)).tumour.area == pytest.approx(50)


@pytest.mark.parametrize(("extent", "kind"), [(2010, "macro"), (1990, "micro"), (210, "micro"), (190, "itc")])
def test_lesions_are_told_apart_by_extent(annotations, extent, kind):
    circle = _circle(9000, 9000, extent / 2 / 0.25)
    (lesion,) = annotations.Annotation((_outline(annotations, circle),)).lesions(0.25)
    assert lesion.kind == kind
    assert lesion.extent_um == pytest.approx(extent, rel=1e-4)
    assert lesion.area_um2 == pytest.approx(np.pi * extent**2 / 4, rel=1e-3)


def test_lesions_are_connected_pieces_the_greatest_first(annotations):
    outlines = [_outline(annotations, _square(x, 0, side)) for x, side in ((0, 2), (10, 5), (14, 4), (40, 3))]
    lesions = annotations.Annotation(tuple(outlines)).lesions(2.0)
    assert [lesion.area_um2 for lesion in lesions] == pytest.approx([4 * (25 + 12), 36, 16])


def test_round_trip(annotations, tmp_path):
    annotation = annotations.Annotation(
        (
            _outline(annotations, _square(0.25, 3.5, 10.75), "Tumor"),
            _outline(annotations, _square(2, 5, 3), "Exclusion", tumour=False),
        )
    )
    annotations.write_asap(tmp_path / "slide.xml", annotation)
    again = annotations.read_asap(tmp_path / "slide.xml")
    assert [(o.group, o.tumour) for o in again.outlines] == [("Tumor", True), ("Exclusion", False)]
    for before, after in zip(annotation.outlines, again.outlines, strict=True):
        np.testing.assert_allclose(after.vertices, before.vertices)


def _write(path, inner):
    path.write_text(f"<ASAP_Annotations><Annotations>{inner}</Annotations></ASAP_Annotations>")
    return path


def _element(points, group="_0", name="_0"):
    inner = "".join(f'<Coordinate Order="{order}" X="{x}" Y="{y}"/>' for order, x, y in points)
    attributes = f'Name="{name}" Type="Polygon" PartOfGroup="{group}"'
    return f"<Annotation {attributes}><Coordinates>{inner}</Coordinates></Annotation>"


def test_points_come_in_their_order_and_with_decimal_commas(annotations, tmp_path):
    path = _write(tmp_path / "a.xml", _element([(2, "4,5", "4"), (0, 0, 0), (1, "4,5", 0), (10, 0, 4)]))
    (outline,) = annotations.read_asap(path).outlines
    assert outline.vertices.tolist() == [[0, 0], [4.5, 0], [4.5, 4], [0, 4]]


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("", "no outline of tumour"),
        (_element([(0, 0, 0), (1, 1, 1)]), "has 2 point"),
        (_element([(0, 0, 0), (1, 1, 0), (2, 1, 1)], "_2"), "no outline of tumour"),
        (_element([(0, 0, 0), (1, 1, 0), (2, 1, 1)], "stroma"), "group 'stroma'"),
        (_element([(0, "x", 0), (1, 1, 0), (2, 1, 1)]), "no number"),
        (_element([(0, 0, 0), (1, "nan", 0), (2, 9, 9), (3, 0, 9)]), r"point at x, y = \[nan, 0.0\]"),
        (_element([(0, 0, 0), (1, 9, "1e999"), (2, 9, 9), (3, 0, 9)]), r"point at x, y = \[9.0, inf\]"),
        ("<Annotation", "not valid XML"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(annotations, tmp_path, inner, message):
    with pytest.raises(DataError, match=message):
        annotations.read_asap(_write(tmp_path / "a.xml", inner))


def test_missing_file(annotations, tmp_path):
    with pytest.raises(DataError, match="no such annotation"):
        annotations.read_asap(tmp_path / "none.xml")


@pytest.mark.skipif(not REAL_ANNOTATIONS.is_dir(), reason=f"{REAL_ANNOTATIONS} is not there")
def test_the_real_annotations(annotations):
    first, third = (annotations.read_asap(REAL_ANNOTATIONS / f"tumor_00{number}.xml") for number in (1, 3))
    assert len(first.outlines) == 2
    assert [outline.tumour for outline in third.outlines] == [True] * 13 + [False]
    alone = annotations.Annotation(third.outlines[:-1]).tumour
    assert third.tumour.area < alone.area
    # the excluded piece is taken out, and nothing else
    excluded = annotations.Annotation((replace(third.outlines[-1], tumour=True),)).tumour
    assert third.tumour.area == pytest.approx(alone.area - alone.intersection(excluded).area)


def test_tile_shares_equal_counted_pixels(annotations, tile_truth):
    # a circle with a hole, rasterised at an eighth of a pixel
    annotation = annotations.Annotation(
        (
            _outline(annotations, _circle(50, 45, 33)),
            _outline(annotations, _circle(60, 45, 12), "_2", tumour=False),
        )
    )
    coords = np.array([[x, y] for y in range(0, 90, 9) for x in range(0, 100, 9)])
    fine = 8
    mask = polygon2mask((100 * fine, 110 * fine), _circle(45, 50, 33) * fine - 0.5)
    mask &= ~polygon2mask((100 * fine, 110 * fine), _circle(45, 60, 12) * fine - 0.5)
    expected = [mask[y * fine : (y + 9) * fine, x * fine : (x + 9) * fine].mean() for x, y in coords]
    found = tile_truth.tumour_shares(coords, 9, annotation, 1)
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert found.dtype == np.float32
    assert {0.0, 1.0} <= set(found.tolist())


def test_tile_shares_of_slides_without_or_with_partial_annotation(annotations, tile_truth):
    coords = np.array([[0, 0], [100, 0]])
    assert tile_truth.tumour_shares(coords, 10, None, 0).tolist() == [0, 0]
    for label in (1, None):
        assert np.isnan(tile_truth.tumour_shares(coords, 10, None, label)).all()
    partial = annotations.Annotation((_outline(annotations, _square(5, 0, 10)),))
    found = tile_truth.tumour_shares(coords, 10, partial, 1, partly_annotated=True)
    assert found[0] == pytest.approx(0.5)
    assert np.isnan(found[1])
