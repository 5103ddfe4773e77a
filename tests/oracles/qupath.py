"""What QuPath makes of a GeoJSON file, after its own reader (``QuPathTypeAdapters.parseObject``, versions 0.4 to 0.6).

Where the reader is lenient (an unknown type becomes an annotation, an id that is no UUID is replaced) this one is not:
what QuPath would change silently is an error here.
"""

import json
import uuid
from dataclasses import dataclass

from shapely.geometry import shape

#: kinds of objects that the reader knows by "objectType"
TYPES = ("annotation", "detection", "tile", "cell", "tmaCore", "root")


@dataclass
class PathObject:
    """One object of QuPath's hierarchy."""

    identity: uuid.UUID
    kind: str
    roi: object
    path_class: str
    colour: tuple
    measurements: dict
    locked: bool


def read_objects(text):
    """The objects of a feature collection, and the colour of each class: a class has one, the first that is read."""
    content = json.loads(text)
    assert content["type"] == "FeatureCollection"
    objects, colours = [], {}
    for feature in content["features"]:
        properties = feature["properties"]
        assert properties["objectType"] in TYPES
        # lines and points are other regions of interest; a plane other than the first would be named in the geometry
        assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon")
        assert set(feature["geometry"]) == {"type", "coordinates"}
        name, colour = properties["classification"]["name"], properties["classification"]["color"]
        # a colon would make it a class derived from another one
        assert ":" not in name
        assert "\n" not in name
        assert name == name.strip() != ""
        assert len(colour) == 3
        assert all(type(part) is int and 0 <= part <= 255 for part in colour)
        assert colours.setdefault(name, tuple(colour)) == tuple(colour)
        for key, value in properties.get("measurements", {}).items():
            assert isinstance(key, str)
            assert type(value) in (int, float)
        # coordinates are kept to a hundredth of a pixel
        roi = shape(feature["geometry"])
        objects.append(
            PathObject(
                uuid.UUID(feature["id"]),
                properties["objectType"],
                roi,
                name,
                colours[name],
                properties.get("measurements", {}),
                properties.get("isLocked", False),
            )
        )
    assert len({one.identity for one in objects}) == len(objects)
    return objects, colours
