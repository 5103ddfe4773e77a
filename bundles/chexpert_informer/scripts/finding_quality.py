"""How well maps point at what is drawn of their finding, and whether better than the maps of other findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.original_image import OriginalImage
from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.evaluation.resampling_groups import ResamplingGroups, group_records
from shared.saliency.base import Sign
from shared.saliency.case_selection import WATCHED
from shared.saliency.map_arrays import signed_part
from shared.saliency.quality import MapQuality, localisation_auc, map_quality, sample_quality, summarise_quality

__all__ = ["LEAD", "FindingQuality"]

Maps = NDArray[np.float32]

#: localisation AUC of a finding's map minus the mean of the other findings' maps, all against the finding's mask
LEAD = "localisation_lead"


class FindingQuality:
    """Collects the quality of one method's maps, image by image.

    Beside the measures of :func:`shared.saliency.quality.map_quality`, the **localisation lead**: a map may point at a
    finding because anything conspicuous lies there. Only what it points at better than the maps of the other findings
    of the same image do is specific to the class. Chance level: 0.

    Args:
        classes: names of the findings; bit k of a truth image marks finding k.
        sign: what of a map is measured, see :attr:`shared.saliency.base.Attribution.sign`.
        marker_bit: value of the bit that marks a shortcut; ``None`` if there is none.
        tolerance: of the pointing game, share of the longer side of an image.
    """

    def __init__(
        self, classes: Sequence[str], sign: Sign, marker_bit: int | None = None, tolerance: float = 0.0
    ) -> None:
        self.classes = list(classes)
        self.sign: Sign = sign
        self.marker_bit = marker_bit
        self.tolerance = tolerance
        self._records: list[Mapping[str, Any]] = []
        self._findings: list[int] = []
        self._parts: list[dict[str, dict[str, NDArray[np.float64]]]] = []
        self._marker: list[tuple[NDArray[np.float64], float]] = []

    @staticmethod
    def of_case(
        attribution: Maps, mask: NDArray[np.bool_] | None, sign: Sign, tolerance: float = 0.0
    ) -> dict[str, Any]:
        """Return the quality of one map ``(H, W)``, ready for JSON; empty without a mask."""
        if mask is None:
            return {}
        return sample_quality(_measured(attribution[None], mask[None], sign, tolerance), 0)

    def add(self, record: Mapping[str, Any], original: OriginalImage, maps: Maps, findings: Sequence[int]) -> None:
        """Measure the maps of one image.

        Args:
            record: of the image.
            original: the image with its masks.
            maps: of all findings, on the image's grid ``(K, H, W)``.
            findings: those to be measured.
        """
        if not record.get(WATCHED):
            self._add_marker(original, maps)
        for finding in findings:
            mask = original.mask(finding)
            if mask is None:
                continue
            own = _measured(maps[finding][None], mask[None], self.sign, self.tolerance)
            others = signed_part(np.delete(maps, finding, axis=0), self.sign)
            areas = localisation_auc(others, np.broadcast_to(mask, others.shape))
            area = own["localisation_auc"]["value"]
            own[LEAD] = {"value": area - areas.mean(), "chance": np.where(np.isnan(area), np.nan, 0.0)}
            self._records.append(record)
            self._findings.append(finding)
            self._parts.append(own)

    def _add_marker(self, original: OriginalImage, maps: Maps) -> None:
        if self.marker_bit is None or original.truth is None:
            return
        marker = (original.truth & self.marker_bit) > 0
        if not marker.any():
            return
        magnitude = np.abs(maps.astype(np.float64))
        total = magnitude.sum(axis=(1, 2))
        on_marker = np.divide(magnitude[:, marker].sum(axis=1), total, out=np.full(len(maps), np.nan), where=total > 0)
        self._marker.append((on_marker, float(marker.mean())))

    def drawn(self, group_key: str | None) -> ResamplingGroups | None:
        """Return what the intervals of the quality resample; ``None`` if nothing was measured."""
        return group_records(self._records, group_key) if self._records else None

    def summary(self, group_key: str | None, seed: int) -> dict[str, Any]:
        """Return what was measured, ready for JSON: ``quality``, the same ``by_finding``, and ``marker``.

        Args:
            group_key: key of a record whose values are resampled as wholes.
            seed: seed of the bootstrap.
        """
        result: dict[str, Any] = {}
        if (drawn := self.drawn(group_key)) is not None:
            result["quality"] = summarise_quality(self._joined(None), groups=drawn.groups, seed=seed)
            result["by_finding"] = {
                name: summarise_quality(self._joined(k), seed=seed)
                for k, name in enumerate(self.classes)
                if k in self._findings
            }
        if self._marker:
            result["marker"] = self._marker_summary(seed)
        return result

    def per_case(self) -> MapQuality:
        """Return the measures of every finding that was measured, in that order, but for the lead."""
        if not self._parts:
            return {}
        return {name: part for name, part in self._joined(None).items() if name != LEAD}

    def _joined(self, finding: int | None) -> dict[str, dict[str, NDArray[np.float64]]]:
        kept = [part for k, part in zip(self._findings, self._parts, strict=True) if finding in (None, k)]
        return {
            name: {key: np.concatenate([part[name][key] for part in kept]) for key in ("value", "chance")}
            for name in kept[0]
        }

    def _marker_summary(self, seed: int) -> dict[str, Any]:
        """Return by finding the share of the map's magnitude that lies on the marker, and the marker's of the image."""
        shares, areas = np.stack([share for share, _ in self._marker]), np.array([area for _, area in self._marker])
        summary: dict[str, Any] = {}
        for k, name in enumerate(self.classes):
            known = ~np.isnan(shares[:, k])
            if known.any():
                interval = bootstrap_interval(weighted_mean, [shares[known, k]], seed=seed)
                summary[name] = {**interval.to_json(), "chance": float(areas[known].mean()), "n": int(known.sum())}
        return summary


def _measured(maps: Maps, masks: NDArray[np.bool_], sign: Sign, tolerance: float) -> MapQuality:
    return map_quality(maps, masks, sign=sign, radius=tolerance * max(maps.shape[1:]))
