"""How good the explanations of slides are: do the tiles that they name decide, and are they where the tumour is?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.explained_slide import ExplainedSlide
from scripts.lesion_froc import HeatMapFROC
from scripts.slide_values import SlideValues
from shared.saliency.bags.quality.bag_quality import BagQuality, bag_quality
from shared.saliency.bags.quality.quality_table import quality_table

__all__ = ["SlideQuality"]

Floats = NDArray[np.float64]


class SlideQuality:
    """Measures the explanations of slides, every method on the same slides, positive and negative ones apart.

    Args:
        valuation: explains bags.
        tumour_share: a tile is positive if more than this share of it is tumour.
        froc: measures whether the maps peak within the lesions; None leaves it out.
        resamples: of the bootstrap.
        seed: of the bootstrap and of the random orders.
    """

    def __init__(
        self,
        valuation: SlideValues,
        tumour_share: float = 0.1,
        froc: HeatMapFROC | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        self.valuation = valuation
        self.tumour_share = tumour_share
        self.froc = froc
        self.resamples = resamples
        self.seed = seed
        self.not_measured = ""
        self._bags: list[BagQuality] = []
        self._labels: list[int] = []
        self._patients: list[str] = []
        self._methods: list[str] = []

    def add(self, slide: ExplainedSlide, values: dict[str, Floats]) -> BagQuality | None:
        """Measure one more slide.

        Args:
            slide: with a label.
            values: of its tiles by method, ``(N,)`` each.

        Returns:
            What was measured; ``None`` if the network has no algebra of subsets.
        """
        explanations = {name: torch.from_numpy(rows) for name, rows in values.items()}
        measured: BagQuality | None = None
        bag = self.valuation.bag(slide.bag.features)
        try:
            measured = bag_quality(self.valuation.network, bag, explanations, self.positive(slide), seed=self.seed)
        except TypeError as error:
            # the network's pooling has no algebra of subsets: of no slide then
            self.not_measured = str(error)
        else:
            self._bags.append(measured)
        self._methods = list(values)
        self._labels.append(int(slide.record["label"]))
        self._patients.append(str(slide.record.get("patient", slide.name)))
        if self.froc is not None:
            self.froc.add(slide, values)
        return measured

    def summary(self) -> dict[str, Any]:
        """Return what the index says of the quality.

        Returns:
            ``positive`` and ``negative``: by method and measure as
            :func:`~shared.saliency.bags.quality.quality_table.quality_table` has them, ``froc`` among the positive
            ones; ``curves``, mean perturbation curves of the positive slides by method, ``drop`` and ``add``;
            ``slides``, the number of both kinds, and ``tumour_share``. ``not_measured`` says why there is no
            perturbation. Empty if nothing was measured.
        """
        if not self._labels:
            return {}
        positive = sum(self._labels)
        summary: dict[str, Any] = {"slides": {"positive": positive, "negative": len(self._labels) - positive}}
        summary["tumour_share"] = self.tumour_share
        if self.not_measured:
            summary["not_measured"] = self.not_measured
        else:
            summary |= quality_table(
                self._bags, self._labels, groups=self._patients, resamples=self.resamples, seed=self.seed
            )
            summary["curves"] = self._curves()
        if self.froc is not None:
            for name, entry in self.froc.measure(self._methods, self.resamples, self.seed).items():
                summary.setdefault("positive", {}).setdefault(name, {})["froc"] = entry
        return summary

    def positive(self, slide: ExplainedSlide) -> NDArray[np.bool_] | None:
        """Return which tiles are positive; ``None`` if that is not known of every one."""
        share = slide.bag.tile_label
        # features of another preparation may say 0 outside of outlines that are known to be incomplete
        if share is None or np.isnan(share).any() or slide.record.get("partly_annotated"):
            return None
        return share > self.tumour_share

    def _curves(self) -> dict[str, dict[str, list[float]]]:
        chosen = [bag for bag, label in zip(self._bags, self._labels, strict=True) if label]
        if not chosen:
            return {}
        return {
            name: {
                kind: np.mean([getattr(bag, kind)[place] for bag in chosen], axis=0).round(6).tolist()
                for kind in ("drop", "add")
            }
            for place, name in enumerate(chosen[0].methods)
        }
