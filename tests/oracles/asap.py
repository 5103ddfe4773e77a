"""What ASAP makes of an XML file, after its own reader (``XmlRepository::loadFromRepo``).

Where the reader is lenient (an unknown type becomes none, a missing colour the default) this one is not: what ASAP
would change silently is an error here.
"""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

#: kinds of annotations that the reader knows
TYPES = ("None", "Dot", "Polygon", "PointSet", "Spline", "Rectangle", "Measurement")
COLOUR = re.compile("#[0-9A-F]{6}")


@dataclass
class AsapAnnotation:
    """One annotation of ASAP's list."""

    name: str
    kind: str
    group: str
    colour: str
    coordinates: list


def read_annotations(path):
    """The annotations of a file, and the colour of each group."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "ASAP_Annotations"
    groups = {}
    for element in root.find("AnnotationGroups"):
        assert element.get("PartOfGroup") == "None"
        assert COLOUR.fullmatch(element.get("Color"))
        # the reader keeps the last of two groups of one name
        assert element.get("Name") not in groups
        groups[element.get("Name")] = element.get("Color")
    found = []
    for element in root.find("Annotations"):
        assert element.get("Type") in TYPES
        assert COLOUR.fullmatch(element.get("Color"))
        # with an annotation of an unknown group the reader gives the whole file up
        assert element.get("PartOfGroup") in {"None", *groups}
        points = list(element.find("Coordinates"))
        coordinates = [None] * len(points)
        for point in points:
            # written beyond the end of its array otherwise
            assert 0 <= int(point.get("Order")) < len(points)
            coordinates[int(point.get("Order"))] = float(point.get("X")), float(point.get("Y"))
        assert None not in coordinates
        found.append(
            AsapAnnotation(
                element.get("Name"), element.get("Type"), element.get("PartOfGroup"), element.get("Color"), coordinates
            )
        )
    return found, groups
