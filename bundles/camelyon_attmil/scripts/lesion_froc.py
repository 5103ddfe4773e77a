"""Lesion-level FROC of heat-maps: does the map peak within the metastases, and how often elsewhere?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from monai.apps.pathology.utils import (
    PathologyProbNMS,
    compute_isolated_tumor_cells,
    compute_multi_instance_mask,
)
from monai.metrics import compute_fp_tp_probs
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from tqdm.auto import tqdm

from scripts.explained_slide import ExplainedSlide
from shared.evaluation.bootstrap import bootstrap_weights, interval_entry

__all__ = ["FALSE_POSITIVES", "Detections", "HeatMapFROC", "froc_sensitivities", "tumour_mask"]

Floats = NDArray[np.float64]

#: false positives per slide at which the sensitivity is averaged, as in CAMELYON16
FALSE_POSITIVES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: values are compared among all slides; what a peak's rank among them begins at, so that no peak is 0
FLOOR = 0.05


@dataclass(frozen=True)
class Detections:
    """What a method's map of one slide found.

    Args:
        false: scores of the peaks outside of all lesions.
        true: score of the highest peak in each lesion, 0 for one that was missed; isolated tumour cells do not count,
            and peaks in them neither.
    """

    false: Floats
    true: Floats


class HeatMapFROC:
    """The evaluation of CAMELYON16 on maps, by the parts of :class:`monai.apps.pathology.metrics.LesionFROC`.

    The map has one pixel for each tile. Peaks are taken from the highest down, each stands for the square of
    ``peak_tiles`` around it, and lies at the tile's middle. The outlines of the metastases are grown by 75 µm, lesions
    below 200 µm (isolated tumour cells) are not counted, as in the challenge. Values have no common unit from method to
    method: of each method they are scaled to (0, 1] over all slides, which changes nothing in their order. MONAI's
    class itself reads maps and masks from files, and takes a corner of a slide without tumour for a lesion.

    Args:
        tile_pixels: pixels of the mask of lesions along a tile.
        peak_tiles: side of the square around a peak that it stands for, in tiles.
        grow_um: by which outlines are grown, µm.
        isolated_um: greatest extent of isolated tumour cells, µm.
    """

    def __init__(
        self, tile_pixels: int = 4, peak_tiles: int = 3, grow_um: float = 75.0, isolated_um: float = 200.0
    ) -> None:
        self.tile_pixels = tile_pixels
        self.grow_um = grow_um
        self.isolated_um = isolated_um
        self._peaks = PathologyProbNMS(prob_threshold=0.0, box_size=peak_tiles)
        self._slides: list[_Slide] = []

    def add(self, slide: ExplainedSlide, values: Mapping[str, Floats]) -> bool:
        """Add the maps of one slide, every method's.

        Returns:
            Whether the slide can be measured: its scale is known, and so is all of its tumour.
        """
        known = slide.annotation is not None or slide.record.get("label") == 0
        if slide.mpp is None or not known or slide.record.get("partly_annotated"):
            return False
        rows, columns = (math.ceil(length / slide.side) for length in slide.size[::-1])
        area = shapely.Polygon() if slide.annotation is None else slide.annotation.tumour
        downsample = slide.side / self.tile_pixels
        mask = tumour_mask(area, downsample, (rows * self.tile_pixels, columns * self.tile_pixels))
        lesions, isolated = self.lesions(mask, downsample * slide.mpp)
        maps = {name: slide.grid.heat_map(given).raster(slide.side, (rows, columns)) for name, given in values.items()}
        self._slides.append(_Slide(maps, lesions, isolated))
        return True

    def lesions(self, mask: NDArray[np.uint8], spacing: float) -> tuple[NDArray[np.int64], list[int]]:
        """Return the numbered lesions of a mask of 0 and 1, grown, ``(H, W)``, and which are isolated tumour cells.

        Args:
            mask: ``(H, W)``.
            spacing: µm per pixel of it.
        """
        if not mask.any():
            return np.zeros(mask.shape, dtype=np.int64), []
        numbered = compute_multi_instance_mask(mask, self.grow_um / (2 * spacing))
        with warnings.catch_warnings():
            # MONAI asks scikit-image for a property by its old name
            warnings.simplefilter("ignore", FutureWarning)
            return numbered, compute_isolated_tumor_cells(numbered, (self.isolated_um + self.grow_um) / spacing)

    def detections(self, method: str) -> list[Detections]:
        """Return what a method found on each slide that was added."""
        maps = [slide.maps[method] for slide in self._slides]
        least, greatest = min(float(np.nanmin(one)) for one in maps), max(float(np.nanmax(one)) for one in maps)
        found = []
        for slide, values in zip(self._slides, maps, strict=True):
            scores = FLOOR + (1 - FLOOR) * (values - least) / ((greatest - least) or 1.0)
            found.append(self.of_map(np.nan_to_num(scores, nan=0.0), slide.lesions, slide.isolated))
        return found

    def of_map(self, scores: Floats, lesions: NDArray[np.int64], isolated: list[int]) -> Detections:
        """Return what one map found.

        Args:
            scores: positive where there is a tile, else 0, ``(R, C)``.
            lesions: numbered from 1, ``(P R, P C)`` with P ``tile_pixels``.
            isolated: numbers of those that do not count.
        """
        peaks = np.array(self._peaks(scores.copy()), dtype=np.float64).reshape(-1, 3)
        rows, columns = ((peaks[:, 1:].T + 0.5) * self.tile_pixels).astype(np.int64)
        false, true, _ = compute_fp_tp_probs(peaks[:, 0], rows, columns, lesions, isolated)
        counted = np.setdiff1d(np.arange(len(true)), np.array(isolated, dtype=np.int64) - 1)
        return Detections(np.asarray(false, dtype=np.float64), np.asarray(true, dtype=np.float64)[counted])

    def measure(self, methods: Sequence[str], resamples: int = 1000, seed: int = 0) -> dict[str, dict[str, Any]]:
        """Return the FROC score of each method, with intervals by bootstrap over slides.

        Returns:
            By method ``value`` and ``ci95``, the mean sensitivity at :data:`FALSE_POSITIVES`; ``sensitivity`` at each
            of them; ``n``, the number of lesions; ``slides``. Empty if no slide shows a lesion that counts.
        """
        if not self._slides:
            return {}
        measured = {}
        for method in tqdm(methods, desc="finding lesions", unit="method"):
            found = self.detections(method)
            lesions = sum(len(one.true) for one in found)
            if lesions == 0:
                return {}
            whole = froc_sensitivities(found, np.ones((1, len(found))))[0]
            drawn = np.concatenate(
                [froc_sensitivities(found, rows) for rows in bootstrap_weights(len(found), resamples, seed=seed)]
            ).mean(axis=1)
            ends = np.nanpercentile(drawn, [2.5, 97.5]).tolist()
            measured[method] = {
                **interval_entry(float(whole.mean()), ends, len(found)),
                "sensitivity": dict(zip(map(str, FALSE_POSITIVES), whole.tolist(), strict=True)),
                "n": lesions,
                "slides": len(found),
            }
        return measured


@dataclass(frozen=True)
class _Slide:
    """What is kept of a slide: a map of each method, its lesions, and which of them are isolated tumour cells."""

    maps: dict[str, Floats]
    lesions: NDArray[np.int64]
    isolated: list[int]


def tumour_mask(area: BaseGeometry, downsample: float, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return 1 where a pixel touches an area, else 0, ``(H, W)``: the least lesion is not lost.

    Args:
        area: in pixels of level 0.
        downsample: pixels of level 0 that a pixel of the mask spans.
        shape: H and W.
    """
    rows, columns = np.indices(shape).reshape(2, -1)
    squares = shapely.box(columns * downsample, rows * downsample, (columns + 1) * downsample, (rows + 1) * downsample)
    shapely.prepare(area)
    return shapely.intersects(area, squares).astype(np.uint8).reshape(shape)


