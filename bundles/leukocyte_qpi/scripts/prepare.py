"""From the laboratory's files to one datalist: crops, physical quantities, split by donor, list of what was left out.

Settings come from ``configs/prepare.json``.
"""

from __future__ import annotations

import logging
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.crop_files import save_crop
from scripts.extraction import CellExtraction
from scripts.hologram import HologramReader
from scripts.recording_batch import extract_recordings
from scripts.single_cells import SingleCell, SingleCellReader, list_images
from shared.data.errors import DataError
from shared.data.integrity import Exclusion, check_records, find_duplicates, write_excluded
from shared.data.left_out import main_reasons
from shared.data.preparation import PreparedFolder
from shared.data.prepare_settings import PREPARED_WITH
from shared.data.split_advice import SplitWords
from shared.data.splits import check_group_disjoint, split_records
from shared.data.summary import Summary

__all__ = ["Preparation"]

logger = logging.getLogger(__name__)

# a crop of which more is covered shows no background, so that its zero of phase cannot be right
FILLED = 0.9

# which cells of a recording a data set takes is no matter of how they look
CHOICE_OF_CELLS = ("max_cells_per_recording", "seed")

_Records = list[dict[str, Any]]
_Collected = tuple[_Records, list[Exclusion]]


@dataclass(frozen=True)
class Preparation:
    """Writes a datalist with its crops from recordings, a folder of holograms or crops per class, or an ``.npz`` set.

    An interrupted call goes on where it stopped; a call whose result is already there does nothing.

    Args:
        classes: names of the leukocyte classes in the order of the labels.
        outlier_kinds: names of what is no leukocyte of these classes; such records go to the section ``outlier``.
        extraction: how crops are made from recordings.
        holograms: how holograms are read instead of recordings.
        single_cells: how single-cell crops are read.
        fractions: share of each section.
        seed: seed of the split.
        workers: number of processes that work on recordings.
    """

    classes: Sequence[str]
    outlier_kinds: Sequence[str]
    extraction: CellExtraction
    holograms: HologramReader
    single_cells: SingleCellReader
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
            source: a ``.phase`` recording or a folder with some, a folder with one subfolder of holograms or of crops
                per class, or an ``.npz`` set of crops.
            output: folder that receives ``datalist.json``, ``excluded.csv``, ``crops`` and for phantoms ``truth``.
            overwrite: begin anew, whatever was prepared there.
            progress: whether to show a progress bar.

        Raises:
            DataError: if the source holds nothing usable, a split by donor is not possible, or the output was
                prepared from another source or with other settings and ``overwrite`` is false.
        """
        source, output = Path(source), Path(output)
        files, collect = self._recognise(source)
        folder = PreparedFolder(
            output,
            source,
            files,
            {key: value for key, value in asdict(self).items() if key != "workers"},
            written=("crops", "truth", "datalist.json", "excluded.csv"),
            sections=(*self.fractions, "outlier"),
        )

        def contents() -> tuple[dict[str, _Records], dict[str, Any]]:
            records, excluded = collect(source, files, output, progress)
            return self._divide(records, excluded, output, source)

        reused = folder.fill(contents, self.classes, overwrite)
        return Summary.read(folder.datalist, "donor", ("opd_peak_nm", "area_um2", "dry_mass_pg"), reused)

    def _recognise(self, source: Path) -> tuple[list[Path], Callable[[Path, list[Path], Path, bool], _Collected]]:
        """Return the files of a source and the method that collects cells from them."""
        if source.is_file() and source.suffix == ".npz":
            return [source], self._collect_npz
        if files := self.extraction.reader.list_files(source):
            return files, self._collect_recordings
        if not source.is_dir():
            what = f"is a file of kind '{source.suffix}'" if source.exists() else "no such folder or file"
            raise DataError(
                f"{source}: {what}; expected as --source recordings ({self.extraction.reader.file_pattern}), a folder "
                "of them, a folder with one subfolder of crops or holograms per class, or an .npz set of crops"
            )
        names = [*self.classes, *self.outlier_kinds]
        if any((source / name).is_dir() for name in names):
            holograms, images = self.holograms.list_files(source), list_images(source)
            if holograms and images:
                raise DataError(
                    f"{source}: holds holograms ({holograms[0].name}, …) and crops ({images[0].name}, …); prepare each "
                    "from a folder of its own"
                )
            return (holograms, self._collect_holograms) if holograms else (images, self._collect_folder)
        found = ", ".join(path.name for path in sorted(source.iterdir())[:5])
        raise DataError(
            f"{source}: nothing to prepare; found {found or 'an empty folder'}, "
            f"expected recordings ({self.extraction.reader.file_pattern}), or subfolders of crops or holograms "
            f"with the names {', '.join(names)}"
        )

    def _collect_recordings(self, _: Path, files: list[Path], output: Path, progress: bool) -> _Collected:
        return self._extract(self.extraction, files, output, progress)

    def _collect_holograms(self, _: Path, files: list[Path], output: Path, progress: bool) -> _Collected:
        return self._extract(replace(self.extraction, reader=self.holograms), files, output, progress)

    def _extract(self, extraction: CellExtraction, files: list[Path], output: Path, progress: bool) -> _Collected:
        records, excluded = extract_recordings(extraction, files, output, self.workers, progress)
        return [{**record, **self._group(record.get("label", record.get("kind")))} for record in records], excluded

    def _collect_folder(self, source: Path, _: list[Path], output: Path, progress: bool) -> _Collected:
        excluded: list[Exclusion] = []
        cells = self.single_cells.read_folder(source, self.extraction.reader.donor, excluded)
        return self._write_cells(cells, output, excluded, progress), excluded

    def _collect_npz(self, source: Path, _: list[Path], output: Path, progress: bool) -> _Collected:
        excluded: list[Exclusion] = []
        return self._write_cells(self.single_cells.read_npz(source, excluded), output, excluded, progress), excluded

    def _write_cells(
        self, cells: Iterable[SingleCell], output: Path, excluded: list[Exclusion], progress: bool
    ) -> _Records:
        """Write single-cell crops as NPY files and describe them."""
        records = []
        for cell in tqdm(cells, desc="preparing", unit="cell", disable=not progress):
            try:
                group = self._group(cell.group)
            except DataError as error:
                excluded.append(Exclusion(cell.source, cell.identity, str(error), "cell"))
                continue
            # without donors each cell stands alone, which the datalist says under info
            origin = {"donor": cell.donor or cell.identity, "source": cell.source}
            measured = self._at_scale(cell.pixel_scale).measure_crop(cell.image)
            if cell.pixel_scale != 1:
                measured["pixel_size_um"] = self.extraction.optics.pixel_size_um * cell.pixel_scale
            image = save_crop(output, cell.identity, cell.image)
            records.append({"id": cell.identity, "image": image, **group, **origin, **measured})
        return records

    def _at_scale(self, pixel_scale: float) -> CellExtraction:
        """Return the extraction for crops whose pixels are so many times as long."""
        size = self.extraction.optics.pixel_size_um * pixel_scale
        return replace(
            self.extraction,
            optics=replace(self.extraction.optics, pixel_size_um=size),
            segmentation=replace(self.extraction.segmentation, pixel_size_um=size),
        )

    def _group(self, name: str | None) -> dict[str, Any]:
        """Return ``label`` or ``kind`` of a record by a class' name or index, or the name of an outlier kind.

        Raises:
            DataError: if there is no such class or kind.
        """
        if name in self.outlier_kinds:
            return {"kind": name}
        if name in self.classes:
            return {"label": list(self.classes).index(str(name))}
        if name is not None and name.isdecimal() and int(name) < len(self.classes):
            return {"label": int(name)}
        raise DataError(
            f"unknown class '{name}', expected one of {', '.join([*self.classes, *self.outlier_kinds])}, or an index "
            f"below {len(self.classes)}"
        )

    def _divide(
        self, records: _Records, excluded: list[Exclusion], output: Path, source: Path
    ) -> tuple[dict[str, _Records], dict[str, Any]]:
        """Check every record, split the leukocytes by donor, and gather what the datalist says about itself.

        Writes ``excluded.csv``, also if nothing is left.
        """
        absolute = [{**record, "image": str((output / record["image"]).resolve())} for record in records]
        size = (self.extraction.crop_size, self.extraction.crop_size)
        report = check_records(absolute, size, range(len(self.classes)), what="cell")
        excluded = [*excluded, *report.excluded]
        write_excluded(output / "excluded.csv", excluded)
        cells = [record for record in report.kept if "label" in record]
        if not cells:
            raise DataError(
                f"{source}: no usable cell of the classes {', '.join(self.classes)}; {len(excluded)} item(s) were left "
                f"out, see {output / 'excluded.csv'}; the reasons: {main_reasons(excluded)}"
            )
        words = SplitWords("donor", self.classes, "--fractions")
        sections: dict[str, _Records] = split_records(cells, self.fractions, "donor", seed=self.seed, words=words)
        check_group_disjoint(sections, "donor")
        sections["outlier"] = [record for record in report.kept if "kind" in record]
        duplicates = find_duplicates(sections, report.digests, "donor")
        for same in duplicates:
            logger.warning("equal images: %s; one recording may be filed under two donors", ", ".join(same))
        self._warn(cells)
        info = {
            "bundle": "leukocyte_qpi",
            "source": source.name,
            "image": "background-subtracted phase in radians",
            **asdict(self.extraction.optics),
            **self._pixel_size(report.kept),
            "split_by": "donor" if all(cell["donor"] != cell["id"] for cell in cells) else "cell (no donors given)",
            PREPARED_WITH: self._crop_settings(),
            "seed": self.seed,
            "donors": {name: sorted({record["donor"] for record in section}) for name, section in sections.items()},
            "excluded": len(excluded),
            "duplicates": duplicates,
        }
        return sections, info

    def _crop_settings(self) -> dict[str, Any]:
        """Return what decides how crops look, by the keys of ``configs/prepare.json``, for inferring on raw data."""
        settings = {name: asdict(getattr(self, name)) for name in ("extraction", "holograms", "single_cells")}
        for name in CHOICE_OF_CELLS:
            del settings["extraction"][name]
        return settings

    def _pixel_size(self, records: _Records) -> dict[str, Any]:
        """Return the pixel size of the crops, None if they differ in it, and that before resizing if some were."""
        given = self.extraction.optics.pixel_size_um
        sizes = {record.get("pixel_size_um", given) for record in records}
        before = {} if sizes == {given} else {"pixel_size_um_before_resizing": given}
        return {"pixel_size_um": sizes.pop() if len(sizes) == 1 else None, **before}

    def _warn(self, cells: _Records) -> None:
        """Name what is likely to be wrong with the leukocytes though it can be prepared."""
        present = {cell["label"] for cell in cells}
        for label, name in enumerate(self.classes):
            if label not in present:
                logger.warning("no cell of the class %s; a network cannot learn it from these data", name)
        given, pixels = self.extraction.optics.pixel_size_um, self.extraction.crop_size**2
        filled = statistics.median(
            cell["area_um2"] / (pixels * cell.get("pixel_size_um", given) ** 2) for cell in cells
        )
        if filled > FILLED:
            logger.warning(
                "the cell fills the crop: the median of the segmented area is %.0f %% of it; check that the background "
                "is near 0 rad, segmentation#threshold_rad (%g) and crop_size (%d)",
                100 * filled,
                self.extraction.segmentation.threshold_rad,
                self.extraction.crop_size,
            )
