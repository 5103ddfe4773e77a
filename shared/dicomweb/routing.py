"""Images from an archive through a bundle's ``inferring``, and its DICOM results back."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pydicom
from pydicom.dataset import Dataset
from tqdm import tqdm

from shared.calibration.calibration_file import read_calibration
from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.dicomweb.archive import Archive, ArchiveError, Series
from shared.dicomweb.query import Query
from shared.serving.station import load_scripts, open_station, run_station

__all__ = ["CONFIGS", "STATES", "ImageSelection", "Routed", "Router"]

logger = logging.getLogger("routing")

CONFIGS = ("inference", "dicom", "dicomweb")
#: of an image that its run did not come to
STOPPED = "the run ended before this image was done; the same command again does what is missing"
#: what became of an image
STATES = ("stored", "already_stored", "written", "left_out", "failed")


class ImageSelection(Protocol):
    """Which instances of an archive a bundle judges."""

    modalities: Sequence[str]
    keywords: Sequence[str]

    def refusal(self, header: Dataset) -> str | None:
        """Return why an instance is not judged, None if it is; the header holds ``keywords``, where they are known."""


@dataclass(frozen=True)
class Routed:
    """What became of one image.

    Args:
        study: its StudyInstanceUID.
        series: its SeriesInstanceUID.
        instance: its SOPInstanceUID; empty for a series that cannot be looked into.
        state: one of :data:`STATES`.
        reason: why it was left out or failed.
        report: SOPInstanceUID of its report, pseudonymous if results are.
        results: number of instances written.
    """

    study: str
    series: str
    instance: str
    state: str
    reason: str = ""
    report: str = ""
    results: int = 0


class Router:
    """Fetches images, has them judged, and stores what was said of them.

    An image whose report the archive has is not judged again: the report's UID follows from image, weights, calibration
    and settings, and it is stored with or after all that it refers to. Fetched images are removed at the end.

    Args:
        root: of the bundle; its ``dicomweb.json`` tells which images it judges.
        source: where images are.
        target: where results go; ``None`` stores none.
        output: folder for ``predictions.csv``, the results below ``dicom``, and ``routing.csv``.
        overrides: of keys of the configs.

    Raises:
        DataError: if the bundle has no such config, its model or calibration is missing, or results without identity
            are to be stored under pseudonyms that no later run would know.
    """

    def __init__(
        self,
        root: Path,
        source: Archive,
        target: Archive | None,
        output: Path,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        if missing := [name for name in CONFIGS if not (root / "configs" / f"{name}.json").is_file()]:
            raise DataError(f"{root}: no configs/{missing[0]}.json; this bundle judges no images of an archive")
        load_scripts(root)
        self.root, self.source, self.target, self.output = root, source, target, output
        self.overrides = dict(overrides or {})
        parser = open_station(root, "inferring", CONFIGS, self.overrides | {"output_dir": str(output)}).parser
        model, calibration = (parser.get_parsed_content(name) for name in ("model_file", "calibration_file"))
        read_calibration(calibration, model)
        self.selection: ImageSelection = parser.get_parsed_content("dicomweb#selection")
        self._uids = parser.get_parsed_content("dicom#uids")
        self._pseudonyms = parser.get_parsed_content("dicom#pseudonyms")
        if self._pseudonyms is not None and target is not None and not self._pseudonyms.lasting:
            raise DataError(
                "results without identity are to be stored, but no secret to make their pseudonyms with is known, so "
                "that each run would store them anew: set the environment variable DICOM_PSEUDONYM_KEY"
            )

    def __call__(self, query: Query) -> list[Routed]:
        """Do all of it for the images that match; ``routing.csv`` says what became of each.

        Raises:
            ArchiveError: if an archive cannot be searched; what goes wrong with single images is their state.
            DataError: if nothing matches.
        """
        found = self._find(query)
        chosen = [image for image in found if image.state == "written"]
        done: dict[str, Routed] = {}
        try:
            if chosen:
                self.output.mkdir(parents=True, exist_ok=True)
                for image in self._judge(chosen):
                    done[image.instance] = image
        finally:
            # of what was chosen nothing is written before it is done: an error or a person may have ended the run
            done = {one.instance: replace(one, state="failed", reason=STOPPED, report="") for one in chosen} | done
            found = [done.get(image.instance, image) for image in found]
            self._write(found)
        return found

    def _find(self, query: Query) -> list[Routed]:
        """Return all instances of the modalities; those to be judged in the state ``written``."""
        series = [one for keys in query.filters() for one in self.source.series(keys, self.selection.modalities)]
        if not series:
            raise DataError(
                f"{self.source.server}: no study with a series of {' or '.join(self.selection.modalities)} matches; "
                "check study, patient, accession number and dates"
            )
        found: list[Routed] = []
        for one in tqdm(series, desc="searching", unit="series", disable=None):
            try:
                headers = self.source.headers(one, self.selection.keywords)
                found += [self._state(one, header) for header in headers]
            except ArchiveError as error:
                found.append(Routed(one.study, one.series, "", "failed", str(error)))
        return found

    def _state(self, series: Series, header: Dataset) -> Routed:
        image = Routed(series.study, series.series, str(header.SOPInstanceUID), "written")
        if reason := self.selection.refusal(header):
            return replace(image, state="left_out", reason=reason)
        study, instance = image.study, image.instance
        if self._pseudonyms is not None:
            study, instance = self._pseudonyms.uid(study), self._pseudonyms.uid(instance)
        report = str(self._uids.uid(instance, "report"))
        there = self.target is not None and self.target.has(str(study), report)
        return replace(image, report=report, state="already_stored" if there else "written")

    def _judge(self, images: Sequence[Routed]) -> Iterator[Routed]:
        """Fetch images, run the station on them, and store what it wrote; yield each when it is done."""
        folder = Path(tempfile.mkdtemp(prefix=".images-", dir=self.output))
        try:
            fetched = [
                self._fetch(image, folder) for image in tqdm(images, desc="fetching", unit="image", disable=None)
            ]
            if not any(image.state == "written" for image in fetched):
                yield from fetched
                return
            refused, stopped = self._infer(folder)
        finally:
            shutil.rmtree(folder)
        written = self._results()
        judged = tqdm(fetched, desc="storing", unit="image", disable=None if self.target else True)
        reasons = {image.instance: refused.get(image.instance, stopped) for image in fetched}
        for image in judged:
            yield self._store(image, written, reasons) if image.state == "written" else image

    def _fetch(self, image: Routed, folder: Path) -> Routed:
        try:
            self.source.fetch(Series(image.study, image.series), image.instance, folder / f"{image.instance}.dcm")
        except ArchiveError as error:
            return replace(image, state="failed", reason=str(error))
        return image

    def _infer(self, folder: Path) -> tuple[dict[str, str], str]:
        """Run the station; return why it left images out, by SOPInstanceUID, and why the others have no results."""
        excluded = self.output / "excluded.csv"
        excluded.unlink(missing_ok=True)
        places = {"dataset_dir": str(folder), "output_dir": str(self.output)}
        # what an earlier run wrote is not of this one
        (self.output / "dicom" / "index.csv").unlink(missing_ok=True)
        stopped = "the bundle wrote no results of it"
        try:
            run_station(self.root, "inferring", CONFIGS, self.overrides | places)
        except DataError as error:
            if not excluded.is_file():  # the error is none of the images'
                raise
            stopped = str(error)
        if not excluded.is_file():
            return {}, stopped
        table = pd.read_csv(excluded, dtype=str, keep_default_na=False)
        return dict(zip(table["item"].str.removesuffix(".dcm"), table["reason"], strict=True)), stopped

    def _results(self) -> pd.DataFrame:
        """Return the index of what the station wrote, by image."""
        index = self.output / "dicom" / "index.csv"
        if not index.is_file():
            return pd.DataFrame(columns=["folder", "reason"])
        return pd.read_csv(index, dtype=str, keep_default_na=False).set_index("id")

    def _store(self, image: Routed, written: pd.DataFrame, reasons: Mapping[str, str]) -> Routed:
        """Store the results of one image; ``reasons`` say why there are none."""
        if image.instance not in written.index:
            return replace(image, state="failed", reason=reasons[image.instance], report="")
        if reason := str(written.loc[image.instance, "reason"]):
            return replace(image, state="failed", reason=reason, report="")
        files = sorted((self.output / "dicom" / str(written.loc[image.instance, "folder"])).glob("*.dcm"))
        image = replace(image, results=len(files))
        if self.target is None:
            return image
        try:
            failures = self._send(files, image.report)
        except ArchiveError as error:
            return replace(image, state="failed", reason=str(error))
        if failures:
            reason = "; ".join(f"{uid} not stored: {reason}" for uid, reason in failures.items())
            return replace(image, state="failed", reason=reason)
        return replace(image, state="stored")

    def _send(self, files: Sequence[Path], report: str) -> dict[str, str]:
        """Send overlays first, then the report, which refers to them and tells later runs that all is there."""
        assert self.target is not None
        named = {str(pydicom.dcmread(file, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): file for file in files}
        last = named.pop(report)
        failures = self.target.store(list(named.values())) if named else {}
        if failures:
            return failures | {report: "waits for what it refers to"}
        return self.target.store([last])

    def _write(self, found: Sequence[Routed]) -> None:
        table = pd.DataFrame([asdict(image) for image in found])
        with atomic_path(self.output / "routing.csv") as temporary:
            table.to_csv(temporary, index=False)
        states = Counter(image.state for image in found)
        logger.info("%s: %s", self.output / "routing.csv", ", ".join(f"{states[s]} {s}" for s in STATES if states[s]))
