"""From CheXpert, the NIH's archive or a folder of DICOM to one datalist: checked, split by patient, what was left out.

Settings come from ``configs/prepare.json``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from scripts.findings import FINDINGS
from scripts.image_check import ImageCheck
from scripts.image_selection import ImageSelection
from scripts.source_image import Layout, SourceImage
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, write_excluded
from shared.data.layouts import recognise
from shared.data.left_out import Nouns, main_reasons
from shared.data.preparation import PreparedFolder
from shared.data.prepare_settings import PREPARED_WITH
from shared.data.split_advice import SplitWords
from shared.data.splits import check_group_disjoint, split_by_group
from shared.data.summary import Summary

__all__ = ["NOUNS", "UNLABELLED", "Preparation", "image_records"]

logger = logging.getLogger(__name__)

UNLABELLED = "unlabelled"
NOUNS = Nouns("patient", "patients", "image", "images")

_Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Preparation:
    """Writes the datalist of a data set. Images stay where they are; the datalist points at them.

    A call whose result is already there does nothing.

    Args:
        classes: names of the five findings in the order of the labels.
        layouts: the layouts that a source may have, by their keys in ``configs/prepare.json``.
        selection: which images are used, and what uncertain labels become.
        check: which images can be used.
        fractions: share of each section.
        published: into which sections each published part (``train``, ``valid``, ``test``) of a source goes, divided by
            patient in the proportion of their fractions. None, or a source without such parts: all of it is divided.
        seed: seed of the split.
        workers: number of processes that read images.
    """

    classes: Sequence[str]
    layouts: Mapping[str, Layout]
    selection: ImageSelection
    check: ImageCheck
    fractions: Mapping[str, float]
    published: Mapping[str, Sequence[str]] | None = None
    seed: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if tuple(self.classes) != FINDINGS:
            raise DataError(f"classes: found {list(self.classes)}, expected {list(FINDINGS)}, in this order")
        for part, sections in (self.published or {}).items():
            if unknown := sorted(set(sections) - set(self.fractions)):
                raise DataError(f"published: '{part}' goes to '{unknown[0]}', expected {', '.join(self.fractions)}")

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
        settings = {**self._reading(name, layout), "fractions": self.fractions, "published": self.published}
        folder = PreparedFolder(
            output,
            source,
            layout.files(source),
            {**settings, "seed": self.seed},
            written=("datalist.json", "excluded.csv"),
            sections=(*self.fractions, UNLABELLED),
        )
        collect = partial(self._collect, name, layout, source, output, progress)
        reused = folder.fill(collect, self.classes, overwrite)
        return Summary.read(folder.datalist, "patient", ("age",), reused, NOUNS)

    def _collect(
        self, name: str, layout: Layout, source: Path, output: Path, progress: bool
    ) -> tuple[dict[str, _Records], dict[str, Any]]:
        """Return the records of each section and what the datalist says about itself; write ``excluded.csv``."""
        found, excluded = image_records(layout, self.selection, self.check, source, self.workers, progress)
        write_excluded(output / "excluded.csv", excluded)
        labelled = [record for record in found if "label" in record]
        if not labelled:
            raise DataError(
                f"{source}: no usable labelled image ({len(found)} without labels); {len(excluded)} item(s) were left "
                f"out, see {output / 'excluded.csv'}; the reasons: {main_reasons(excluded, NOUNS)}"
            )
        self._warn(labelled)
        parts = {record["published"] for record in labelled if "published" in record}
        sections = self._divide(labelled, source)
        sections[UNLABELLED] = [_without(record, "published") for record in found if "label" not in record]
        check_group_disjoint({section: sections[section] for section in self.fractions}, "patient")
        info = {
            "bundle": "chexpert_informer",
            "source": source.name,
            "layout": name,
            "image": "frontal chest radiograph, grey",
            PREPARED_WITH: self._reading(name, layout),
            "split_by": "patient" if self.published is None or not parts else "published parts, then patient",
            "seed": self.seed,
            "patients": {name: len({record["patient"] for record in section}) for name, section in sections.items()},
            "images": {name: len(section) for name, section in sections.items()},
            "excluded": len(excluded),
        }
        return sections, info

    def _divide(self, records: _Records, source: Path) -> dict[str, _Records]:
        """Return the records of each section; the sections of a published part are divided by patient."""
        parts = {str(record.get("published", "")) for record in records}
        plan: dict[str, Sequence[str]] = {"": list(self.fractions)}
        if self.published is not None and parts != {""}:
            plan = dict(self.published)
            if missing := sorted(parts - set(plan)):
                named = ", ".join(repr(part or "none") for part in missing)
                raise DataError(
                    f"{source}: images of the published part(s) {named}, which published has no sections for; found "
                    f"{dict(plan)}; set published to null to divide all images by patient"
                )
        else:
            records = [{**record, "published": ""} for record in records]
        sections: dict[str, _Records] = {name: [] for name in self.fractions}
        for part, names in plan.items():
            of_part = [record for record in records if record.get("published", "") == part]
            if of_part:
                for name, chosen in self._split(of_part, names).items():
                    sections[name] += chosen
        if empty := [name for name, section in sections.items() if not section]:
            raise DataError(
                f"{source}: no image for {' and '.join(empty)}: the source has the part(s) "
                f"{', '.join(sorted(parts))} and published is {dict(self.published or {})}; set published to "
                '\'{"train": ["training", "validation"], "valid": ["test"]}\', or to null to divide all by patient'
            )
        return {name: [_without(record, "published") for record in section] for name, section in sections.items()}

    def _split(self, records: _Records, names: Sequence[str]) -> dict[str, _Records]:
        if len(names) == 1:
            return {names[0]: records}
        total = sum(self.fractions[name] for name in names)
        fractions = {name: self.fractions[name] / total for name in names}
        positive = np.array([[value == 1 for value in record["label"]] for record in records])
        patients = np.array([record["patient"] for record in records])
        # a finding that fewer patients have than there are sections cannot be in all of them, and is not balanced
        common = [k for k in range(len(FINDINGS)) if len(set(patients[positive[:, k]])) >= len(names)]
        balanced = np.column_stack([positive[:, common], ~positive.any(axis=1)]).astype(int)
        balanced = balanced[:, [len(set(patients[column == 1])) >= len(names) for column in balanced.T]]
        chosen = split_by_group(patients.tolist(), balanced, fractions, self.seed, words=SplitWords("patient"))
        return {name: [records[index] for index in indices] for name, indices in chosen.items()}

    def _warn(self, records: _Records) -> None:
        """Name the findings that a network cannot learn from these data."""
        for index, name in enumerate(FINDINGS):
            values = {record["label"][index] for record in records}
            if 1 not in values or 0 not in values:
                found = "no image with" if 1 not in values else "no image without"
                logger.warning("%s %s; a network cannot learn it from these data", found, name)

    def _reading(self, name: str, layout: Layout) -> dict[str, Any]:
        """Return what decides how images are read, by the keys of ``configs/prepare.json``, for raw data."""
        return {
            name: asdict(cast(Any, layout)),
            "selection": asdict(self.selection),
            "check": asdict(self.check),
        }


def image_records(
    layout: Layout,
    selection: ImageSelection,
    check: ImageCheck,
    source: Path,
    workers: int = 1,
    progress: bool = True,
) -> tuple[_Records, list[Exclusion]]:
    """Return one record per usable frontal image, with absolute paths, and what was left out.

    A record has ``id``, ``patient``, ``image`` (path), and where they are known ``label`` (1, 0 or None of each
    finding), ``age`` (years), ``sex``, ``view``, ``published``, ``truth`` and ``boxes``.

    Raises:
        DataError: if a table cannot be used at all.
    """
    listed, excluded = layout.read(source)
    frontal, others = selection.views(listed)
    labels, unwanted = selection.labels(frontal)
    unlabelled = {id(image) for image in frontal if image.codes is None}
    wanted = {id(image): label for image, label in zip(frontal, labels, strict=True) if label is not None}
    chosen = [image for image in frontal if id(image) in wanted or id(image) in unlabelled]
    usable, unusable = check(chosen, source, workers, progress)
    records = [_record(image, wanted.get(id(image))) for image in usable]
    return records, [*excluded, *others, *unwanted, *unusable]


def _record(image: SourceImage, label: list[int | None] | None) -> dict[str, Any]:
    record = {
        "id": image.identity,
        "patient": image.patient,
        "image": str(image.path.resolve()),
        "label": label,
        "age": image.age,
        "sex": image.sex,
        "view": image.view,
        "published": image.published,
        "truth": None if image.truth is None else str(image.truth.resolve()),
        "boxes": image.boxes,
    }
    return {key: value for key, value in record.items() if value is not None}


def _without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}
