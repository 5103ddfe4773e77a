"""Pictures with layers: what is drawn on them lies within them."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from jinja2 import Environment, PackageLoader

WIDTH, HEIGHT = 400.0, 300.0


@pytest.mark.parametrize("x", [1.0, 200.0, 399.0])
@pytest.mark.parametrize("y", [1.0, 8.0, 150.0, 299.0])
def test_names_of_rings_are_within_the_picture_and_off_their_ring(x, y):
    # the macros know the page's filters by name, of which a drawing needs none
    environment = Environment(loader=PackageLoader("shared.report"), autoescape=True)
    used = re.findall(r"\|\s*(\w+)", environment.loader.get_source(environment, "viewer.html.j2")[0])
    environment.filters |= {name: str for name in used if name not in environment.filters}
    macros = environment.get_template("viewer.html.j2").make_module({"store": SimpleNamespace(name=str)})
    picture = SimpleNamespace(is_crop=False)
    view = SimpleNamespace(width=WIDTH, height=HEIGHT, image=picture, outline=None, boxes=[], scale_bar=None)
    drawn = macros.drawing(view, None, "slide", marks=[(x, y, "+12")])
    left, base, size = map(float, re.search(r'<text x="(\S+)" y="(\S+)" font-size="(\S+)">\+12<', drawn).groups())
    radius = float(re.search(r' r="(\S+)"', drawn)[1])
    # digits are some 0.7 of the size high, above the base; the middle of the text is at x
    assert base - 0.7 * size >= 0
    assert base <= HEIGHT
    assert 0.8 * size <= left <= WIDTH - 0.8 * size
    assert base <= y - radius or base - 0.8 * size >= y + radius - 1
