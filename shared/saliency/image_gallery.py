"""The images that are shown with their maps: what the index says of them, and the files that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.saliency.base import Sign
from shared.saliency.case_selection import WATCHED
from shared.saliency.explanation_files import ExplanationFiles
from shared.saliency.quality import map_quality, sample_quality
from shared.saliency.similar_cases import SimilarCases

__all__ = ["ImageGallery", "ShownImage"]

Map = NDArray[np.floating]


@dataclass(frozen=True)
class ShownImage:
    """An image of the gallery.

    Args:
        record: ``id``; ``label`` (class index) and ``kind`` where known.
        prediction: ``prediction`` (class name), ``confidence``, ``decision`` and ``reason``.
        target: index of the class that is explained.
        picture: the network's input ``(H, W)``.
        cause: where the cause of the class is, ``(H, W)``; ``None`` if it is not known or nowhere.
        measurable: whether maps should point at the cause.
    """

    record: Mapping[str, Any]
    prediction: Mapping[str, Any]
    target: int
    picture: Map
    cause: NDArray[np.bool_] | None
    measurable: bool


class ImageGallery:
    """Writes the images that are shown, and collects their entries for the index.

    Args:
        files: writes pictures and maps.
        classes: class names in the order of the logits.
        images: that are shown, in the order of the index.

    Attributes:
        entries: of the images, in their order.
    """

    def __init__(self, files: ExplanationFiles, classes: Sequence[str], images: Sequence[ShownImage]) -> None:
        self.files = files
        self.classes = list(classes)
        self.images = list(images)
        self.entries = [self._entry(image) for image in self.images]

    def write_images(self) -> None:
        """Write the images themselves, alone and as what a viewer lays maps over."""
        for image, entry in zip(self.images, self.entries, strict=True):
            entry["image_png"] = self.files.write_image(entry, image.picture, image.cause)
            entry["view"] = self.files.write_view(entry, image.picture, image.cause)

    def write_similar(self, similar: SimilarCases, items: Sequence[Mapping[str, Any]]) -> None:
        """Find and draw the training cases that are most like the images.

        Args:
            similar: finds them.
            items: the images, as items of their data set.
        """

        def write(sample: int, rank: int, item: Mapping[str, Any]) -> str:
            return self.files.write_similar(self.entries[sample], rank, np.asarray(item["image"]))

        for entry, cases in zip(self.entries, similar.of(items, write), strict=True):
            entry["similar"] = cases

    def write_maps(self, method: str, maps: Sequence[Map], sign: Sign, radius: float) -> None:
        """Write a method's maps of the classes that are explained, with their quality where a cause is known.

        Args:
            method: key of the method.
            maps: of the images, ``(H, W)`` each.
            sign: what of a map is measured.
            radius: tolerance of the pointing game, pixels.
        """
        for image, entry, attribution in zip(self.images, self.entries, maps, strict=True):
            files = self.files.write_map(entry, method, image.picture, attribution, image.cause)
            quality: dict[str, Any] = {}
            if image.cause is not None and image.measurable:
                found = map_quality(attribution[None], image.cause[None], sign=sign, radius=radius)
                quality = sample_quality(found, 0)
            entry["methods"][method] = {**files, "quality": quality}

    def write_classes(self, method: str, maps: NDArray[np.floating]) -> None:
        """Write a method's maps of all other classes.

        Args:
            method: key of the method, whose :meth:`write_maps` came before.
            maps: of the images, ``(N, K, H, W)``.
        """
        for entry, of_image in zip(self.entries, maps, strict=True):
            by_class = dict(zip(self.classes, of_image, strict=True))
            entry["methods"][method]["classes"] = self.files.write_classes(entry, method, by_class)

    def _entry(self, image: ShownImage) -> dict[str, Any]:
        """Return the beginning of an image's entry in the index."""
        label = image.record.get("label")
        return {
            "id": image.record["id"],
            "label": None if label is None else self.classes[label],
            "kind": image.record.get("kind"),
            "prediction": image.prediction["prediction"],
            "target": self.classes[image.target],
            "confidence": float(image.prediction["confidence"]),
            "decision": image.prediction["decision"],
            "reason": image.prediction["reason"],
            **({WATCHED: True} if image.record.get(WATCHED) else {}),
            "methods": {},
        }
