"""A picture and the maps that a viewer lays over it, as ``view`` and ``layer_png`` of the index say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.images import EmbeddedImage
from shared.report.measures import read_number, read_table
from shared.report.pictures import Pictures

__all__ = ["Layer", "LayerEntry", "View", "add_view", "read_view"]


@dataclass(frozen=True)
class LayerEntry:
    """A layer as the index names it.

    Attributes:
        method: its key.
        target: the class that it explains.
        entry: ``layer_png`` with ``limit``, or with ``low``, ``high`` and ``unit``.
        where: its place, for messages.
    """

    method: str
    target: str
    entry: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Layer:
    """A map that can be laid over the picture.

    Attributes:
        method: its key.
        target: the class that it explains.
        image: with transparent colours.
        low: value that has the colour of the lower end.
        high: of the upper end.
        unit: what a value is.
    """

    method: str
    target: str
    image: EmbeddedImage
    low: float
    high: float
    unit: str

    @property
    def signed(self) -> bool:
        """Whether its colours diverge from 0."""
        return self.low < 0


@dataclass(frozen=True)
class View:
    """A picture and what can be laid over it.

    Attributes:
        image: without a frame.
        width: of the image that was explained, pixels; the unit of all coordinates.
        height: see above.
        layers: its maps.
        outline: of the known cause.
        boxes: left, top, width and height of what a person drew.
        pixel_size_um: µm of a pixel; ``None`` if not known.
    """

    image: EmbeddedImage
    width: float
    height: float
    layers: Sequence[Layer]
    outline: EmbeddedImage | None
    boxes: Sequence[Sequence[float]]
    pixel_size_um: float | None

    @property
    def methods(self) -> list[str]:
        """Methods of the layers, each once."""
        return list(dict.fromkeys(layer.method for layer in self.layers))

    @property
    def targets(self) -> list[str]:
        """Classes of the layers, each once."""
        return list(dict.fromkeys(layer.target for layer in self.layers))

    @property
    def scale_bar(self) -> tuple[float, str] | None:
        """Length in pixels and name of a scale bar: the longest 1, 2 or 5 × 10ⁿ that is at most a quarter of the width.

        ``None`` if the size of a pixel is not known.
        """
        if not self.pixel_size_um:
            return None
        quarter = self.width * self.pixel_size_um / 4
        power = 10.0 ** math.floor(math.log10(quarter))
        length = max(step for step in (1, 2, 5) if step * power <= quarter * (1 + 1e-9)) * power
        return length / self.pixel_size_um, f"{length:g} µm" if length < 1000 else f"{length / 1000:g} mm"


def add_view(pictures: Pictures, view: Mapping[str, Any] | None, layers: Iterable[LayerEntry], where: str) -> None:
    """Take down the pictures of a view; none without one, as of explanations that were written before there were any.

    Raises:
        DataError: if a picture lies outside the folder.
    """
    if view is None:
        return
    read_table(view, where)
    pictures.add(view.get("image_png"), f"{where}.image_png")
    pictures.add_layer(view.get("outline_png"), f"{where}.outline_png")
    for layer in layers:
        pictures.add_layer(layer.entry.get("layer_png"), f"{layer.where}.layer_png")


def read_view(
    pictures: Pictures, view: Mapping[str, Any] | None, layers: Iterable[LayerEntry], where: str
) -> View | None:
    """Return a view whose pictures were embedded; ``None`` without one.

    Raises:
        DataError: if an entry is malformed.
    """
    if view is None:
        return None
    image = pictures.get(view.get("image_png"), f"{where}.image_png")
    if image is None:
        raise DataError(f"{where}.image_png is missing; run explaining again")
    width, height = _numbers(view.get("size_px"), 2, f"{where}.size_px")
    size_um = view.get("pixel_size_um")
    boxes = view.get("boxes") or []
    return View(
        image=image,
        width=width,
        height=height,
        layers=[_layer(pictures, layer) for layer in layers if layer.entry.get("layer_png") is not None],
        outline=pictures.get(view.get("outline_png"), f"{where}.outline_png"),
        boxes=[_numbers(box, 4, f"{where}.boxes[{i}]") for i, box in enumerate(boxes)],
        pixel_size_um=None if size_um is None else read_number(size_um, f"{where}.pixel_size_um"),
    )


def _layer(pictures: Pictures, layer: LayerEntry) -> Layer:
    entry, where = layer.entry, layer.where
    image = pictures.get(entry["layer_png"], f"{where}.layer_png")
    assert image is not None  # the name of a picture is none of None
    if "limit" in entry:
        limit = read_number(entry["limit"], f"{where}.limit")
        low, high = -limit, limit
    else:
        low, high = (read_number(entry.get(key), f"{where}.{key}") for key in ("low", "high"))
    return Layer(layer.method, layer.target, image, low, high, str(entry.get("unit") or "attribution"))


def _numbers(values: Any, count: int, where: str) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        raise DataError(f"{where}: found {values!r}, expected {count} numbers; run explaining again")
    return [read_number(value, where) for value in values]
