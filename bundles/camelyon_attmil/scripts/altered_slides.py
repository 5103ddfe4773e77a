"""Phantom slides whose metastasis alone is altered: it grows from nothing to its full area, all else stays the same.

The slides are small and are never written: their tiles are drawn, compressed as those of the data set are, and encoded.
Only the tiles that the largest metastasis reaches are drawn at every strength.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from scripts.feature_extraction import FeatureExtraction
from scripts.phantom import PhantomSlide, phantom_annotation, phantom_renderer
from scripts.phantom_anatomy import Anatomy
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_rendering import SlideRenderer
from scripts.tile_encoder import half_precision
from scripts.tile_truth import covered_shares

__all__ = ["AREAS", "AlteredSlide", "SlideAlteration", "with_area"]

Floats = NDArray[np.float64]

#: Area of the metastasis at each strength, relative to its full one.
AREAS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: How far beyond its outline a metastasis changes pixels: soft edge and ragged border, µm.
BORDER_UM = 10.0
#: Numbers of the slides, which seed what is drawn: far from those of any data set.
FIRST_NUMBER = 1_000_000


@dataclass(frozen=True)
class AlteredSlide:
    """A slide at S areas of its metastasis.

    Attributes:
        features: of its tiles, ``(S, N, E)`` float32.
        coords: upper left corners of the tiles, pixels of level 0, ``(N, 2)``.
        tumour: share of each tile that is tumour, ``(S, N)``.
    """

    features: NDArray[np.float32]
    coords: NDArray[np.int64]
    tumour: Floats


@dataclass(frozen=True)
class SlideAlteration:
    """Draws small slides with a growing micrometastasis, as those of a generated data set are.

    Args:
        generated: what the data set was generated with: ``seed``, ``mpp``, ``quality`` and ``parameters``; see
            :func:`scripts.phantom.write_slides`.
        extraction: makes the features.
        tiles: along each side of a slide.
    """

    generated: dict[str, Any]
    extraction: FeatureExtraction
    tiles: int = 10

    def __call__(self, number: int) -> AlteredSlide:
        """Draw a slide at all strengths.

        Args:
            number: of the slide, on which all that is random about it depends.
        """
        renderer = self.renderer(number)
        full, mpp = renderer.anatomy, renderer.mpp
        coords = self._tissue_tiles(full, mpp)
        areas = [phantom_annotation(with_area(full, area), mpp).tumour for area in AREAS]
        tumour = np.stack([covered_shares(coords, self._side(mpp), area) for area in areas])
        reached = covered_shares(coords, self._side(mpp), areas[-1].buffer(BORDER_UM / mpp)) > 0
        features = np.empty((len(AREAS), len(coords), 0), dtype=np.float32)
        for strength, area in enumerate(AREAS):
            drawn = reached if strength else np.ones(len(coords), dtype=bool)
            rows = self._features(renderer.with_anatomy(with_area(full, area)), coords[drawn])
            if not strength:
                features = np.repeat(rows[None], len(AREAS), axis=0)
            features[strength, drawn] = rows
        return AlteredSlide(features, coords, tumour)

    def renderer(self, number: int) -> SlideRenderer:
        """Return what draws a slide with its metastasis in full."""
        mpp = float(self.generated["mpp"])
        parameters = PhantomParameters.from_config(self.generated["parameters"])
        parameters = replace(parameters, lesions=replace(parameters.lesions, micro_count=(1, 1)))
        side = self._side(mpp) * self.tiles
        slide = PhantomSlide("", "", "micro", False, FIRST_NUMBER + number)
        return phantom_renderer(slide, int(self.generated["seed"]), (side, side), mpp, parameters)

    def tile(self, renderer: SlideRenderer, x: int, y: int) -> NDArray[np.uint8]:
        """Return a tile as it is read from a slide that was written, ``(T, T, 3)``."""
        side, size = self._side(renderer.mpp), self.extraction.tile_size
        picture = Image.fromarray(renderer(x, y, side, side))
        if self.generated["quality"] is not None:
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=self.generated["quality"], subsampling=2)
            picture = Image.open(encoded)
        if side != size:
            picture = picture.resize((size, size), Image.Resampling.HAMMING)
        return np.asarray(picture)

    def _side(self, mpp: float) -> int:
        """Return the side of a tile, pixels of level 0."""
        return round(self.extraction.tile_size * self.extraction.mpp / mpp)

    def _tissue_tiles(self, anatomy: Anatomy, mpp: float) -> NDArray[np.int64]:
        """Return the corners of the tiles whose middle lies in the lymph node, ``(N, 2)``."""
        side = self._side(mpp)
        rows, columns = np.mgrid[: self.tiles, : self.tiles]
        coords = np.stack([columns.ravel(), rows.ravel()], axis=1) * side
        middles = (coords + side / 2) * mpp
        return coords[anatomy.node.depth(middles[:, 0], middles[:, 1]) > 0].astype(np.int64)

    def _features(self, renderer: SlideRenderer, coords: NDArray[np.int64]) -> NDArray[np.float32]:
        """Draw and encode tiles, ``(n, E)``."""
        encoder, size = self.extraction.encoder, self.extraction.batch_size
        parts = []
        for corners in np.split(coords, range(size, len(coords), size)):
            pictures = np.stack([self.tile(renderer, x, y) for x, y in corners.tolist()])
            encoded = encoder.encode(encoder.to_device(torch.from_numpy(pictures)))
            parts.append(half_precision(encoded, encoder.name).astype(np.float32))
        return np.concatenate(parts)


def with_area(anatomy: Anatomy, area: float) -> Anatomy:
    """Return the same slide with another area of its metastases.

    Args:
        anatomy: of a slide.
        area: relative to what it is; 0 leaves them out.
    """
    if area == 0:
        return replace(anatomy, metastases=())
    lesions = [
        replace(lesion, outline=lesion.outline.of_extent(lesion.outline.extent * np.sqrt(area)))
        for lesion in anatomy.metastases
    ]
    return replace(anatomy, metastases=tuple(lesions))
