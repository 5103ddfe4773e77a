"""A matplotlib figure as inline SVG that takes its colours and its font from the page that it stands in."""

from __future__ import annotations

import io
import re
import unicodedata
from contextlib import AbstractContextManager
from xml.etree import ElementTree

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["COLOURS", "inline_svg", "plain", "plain_text", "style"]

#: Colours by role. Each becomes the CSS variable of that name, so that a dark page or a printer can change it; the
#: series are from the palette of Okabe and Ito, made for readers with any form of colour vision.
COLOURS = {
    "ink": "#1a1f26",
    "muted": "#5a6572",
    "grid": "#d8dde3",
    "band": "#c9d3de",
    "right": "#0072b2",
    "wrong": "#d55e00",
    "outlier": "#8a5a83",
    "good": "#00805a",
}

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
#: attributes of coordinates
_NUMBERS = {"d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "points", "transform"}
_LONG = re.compile(r"-?\d+\.\d{3,}")
_USED = re.compile(r"#([\w.-]+)")
#: matplotlib's names of its own parts
_NUMBERED = re.compile(r"_\d+$")
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 10,
    "axes.facecolor": "none",
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlecolor": COLOURS["ink"],
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.color": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["ink"],
    "grid.color": COLOURS["grid"],
    "legend.frameon": False,
}


def plain(width: float, height: float) -> Figure:
    """Make an empty figure of the report's style, ``width`` × ``height`` inches, without pyplot and its state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0.0)
    return figure


def style() -> AbstractContextManager[None]:
    """Context in which axes are made and drawn; the settings of the process are as before after it."""
    return matplotlib.rc_context(_STYLE)


def plain_text(text: str, limit: int = 28) -> str:
    """Make a name safe to draw: one line, no control characters (XML has none), at most ``limit`` characters."""
    line = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Draw ``figure`` as an ``<svg>`` element to be put into HTML.

    Args:
        figure: a figure made by `plain`.
        name: prefix of all ids in the drawing; unique in the page.
        label: what a screen reader says instead of the drawing.

    Returns:
        The element, without XML head and name spaces, as wide as the figure where there is room.
    """
    buffer = io.BytesIO()
    with style():
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        for key in list(element.attrib):
            value = element.attrib.pop(key)
            if key == "id":
                value = f"{name}-{value}"
            elif key == f"{_XLINK}href":
                key, value = "href", value.replace("#", f"#{name}-", 1)
            else:
                value = value.replace("url(#", f"url(#{name}-")
            element.attrib[key] = value
        if "style" in element.attrib:
            element.attrib["style"] = _themed(element.attrib["style"])
    _compact(root)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag.endswith(("metadata", "RDF"))]:
            parent.remove(child)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    # physical width: text is as large as it was set, on screen and on paper
    size = f"width: {figure.get_figwidth():g}in"
    root.attrib |= {"role": "img", "aria-label": label, "class": "figure", "style": size}
    return ElementTree.tostring(root, encoding="unicode")


def _themed(css: str) -> str:
    for role, colour in COLOURS.items():
        css = css.replace(colour, f"var(--{role}, {colour})")
    # the page's own font: the drawing names one that the reader may not have
    css = re.sub(r"font-family:[^;]*;?\s*", "", css)
    return re.sub(r"font:\s*(?:\d+\s+)?([\d.]+px)[^;]*", r"font-size: \1", css)


def _compact(root: ElementTree.Element) -> None:
    """Leave out what nobody sees: line breaks, digits beyond a hundredth of a pixel, numbered names without a use."""
    used = {match for element in root.iter() for value in element.attrib.values() for match in _USED.findall(value)}
    for element in root.iter():
        if element.tag not in ("text", "tspan", "style"):
            element.text = None
        element.tail = None if element.tag != "tspan" else element.tail
        if _NUMBERED.search(element.get("id", "")) and element.get("id") not in used:
            del element.attrib["id"]
        for key in _NUMBERS & element.attrib.keys():
            rounded = _LONG.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), element.attrib[key])
            element.attrib[key] = " ".join(rounded.split())
        if re.fullmatch(r"rotate\(-?0 [^)]*\)", element.get("transform", "")):
            del element.attrib["transform"]