def froc_sensitivities(found: Sequence[Detections], weights: Floats) -> Floats:
    """Return the sensitivity at each of :data:`FALSE_POSITIVES` per slide, for many resamples of the slides at once.

    Of one whole sample it is what :func:`monai.metrics.compute_froc_curve_data` and
    :func:`monai.metrics.compute_froc_score` make of the same scores.

    Args:
        found: of each of S slides.
        weights: how often each slide was drawn, ``(R, S)``.

    Returns:
        ``(R, 6)``; NaN for a resample without lesion.
    """
    scores = np.concatenate([part for one in found for part in (one.false, one.true)])
    slide = np.repeat(np.arange(len(found)), [len(one.false) + len(one.true) for one in found])
    true = np.concatenate([np.repeat([False, True], [len(one.false), len(one.true)]) for one in found])
    thresholds, place = np.unique(-scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    last = np.searchsorted(place[order], np.arange(len(thresholds)), side="right") - 1
    result = np.full((len(weights), len(FALSE_POSITIVES)), np.nan)
    for row, drawn in enumerate(weights):
        counts = drawn[slide[order]]
        lesions = (counts * true[order]).sum()
        if lesions == 0:
            continue
        hits = np.cumsum(counts * true[order])[last] / lesions
        misses = np.cumsum(counts * ~true[order])[last] / drawn.sum()
        # the lowest score of all, 0 if a lesion was missed, is no threshold
        result[row] = np.interp(FALSE_POSITIVES, np.append(0.0, misses[:-1]), np.append(0.0, hits[:-1]))
    return result
