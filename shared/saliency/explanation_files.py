"""The files of an explanation: the image, each method's map as picture and NIfTI, and the index that lists them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.file_names import safe_name
from shared.data.files import write_json
from shared.saliency.boxes import Box
from shared.saliency.layers import write_map_layer, write_outline, write_plain
from shared.saliency.nifti import write_map
from shared.saliency.overlay import overlay_title, write_image, write_overlay
from shared.saliency.thumbnail import write_thumbnail
from shared.saliency.titles import method_title

__all__ = ["FOLDER", "ExplanationFiles", "write_index"]

FOLDER = "explanations"

logger = logging.getLogger(FOLDER)


def write_index(output_dir: Path, content: Mapping[str, Any]) -> Path:
    """Write ``explanations/index.json``, say so, and return its path."""
    path = output_dir / FOLDER / "index.json"
    write_json(path, content)
    logger.info(f"{path}: {len(content['samples'])} explained")
    return path


class ExplanationFiles:
    """Writes explained samples below ``<output_dir>/explanations``, one folder each.

    A sample is described by its entry in the index: ``id``, ``label`` and ``kind`` (``None`` where there is none),
    ``prediction``, ``target`` (the class that is explained), ``confidence`` and ``decision``. Where several classes of
    one sample are explained, each has an entry and ``folder``, a name of its own for its files. ``pixel_size_mm``
    (height and width), where an entry has it, is what the file of that sample says, and goes before ``pixel_size_um``.

    Args:
        output_dir: the paths in the index are relative to it.
        pixel_size_um: size of a pixel in µm, for scale bars and NIfTI headers; ``None`` if unknown.
        image_label: what a grey value is, with its unit.
        image_range: value of the unnormalised image at 0 and at 1 of the network's input, for display.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        pixel_size_um: float | None = None,
        image_label: str = "grey value",
        image_range: Sequence[float] = (0.0, 1.0),
    ) -> None:
        self.output_dir = Path(output_dir)
        self.pixel_size_um = pixel_size_um
        self.image_label = image_label
        self.low, self.high = image_range

    def write_image(
        self, entry: Mapping[str, Any], image: np.ndarray, mask: np.ndarray | None, boxes: Sequence[Box] = ()
    ) -> str:
        """Write the image alone.

        Args:
            entry: describes the sample.
            image: the network's input ``(H, W)``.
            mask: where the cause of the class is, ``(H, W)``, if known.
            boxes: drawn around the cause by a person, pixels.

        Returns:
            The file's path in the index.
        """
        name = self._name(entry, "image.png")
        write_image(
            self.output_dir / name,
            self._grey(image),
            title=f"truth: {entry['label'] or entry['kind'] or 'not known'}",
            subtitle=entry["id"],
            bar_label=self.image_label,
            mask=mask,
            boxes=boxes,
            pixel_size_um=self.pixel_size_um,
        )
        return name

    def write_view(
        self, entry: Mapping[str, Any], image: np.ndarray, mask: np.ndarray | None, boxes: Sequence[Box] = ()
    ) -> dict[str, Any]:
        """Write what a viewer lays maps over: the image without a frame, and the outline of the known cause.

        Args:
            entry: describes the sample.
            image: the network's input ``(H, W)``.
            mask: where the cause of the class is, ``(H, W)``, if known.
            boxes: drawn around the cause by a person, pixels.

        Returns:
            ``image_png``; ``outline_png``, ``None`` without a cause; ``size_px``, width and height; ``boxes``;
            ``pixel_size_um``. It is the entry's ``view``.
        """
        plain, outline = self._name(entry, "plain.png"), None
        write_plain(self.output_dir / plain, self._grey(image))
        if mask is not None and (mask > 0).any():
            outline = self._name(entry, "outline.png")
            write_outline(self.output_dir / outline, mask)
        return {
            "image_png": plain,
            "outline_png": outline,
            "size_px": [int(image.shape[1]), int(image.shape[0])],
            "boxes": [list(box) for box in boxes],
            "pixel_size_um": self.pixel_size_um,
        }

    def write_map(
        self,
        entry: Mapping[str, Any],
        method: str,
        image: np.ndarray,
        attribution: np.ndarray,
        mask: np.ndarray | None,
        boxes: Sequence[Box] = (),
        file: str | None = None,
    ) -> dict[str, Any]:
        """Write a map as an overlay, as a layer for a viewer and as NIfTI.

        Args:
            entry: describes the sample.
            method: key of the method, whose title the picture shows.
            image: the network's input ``(H, W)``.
            attribution: signed map ``(H, W)``.
            mask: where the cause of the class is, ``(H, W)``, if known.
            boxes: drawn around the cause by a person, pixels.
            file: name of the files without their endings; the method's key if None.

        Returns:
            ``overlay_png``, ``layer_png`` and ``nifti``, the files' paths in the index, and ``limit``, the magnitude at
            which the layer's colours saturate.
        """
        overlay, layer, nifti = (
            self._name(entry, f"{file or method}{ending}") for ending in (".png", "_layer.png", ".nii.gz")
        )
        limit = write_map_layer(self.output_dir / layer, attribution)
        write_overlay(
            self.output_dir / overlay,
            self._grey(image),
            attribution,
            title=overlay_title(
                entry["prediction"],
                entry["confidence"],
                label=entry["label"] or entry["kind"],
                decision=entry["decision"],
                target=entry["target"],
            ),
            subtitle=method_title(method),
            mask=mask,
            boxes=boxes,
            pixel_size_um=self.pixel_size_um,
        )
        description = f"{method}: {entry['target']}"
        write_map(self.output_dir / nifti, attribution, pixel_size_mm=self._size_mm(entry), description=description)
        return {"overlay_png": overlay, "layer_png": layer, "limit": limit, "nifti": nifti}

    def write_classes(self, entry: Mapping[str, Any], method: str, maps: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Write a sample's maps of other classes as layers for a viewer and as NIfTI.

        Args:
            entry: describes the sample.
            method: key of the method.
            maps: signed map ``(H, W)`` by class; that of the class which the entry explains is left out.

        Returns:
            By class ``layer_png``, ``limit`` and ``nifti``, as :meth:`write_map` returns them.
        """
        written = {}
        for place, (label, attribution) in enumerate(maps.items()):
            if label == entry["target"]:
                continue
            # classes are numbered: their names may be no file names
            layer, nifti = (self._name(entry, f"{method}_class{place}{ending}") for ending in ("_layer.png", ".nii.gz"))
            limit = write_map_layer(self.output_dir / layer, attribution)
            size_mm, description = self._size_mm(entry), f"{method}: {label}"
            write_map(self.output_dir / nifti, attribution, pixel_size_mm=size_mm, description=description)
            written[label] = {"layer_png": layer, "limit": limit, "nifti": nifti}
        return written

    def write_similar(self, entry: Mapping[str, Any], rank: int, image: np.ndarray) -> str:
        """Write a training case that is like a sample, small and plain.

        Args:
            entry: describes the sample.
            rank: of the case among those of the sample, from 0 on.
            image: the case as the network takes it, ``(C, H, W)`` with one channel or three, or ``(H, W)``; shown from
                its lowest to its highest value.

        Returns:
            The file's path in the index.
        """
        name = self._name(entry, f"similar_{rank + 1}.png")
        write_thumbnail(self.output_dir / name, image)
        return name

    def write_index(self, content: Mapping[str, Any]) -> Path:
        """Write ``index.json``, last of all: what it lists is there."""
        return write_index(self.output_dir, content)

    def _name(self, entry: Mapping[str, Any], file: str) -> str:
        return f"{FOLDER}/{safe_name(entry.get('folder') or entry['id'])}/{file}"

    def _size_mm(self, entry: Mapping[str, Any]) -> float | tuple[float, float]:
        """Return the size of a pixel in mm, 1 where it is not known."""
        if entry.get("pixel_size_mm"):
            height, width = entry["pixel_size_mm"]
            return height, width
        return 1.0 if self.pixel_size_um is None else self.pixel_size_um / 1000

    def _grey(self, image: np.ndarray) -> np.ndarray:
        return self.low + (self.high - self.low) * image
