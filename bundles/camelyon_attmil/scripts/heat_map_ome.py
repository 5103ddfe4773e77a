"""Heat-maps as OME-TIFF: the values themselves, for viewers that go by µm and name channels (QuPath, Bio-Formats)."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.heat_map import HeatMap
from scripts.heat_map_colours import ColourScale
from scripts.pyramid_tiff import write_ome_pyramid

__all__ = ["write_ome_tiff"]


def write_ome_tiff(
    path: str | os.PathLike[str],
    heat_map: HeatMap,
    scale: ColourScale,
    size: tuple[int, int],
    downsample: float,
    mpp: float | None,
    slide: str,
    method: str,
    unit: str,
) -> Path:
    """Write a map as pyramidal OME-TIFF of its values, float32, NaN where there is no tile.

    Its upper left corner is the slide's, and ``PhysicalSizeX`` and ``PhysicalSizeY`` are ``mpp · downsample`` µm: laid
    over the slide by µm it is where its tiles are. Each of its pixels has the value at its middle. The one channel is
    named after the method; a map annotation says whose values these are, and where the colours of the other files end.
    Memory is as with :func:`~scripts.heat_map_files.write_tiff`.

    Args:
        path: the file, ``.ome.tif``.
        heat_map: the map.
        scale: its colours in the other files.
        size: width and height of the slide, pixels of level 0.
        downsample: pixels of level 0 that a pixel of the file spans; need not be whole.
        mpp: µm per pixel of level 0; without it the file says nothing of its scale.
        slide: name of the slide.
        method: title of the method.
        unit: what a value is.
    """
    width, height = (int(np.ceil(length / downsample)) for length in size)

    def render(x: int, y: int, columns: int, rows: int) -> NDArray[np.float32]:
        return heat_map.raster(downsample, (rows, columns), (x, y)).astype(np.float32)

    stated = {
        "slide": slide,
        "method": method,
        "unit": unit,
        "downsample": repr(float(downsample)),
        "slide width": str(size[0]),
        "slide height": str(size[1]),
        "colours from": repr(float(scale.low)),
        "colours to": repr(float(scale.high)),
    }
    metadata = {
        # the same map has the same id in every run; tifffile's own would tell time and machine
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{slide} {method}")),
        "Name": f"{slide}: {method}",
        "Channel": {"Name": method},
        "MapAnnotation": stated,
    }
    return write_ome_pyramid(path, (width, height), render, None if mpp is None else mpp * downsample, metadata)
