"""Tumour outlines that pathologists drew in ASAP, with their holes and exclusions, and the lesions they make."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from shared.data.errors import DataError
from shared.data.files import atomic_path

__all__ = ["LESION_KINDS", "Annotation", "Lesion", "Outline", "check_place", "read_asap", "write_asap"]

#: groups of CAMELYON16 (and of ASAP's template for it), in lower case
TUMOUR_GROUPS = ("_0", "_1", "tumor", "tumour", "metastases")
EXCLUSION_GROUPS = ("_2", "exclusion", "normal")

#: kinds of lesions by their greatest extent in µm (TNM: macrometastases above 2 mm, isolated cells up to 0.2 mm)
LESION_KINDS = {"macro": 2000.0, "micro": 200.0, "itc": 0.0}


@dataclass(frozen=True)
class Outline:
    """One drawn outline.

    Args:
        name: as it was named.
        group: as its group was named.
        vertices: ``(V, 2)`` as x, y in pixels of level 0, V ≥ 3, not closed.
        tumour: whether it encloses tumour; otherwise what it encloses is none.
    """

    name: str
    group: str
    vertices: NDArray[np.float64]
    tumour: bool = True


@dataclass(frozen=True)
class Lesion:
    """A connected piece of tumour.

    Args:
        area_um2: in µm².
        extent_um: its greatest extent, µm.
        outline: in pixels of level 0.
    """

    area_um2: float
    extent_um: float
    outline: BaseGeometry

    @property
    def kind(self) -> str:
        """``macro``, ``micro`` or ``itc`` (isolated tumour cells), by extent."""
        return next(kind for kind, least in LESION_KINDS.items() if self.extent_um > least)


@dataclass(frozen=True)
class Annotation:
    """All outlines of a slide.

    Args:
        outlines: in the order of the file.
        ignored: what of the file is no area, with the reason.
    """

    outlines: tuple[Outline, ...]
    ignored: tuple[str, ...] = ()

    @property
    def tumour(self) -> BaseGeometry:
        """The area of tumour: all tumour outlines together, less all exclusions, in pixels of level 0."""
        tumour = [_area(outline) for outline in self.outlines if outline.tumour]
        others = [_area(outline) for outline in self.outlines if not outline.tumour]
        return shapely.difference(shapely.union_all(tumour), shapely.union_all(others))

    def lesions(self, mpp: float) -> list[Lesion]:
        """Return the connected pieces of tumour, the greatest first.

        Args:
            mpp: µm per pixel of level 0.
        """
        pieces = [piece for piece in shapely.get_parts(self.tumour) if piece.area > 0]
        lesions = [Lesion(piece.area * mpp**2, _extent(piece) * mpp, piece) for piece in pieces]
        return sorted(lesions, key=lambda lesion: -lesion.area_um2)


def check_place(annotation: Annotation, size: tuple[int, int], file: str | os.PathLike[str]) -> None:
    """Refuse an annotation of another slide, or of another level.

    Args:
        annotation: its outlines in pixels of level 0.
        size: width and height of the slide in pixels of level 0.
        file: of the annotation, for the message.

    Raises:
        DataError: if an outline of tumour reaches beyond the slide.
    """
    left, top, right, bottom = annotation.tumour.bounds
    if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
        raise DataError(
            f"{file}: outlines from x {left:.0f}, y {top:.0f} to x {right:.0f}, y {bottom:.0f}, on a slide of "
            f"{size[0]} x {size[1]} pixels; expected pixels of level 0 of the same slide"
        )


def read_asap(
    path: str | os.PathLike[str],
    tumour_groups: Sequence[str] = TUMOUR_GROUPS,
    exclusion_groups: Sequence[str] = EXCLUSION_GROUPS,
) -> Annotation:
    """Read the XML file that ASAP writes.

    Args:
        path: the file.
        tumour_groups: names of groups whose outlines enclose tumour, in lower case.
        exclusion_groups: of groups whose outlines enclose something else, also within tumour.

    Raises:
        DataError: if the file is missing, is no such XML, has a group of another name or no outline of tumour.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such annotation; put it there or take it out of the table")
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise DataError(f"{file}: not valid XML ({error}); export it from ASAP again") from error
    outlines, ignored = [], []
    for number, element in enumerate(root.iter("Annotation")):
        name, group = element.get("Name", str(number)), element.get("PartOfGroup", "None")
        kind = group.lower()
        if kind not in (*tumour_groups, *exclusion_groups):
            raise DataError(
                f"{file}: annotation '{name}' is of group '{group}', expected one of {', '.join(tumour_groups)} "
                f"(tumour) or {', '.join(exclusion_groups)} (not tumour); rename the group, or add its name to "
                "tumour_groups or exclusion_groups"
            )
        vertices = _vertices(element, f"{file}: annotation '{name}'")
        if len(np.unique(vertices, axis=0)) < 3:
            ignored.append(f"annotation '{name}' has {len(vertices)} point(s), an area needs three")
            continue
        outlines.append(Outline(name, group, vertices, kind in tumour_groups))
    if not any(outline.tumour for outline in outlines):
        what = "; ".join(ignored) or f"{len(outlines)} outline(s) in all"
        raise DataError(f"{file}: no outline of tumour ({what}); draw it, or take the annotation out of the table")
    return Annotation(tuple(outlines), tuple(ignored))


