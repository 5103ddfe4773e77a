"""Heat-maps as OME-TIFF: the values themselves, for viewers that go by µm and name channels (QuPath, Bio-Formats)."""

from __future__ import annotations

import os
import uuid
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.heat_map import HeatMap
from scripts.heat_map_colours import ColourScale
from scripts.heat_map_placement import MapPlacement, MapSubject
from scripts.pyramid_tiff import write_ome_pyramid

__all__ = ["write_ome_tiff"]


def write_ome_tiff(
    path: str | os.PathLike[str],
    heat_map: HeatMap,
    scale: ColourScale,
    placement: MapPlacement,
    subject: MapSubject,
) -> Path:
    """Write a map as pyramidal OME-TIFF of its values, float32, NaN where there is no tile.

    Its upper left corner is the slide's, and ``PhysicalSizeX`` and ``PhysicalSizeY`` are ``mpp · downsample`` µm: laid
    over the slide by µm it is where its tiles are. Of a slide whose scale is not known neither is there. Each of its
    pixels has the value at its middle. The one channel is named after the method; a map annotation says whose values
    these are, and where the colours of the other files end. Memory is as with
    :func:`~scripts.heat_map_files.write_tiff`.

    Args:
        path: the file, ``.ome.tif``.
        heat_map: the map.
        scale: its colours in the other files.
        placement: where it lies.
        subject: whose values it shows.
    """

    def render(x: int, y: int, columns: int, rows: int) -> NDArray[np.float32]:
        return heat_map.raster(placement.downsample, (rows, columns), (x, y)).astype(np.float32)

    stated = {
        **asdict(subject),
        "downsample": repr(float(placement.downsample)),
        "slide width": str(placement.size[0]),
        "slide height": str(placement.size[1]),
        "colours from": repr(float(scale.low)),
        "colours to": repr(float(scale.high)),
    }
    metadata = {
        # the same map has the same id in every run; tifffile's own would tell time and machine
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{subject.slide} {subject.method}")),
        "Name": f"{subject.slide}: {subject.method}",
        "Channel": {"Name": subject.method},
        "MapAnnotation": stated,
    }
    return write_ome_pyramid(path, placement.pixels, render, placement.pixel_um, metadata)
