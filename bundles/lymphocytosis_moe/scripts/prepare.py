"""From a table and a folder of images per patient to one datalist: checked, split by patient, with what was left out.

Settings come from ``configs/prepare.json``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scripts.generated_truth import truth_of
from scripts.image_check import ImageCheck
from scripts.source_layout import Patient, SourceLayout
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, write_excluded
from shared.data.layouts import recognise
from shared.data.left_out import Nouns, main_reasons
from shared.data.preparation import PreparedFolder
from shared.data.prepare_settings import PREPARED_WITH
from shared.data.split_advice import SplitWords
from shared.data.splits import check_group_disjoint, split_records
from shared.data.summary import Summary

__all__ = ["NOUNS", "UNLABELLED", "Preparation", "patient_records"]

logger = logging.getLogger(__name__)

UNLABELLED = "unlabelled"
NOUNS = Nouns("patient", "patients", "image", "images")

_Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Preparation:
    """Writes the datalist of a data set. Images stay where they are; the datalist points at them.

    A call whose result is already there does nothing.

    Args:
        classes: names of the classes in the order of the labels.
        layouts: the layouts that a source may have, by their keys in ``configs/prepare.json``.
        check: which images can be used.
        fractions: share of each section.
        seed: seed of the split.
        workers: number of processes that read images.
    """

    classes: Sequence[str]
    layouts: Mapping[str, SourceLayout]
    check: ImageCheck
    fractions: Mapping[str, float]
    seed: int = 0
    workers: int = 1

    def __call__(
        self,
        source: str | os.PathLike[str],
        output: str | os.PathLike[str],
        overwrite: bool = False,
        progress: bool = True,
    ) -> Summary:
        """Prepare a data set.

        Args:
            source: a folder of one of the layouts.
            output: folder that receives ``datalist.json`` and ``excluded.csv``.
            overwrite: begin anew, whatever was prepared there.
            progress: whether to show a progress bar.

        Raises:
            DataError: if the source holds nothing usable, a split by patient is not possible, or the output was
                prepared from another source or with other settings and ``overwrite`` is false.
        """
        source, output = Path(source), Path(output)
        name, layout = recognise(source, self.layouts)
        folder = PreparedFolder(
            output,
            source,
            layout.files(source),
            {"layout": asdict(layout), "check": asdict(self.check), "fractions": self.fractions, "seed": self.seed},
            written=("datalist.json", "excluded.csv"),
            sections=(*self.fractions, UNLABELLED),
        )
        collect = partial(self._collect, name, layout, source, output, progress)
        reused = folder.fill(collect, self.classes, overwrite)
        return Summary.read(folder.datalist, "patient", ("age", "lymphocyte_count"), reused, NOUNS, count_of="image")

    def _collect(
        self, name: str, layout: SourceLayout, source: Path, output: Path, progress: bool
    ) -> tuple[dict[str, _Records], dict[str, Any]]:
        """Return the records of each section and what the datalist says about itself; write ``excluded.csv``."""
        records, excluded, size = patient_records(layout, self.check, source, self.workers, progress)
        write_excluded(output / "excluded.csv", excluded)
        labelled = [record for record in records if "label" in record]
        if not labelled:
            raise DataError(
                f"{source}: no usable patient of the classes {', '.join(self.classes)} ({len(records)} without "
                f"diagnosis); {len(excluded)} item(s) were left out, see {output / 'excluded.csv'}; the reasons: "
                f"{main_reasons(excluded, NOUNS)}"
            )
        words = SplitWords("patient", self.classes, "--fractions")
        sections: dict[str, _Records] = split_records(labelled, self.fractions, "patient", seed=self.seed, words=words)
        sections[UNLABELLED] = [record for record in records if "label" not in record]
        check_group_disjoint(sections, "patient")
        for label, title in enumerate(self.classes):
            if all(record["label"] != label for record in labelled):
                logger.warning("no patient of the class %s; a network cannot learn it from these data", title)
        info = {
            "bundle": "lymphocytosis_moe",
            "source": source.name,
            "table": layout.table,
            "image": "stained blood smear, RGB, 8 bits",
            "image_size": size,
            PREPARED_WITH: self._reading(name, layout),
            "age_on": layout.attributes.reference_date if "birth_date" in layout.columns else None,
            "split_by": "patient",
            "seed": self.seed,
            "patients": {name: sorted(record["patient"] for record in section) for name, section in sections.items()},
            "images": {name: sum(len(record["image"]) for record in section) for name, section in sections.items()},
            "excluded": len(excluded),
        }
        return sections, info

    def _reading(self, name: str, layout: SourceLayout) -> dict[str, Any]:
        """Return what decides how tables and images are read, by the keys of ``configs/prepare.json``, for raw data."""
        settings = asdict(layout)
        # how smears are named is no matter of how a patient is diagnosed
        del settings["smear_pattern"]
        return {name: settings, "check": asdict(self.check)}


def patient_records(
    layout: SourceLayout, check: ImageCheck, source: Path, workers: int = 1, progress: bool = True
) -> tuple[_Records, list[Exclusion], tuple[int, int] | None]:
    """Return one record per usable patient, with absolute paths, what was left out, and the images' size.

    A record has ``id``, ``patient``, ``image`` (paths, sorted), ``age`` (years), ``lymphocyte_count`` (10⁹/L), and
    where they are known ``label``, ``sex``, ``smear`` (one per image), ``truth`` and ``instance_label``.

    Raises:
        DataError: if the table or the folders cannot be used at all.
    """
    listed, excluded = layout.read(source)
    patients, unusable, size = check(listed, source, workers, progress)
    truth = truth_of(patients, source)
    records = []
    for patient in patients:
        try:
            records.append({**_record(patient, layout), **truth.get(patient.identity, {})})
        except DataError as error:
            unusable.append(Exclusion(patient.identity, "patient", str(error)))
    return records, [*excluded, *unusable], size


def _record(patient: Patient, layout: SourceLayout) -> dict[str, Any]:
    attributes = patient.attributes
    record: dict[str, Any] = {
        "id": patient.identity,
        "patient": patient.identity,
        "image": [str(path.resolve()) for path in patient.images],
        "label": attributes.label,
        "age": attributes.age,
        "lymphocyte_count": attributes.lymphocyte_count,
        "sex": attributes.sex,
    }
    if layout.smear_pattern is not None:
        record["smear"] = [layout.smear(patient, path) for path in patient.images]
    return {key: value for key, value in record.items() if value is not None}