def write_asap(path: str | os.PathLike[str], annotation: Annotation, groups: Mapping[str, str] | None = None) -> None:
    """Write an annotation as the XML file that ASAP reads, atomically.

    Args:
        path: the file.
        annotation: its outlines.
        groups: that the file lists, with the colour of each as ``#RRGGBB``; None lists those of the outlines.

    Raises:
        ValueError: if an outline is of a group that is not listed; ASAP refuses the whole file then.
    """
    found = dict.fromkeys(outline.group for outline in annotation.outlines)
    if groups is not None and (missing := [name for name in found if name not in groups]):
        raise ValueError(f"{path}: outlines of the group(s) {', '.join(missing)}, listed are {', '.join(groups)}")
    root = ElementTree.Element("ASAP_Annotations")
    annotations = ElementTree.SubElement(root, "Annotations")
    for outline in annotation.outlines:
        element = ElementTree.SubElement(
            annotations,
            "Annotation",
            Name=outline.name,
            Type="Polygon",
            PartOfGroup=outline.group,
            Color="#F4FA58" if groups is None else groups[outline.group],
        )
        coordinates = ElementTree.SubElement(element, "Coordinates")
        for order, (x, y) in enumerate(outline.vertices):
            ElementTree.SubElement(coordinates, "Coordinate", Order=str(order), X=f"{x:.2f}", Y=f"{y:.2f}")
    listed = ElementTree.SubElement(root, "AnnotationGroups")
    for group, colour in (dict.fromkeys(found, "#64FE2E") if groups is None else groups).items():
        element = ElementTree.SubElement(listed, "Group", Name=group, PartOfGroup="None", Color=colour)
        ElementTree.SubElement(element, "Attributes")
    ElementTree.indent(root, "\t")
    with atomic_path(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _vertices(element: ElementTree.Element, what: str) -> NDArray[np.float64]:
    points = list(element.iter("Coordinate"))
    try:
        ordered = sorted(points, key=lambda point: float(point.attrib["Order"]))
        # some tools write a comma for the decimal point
        rows = [[float(point.attrib[axis].replace(",", ".")) for axis in "XY"] for point in ordered]
    except (KeyError, ValueError) as error:
        raise DataError(f"{what} has a point without order, X or Y, or with no number there ({error})") from error
    vertices = np.array(rows, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(vertices).all():
        # a point that is nowhere would be left out, and the outline be another one
        raise DataError(
            f"{what} has a point at x, y = {vertices[~np.isfinite(vertices).all(axis=1)][0].tolist()}; "
            "expected numbers of pixels; draw the outline again"
        )
    return vertices


def _area(outline: Outline) -> BaseGeometry:
    """Return the enclosed area; where a line drawn by hand crosses itself, both sides of the crossing."""
    return shapely.make_valid(shapely.Polygon(outline.vertices), method="structure", keep_collapsed=False)


def _extent(piece: BaseGeometry) -> float:
    """Return the greatest distance of two points."""
    corners = shapely.get_coordinates(shapely.convex_hull(piece))
    difference = corners[:, None] - corners[None]
    return float(np.sqrt((difference**2).sum(axis=-1)).max())
