"""How large the metastases are on slides that were found and on those that were missed.

A slide is called after its largest lesion, by greatest extent (TNM): macrometastasis above 2 mm, micrometastasis above
0.2 mm, and isolated tumour cells up to 0.2 mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scripts.annotations import LESION_KINDS, read_asap
from scripts.feature_file import open_features, plain
from scripts.slide import Slide
from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from shared.evaluation.proportion import wilson_interval

__all__ = ["KIND_TITLES", "LesionSensitivity", "LesionSizes", "lesion_sizes", "slide_scale"]

KIND_TITLES = {
    "macro": "macrometastasis (above 2 mm)",
    "micro": "micrometastasis (above 0.2 to 2 mm)",
    "itc": "isolated tumour cells (up to 0.2 mm)",
}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class LesionSizes:
    """The metastases of a slide.

    Attributes:
        kind: ``macro``, ``micro`` or ``itc``, of the largest; as published where there is no annotation, or
            ``unknown``.
        lesions: number of connected pieces of tumour; None where not known, like the next two.
        largest_mm: greatest extent of the largest, mm.
        area_mm2: of all together, mm².
        partial: whether only some of the tumour is outlined, so that all three are lower bounds.
        reason: why sizes are not known.
    """

    kind: str
    lesions: int | None = None
    largest_mm: float | None = None
    area_mm2: float | None = None
    partial: bool = False
    reason: str | None = None


def lesion_sizes(record: Mapping[str, Any]) -> LesionSizes:
    """Measure the metastases of a slide from its annotation.

    A slide that cannot be measured is told as such, with the reason: annotations may lie elsewhere than the features.

    Args:
        record: of a tumour slide, with ``annotation`` (path), ``mpp`` or whatever :func:`slide_scale` needs,
            ``partly_annotated`` and ``kind``, all optional.
    """
    published = str(record.get("kind", UNKNOWN)).lower()
    kind = published if published in LESION_KINDS else UNKNOWN
    if record.get("annotation") is None:
        return LesionSizes(kind, reason="no annotation")
    try:
        scale = slide_scale(record)
        lesions = read_asap(record["annotation"]).lesions(scale)
    except DataError as error:
        return LesionSizes(kind, reason=str(error))
    if not lesions:
        return LesionSizes(kind, reason=f"{record['annotation']}: exclusions cover all tumour")
    largest = max(lesions, key=lambda lesion: lesion.extent_um)
    return LesionSizes(
        kind=largest.kind,
        lesions=len(lesions),
        largest_mm=largest.extent_um / 1e3,
        area_mm2=sum(lesion.area_um2 for lesion in lesions) / 1e6,
        partial=bool(record.get("partly_annotated")),
    )


def slide_scale(record: Mapping[str, Any]) -> float:
    """Return µm per pixel of level 0: as the record says, else its feature file, else the slide itself.

    Raises:
        DataError: if none of them says it.
    """
    if record.get("mpp") is not None:
        return float(record["mpp"])
    if record.get("features") is not None:
        with open_features(record["features"]) as file:
            if "slide_mpp" in file.attrs:
                return float(plain(file.attrs["slide_mpp"]))
    if record.get("slide") is None:
        raise DataError(
            f"slide {record.get('id')!r}: its scale is not known, so that lesions have no size; give its µm per pixel "
            "in the column 'mpp' of the table, and prepare the data anew"
        )
    with Slide(record["slide"]) as slide:
        return slide.mpp


class LesionSensitivity:
    """Which tumour slides were found, by the size of their metastases.

    A measure for :class:`shared.calibration.classifier_evaluation.ClassifierEvaluation`, under ``further``.

    Args:
        classes: names of both classes, tumour second.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)

    def __call__(self, collected: CollectedOutputs) -> dict[str, Any]:
        """Measure.

        Args:
            collected: labelled records with the columns of a calibrated classifier.

        Returns:
            ``class``; ``kinds``, for each kind of the largest lesion its ``title``, ``n``, the share ``found`` (called
            tumour) and the share ``accepted_as_other``, which no person looks at, with Wilson intervals, which take
            slides for independent; ``cases``, all tumour slides, the smallest lesions first, those without a size last:
            ``id``, ``probability``, ``prediction``, ``decision``, ``found`` and the attributes of
            :class:`LesionSizes`.
        """
        columns = collected.outputs
        cases = []
        for index, record in enumerate(collected.records):
            if record["label"] != 1:
                continue
            cases.append(
                {
                    "id": str(record["id"]),
                    "probability": float(columns["probabilities"][index, 1]),
                    "prediction": self.classes[int(columns["prediction"][index])],
                    "decision": str(columns["decision"][index]),
                    "found": bool(columns["prediction"][index] == 1),
                    **asdict(lesion_sizes(record)),
                }
            )
        cases.sort(key=lambda case: (np.inf if case["largest_mm"] is None else case["largest_mm"], case["id"]))
        present = [kind for kind in (*LESION_KINDS, UNKNOWN) if any(case["kind"] == kind for case in cases)]
        return {
            "class": self.classes[1],
            "kinds": {kind: self._kind([case for case in cases if case["kind"] == kind]) for kind in present},
            "cases": cases,
        }

    def _kind(self, cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        unseen = sum(not case["found"] and case["decision"] == "accept" for case in cases)
        return {
            "title": KIND_TITLES.get(cases[0]["kind"], "size not known"),
            "n": len(cases),
            "found": _share(sum(case["found"] for case in cases), len(cases)),
            "accepted_as_other": _share(unseen, len(cases)),
        }


def _share(count: int, total: int) -> dict[str, Any]:
    return {"count": count, "value": count / total, "ci95": [float(end) for end in wilson_interval(count, total)]}
