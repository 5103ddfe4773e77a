"""Results back to where the images came from: overlays and a structured report for every radiograph read from DICOM."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import ignite.distributed as idist
import pandas as pd
import torch
from ignite.engine import Engine, Events
from pydicom.dataset import Dataset

from scripts.dicom import is_dicom
from scripts.dicom_codes import FINDING_CODES
from scripts.dicom_identity import Pseudonyms, read_identity
from scripts.dicom_overlay import overlay_instance, overlay_pixels
from scripts.dicom_report import FindingResult, report_instance
from scripts.dicom_uids import ResultUids
from scripts.explained_images import ExplainedImages
from scripts.findings_table import FindingsWriter
from shared.data.errors import DataError
from shared.data.file_names import safe_name
from shared.data.files import atomic_folder, atomic_path
from shared.saliency.base import Attribution
from shared.saliency.titles import method_title

__all__ = ["DicomWriter", "Drawn"]

#: of which findings an overlay is drawn
Drawn = Literal["present_or_flagged", "all", "none"]


class DicomWriter:
    """Ignite handler that writes DICOM results of the images of an evaluation, behind the predictions.

    Below ``dicom`` of the output folder every image that is a DICOM file gets a folder: ``report.dcm``, a structured
    report of all findings, and ``overlay_<finding>.dcm``, a Secondary Capture, for findings that are drawn. All are of
    the study of their image, whose identity they copy and to which they refer. ``index.csv`` tells which image each
    folder belongs to, and why an image has none.

    Args:
        predictions: whose table is told.
        images: how the images are read.
        method: draws the maps.
        method_name: its name, as configs call it.
        device: device of the network.
        output_dir: where to write.
        uids: of the results.
        metadata: content of the bundle's ``metadata.json``.
        drawn: of which findings an overlay is drawn.
        pseudonyms: that results name in place of a patient; ``None`` if they name whom their images name.
        series_number: of the overlays; the report's is one more.

    Raises:
        DataError: if ``drawn`` is none of :data:`Drawn`, or a finding has no code; when called, if no image is a DICOM
            file.
    """

    def __init__(
        self,
        predictions: FindingsWriter,
        images: ExplainedImages,
        method: Attribution,
        method_name: str,
        device: torch.device | str,
        output_dir: str | os.PathLike[str],
        uids: ResultUids,
        metadata: Mapping[str, Any],
        drawn: Drawn = "present_or_flagged",
        pseudonyms: Pseudonyms | None = None,
        series_number: int = 9901,
    ) -> None:
        if drawn not in get_args(Drawn):
            raise DataError(f"dicom_overlays is {drawn!r}, expected one of {', '.join(get_args(Drawn))}")
        if unknown := [name for name in images.classes if name not in FINDING_CODES]:
            raise DataError(
                f"{', '.join(unknown)}: no SNOMED CT code is known; add it to FINDING_CODES in scripts/dicom_codes.py"
            )
        self.predictions = predictions
        self.images = images
        self.method = method
        self.method_name = method_name
        self.device = torch.device(device)
        self.folder = Path(output_dir) / "dicom"
        self.uids = uids
        self.metadata = metadata
        self.drawn = drawn
        self.pseudonyms = pseudonyms
        self.series_number = series_number

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator, behind the writer of the predictions."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, _: Engine) -> None:
        """Write."""
        if idist.get_rank() != 0:
            return
        if (table := self.predictions.table) is None:
            raise RuntimeError("there are no predictions: list their writer before this handler")
        places = [i for i, record in enumerate(self.images.records) if is_dicom(Path(record["image"]))]
        if not places:
            raise DataError("no image is a DICOM file; leave dicom.json out of --config_file")
        # it tells of every module that it copies
        logging.getLogger("highdicom").setLevel(logging.WARNING)
        moment = datetime.now().astimezone()
        rows = [self._write(place, table.iloc[place], moment) for place in places]
        index = pd.DataFrame(rows)
        with atomic_path(self.folder / "index.csv") as temporary:
            index.to_csv(temporary, index=False)
        written = int((index["reason"] == "").sum())
        logging.getLogger(type(self).__name__).info(
            f"{self.folder}: reports of {written} images"
            + (f", none of {len(index) - written}: see index.csv" if written < len(index) else "")
        )

    def _write(self, place: int, row: pd.Series, moment: datetime) -> dict[str, Any]:
        """Write the results of one image; return its row of the index."""
        record = self.images.records[place]
        entry = {"id": record["id"], "folder": "", "overlays": 0, "reason": ""}
        try:
            source = read_identity(record["image"])
            if self.pseudonyms:
                source = self.pseudonyms(source)
            # a name made of the source's would tell what the header does not
            name = str(source.SOPInstanceUID) if self.pseudonyms else safe_name(str(record["id"]))
            results = [self._result(finding, row) for finding in self.images.classes]
            overlays, report = self._instances(place, source, results, moment)
        except DataError as error:
            return entry | {"reason": str(error)}
        # as a whole: overlays of an earlier run, of findings that are not drawn now, go
        with atomic_folder(self.folder / name) as folder:
            for file, content in {
                **{f"overlay_{key}": image for key, image in overlays.items()},
                "report": report,
            }.items():
                content.save_as(folder / f"{file}.dcm", enforce_file_format=True)
        return entry | {"folder": name, "overlays": len(overlays)}

    def _instances(
        self, place: int, source: Dataset, results: Sequence[FindingResult], moment: datetime
    ) -> tuple[dict[str, Dataset], Dataset]:
        """Return the overlays of one image, by the names of their findings, and its report.

        Raises:
            DataError: if no valid result can take over what the image's header says.
        """
        try:
            overlays = self._overlays(place, source, results, moment)
            report = report_instance(
                source,
                results,
                overlays,
                uids=self.uids,
                intended_use=str(self.metadata["intended_use"]),
                series_number=self.series_number + 1,
                moment=moment,
            )
        except DataError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # of highdicom, which writes nothing invalid
            raise DataError(
                f"{self.images.records[place]['image']}: no valid DICOM result can take over its header ({error}); "
                "correct the header where the image is archived"
            ) from error
        return overlays, report

    @staticmethod
    def _result(finding: str, row: pd.Series) -> FindingResult:
        return FindingResult(
            name=finding,
            probability=float(row[f"probability_{finding}"]),
            confidence=float(row[f"confidence_{finding}"]),
            distinctiveness=float(row[f"distinctiveness_{finding}"]),
            present=bool(row[f"prediction_{finding}"]),
            alarm=bool(row[f"alarm_{finding}"]),
            reason=str(row[f"reason_{finding}"]),
        )

    def _overlays(
        self, place: int, source: Dataset, results: Sequence[FindingResult], moment: datetime
    ) -> dict[str, Dataset]:
        """Return the overlays of the findings that are drawn, by their names."""
        drawn = [k for k, one in enumerate(results) if self.drawn == "all" or one.present or one.alarm]
        if self.drawn == "none" or not drawn:
            return {}
        original = self.images.original(place)
        maps = original.restore(self._maps(place))  # (K, H, W)
        image = str(source.SOPInstanceUID)
        series, overlays = self.uids.uid(image, "overlay series"), {}
        for number, finding in enumerate(drawn, start=1):
            result = results[finding]
            title = method_title(self.method_name)
            lines = [
                f"{result.name}: {'present' if result.present else 'absent'}, probability {result.probability:.2f}, "
                f"confidence {result.confidence:.2f}{', ALARM' if result.alarm else ''}",
                f"{title}; red speaks for the finding, blue against it; research software, not for diagnosis",
            ]
            overlays[result.name] = overlay_instance(
                source,
                overlay_pixels(original.grey, maps[finding], lines),
                description=f"Saliency map ({title}) of {result.name} over the source image, text above it",
                uid=self.uids.uid(image, f"overlay {result.name}"),
                series=series,
                series_number=self.series_number,
                number=number,
                moment=moment,
            )
        return overlays

    def _maps(self, place: int) -> torch.Tensor:
        """Return the maps of all findings of one image, ``(K, S, S)``."""
        inputs = self.images.inputs([place]).to(self.device)
        return self.method.attribute_classes(inputs).maps.sum(dim=2)[0]
