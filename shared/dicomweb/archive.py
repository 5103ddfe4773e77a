"""An archive that speaks DICOMweb (PS3.18): what it has, images from it, results into it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.dicomweb.failures import failures_of, told_status

__all__ = ["Archive", "ArchiveError", "Series"]

#: what dicomweb-client and pydicom raise for answers that are none
_NO_ANSWER = (ValueError, KeyError, IndexError, AttributeError, TypeError, EOFError, NotImplementedError)
#: results are sent in one piece: not every server takes pieces, and a request is then made again as a whole
PIECE_BYTES = 1 << 40


class ArchiveError(DataError):
    """An archive cannot be reached, refuses, or answers with something else.

    Args:
        message: for the user.
        status: of HTTP, where there was one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Series:
    """A series of a study, by UIDs."""

    study: str
    series: str


class Archive:
    """One DICOMweb service.

    Args:
        server: root of the service.
        session: see :func:`shared.dicomweb.session.open_session`.
        timeout_s: longest time without a byte, s.
        page_size: of searches.
    """

    def __init__(
        self,
        server: str,
        session: requests.Session,
        timeout_s: float = 60.0,
        page_size: int = 100,
    ) -> None:
        self.server = server.rstrip("/")
        self.page_size = page_size
        self._client = DICOMwebClient(self.server, session=session, callback=_plain_media_type, timeout=timeout_s)
        self._client.set_http_retry_params(retry=False)  # the session tries again
        self._client.set_chunk_size(PIECE_BYTES)
        # it would name patients' studies in the log of whoever runs it
        logging.getLogger("dicomweb_client").setLevel(logging.WARNING)

    def series(self, keys: Mapping[str, str], modalities: Sequence[str]) -> list[Series]:
        """Return the series of some modalities in the studies that match, in the order of the archive.

        Args:
            keys: of the studies, by keyword; see :meth:`shared.dicomweb.query.Query.filters`.
            modalities: that count.

        Raises:
            ArchiveError: if the archive cannot be asked.
        """
        return [
            Series(study, series)
            for study in self._search("studies", keys, "StudyInstanceUID")
            for series in self._search("series", {"StudyInstanceUID": study}, "SeriesInstanceUID", modalities)
        ]

    def headers(self, series: Series, keywords: Sequence[str]) -> list[Dataset]:
        """Return of each instance of a series what its header says under some keywords.

        Raises:
            ArchiveError: if the archive cannot be asked, or an instance has no valid SOPInstanceUID.
        """
        with self._told(f"metadata of series {series.series}"):
            entries = self._client.retrieve_series_metadata(series.study, series.series)
            headers = [_dataset(entry, keywords) for entry in entries]
        for header in headers:
            if not UID(str(header.get("SOPInstanceUID", ""))).is_valid:
                raise ArchiveError(f"{self.server}: series {series.series} holds an instance without a valid UID")
        return headers

    def fetch(self, series: Series, instance: str, path: Path) -> None:
        """Write an instance to a file, in the transfer syntax that it is stored in.

        Raises:
            ArchiveError: if it cannot be had, or another one was sent.
        """
        with self._told(f"image {instance}"):
            content = self._client.retrieve_instance(series.study, series.series, instance)
            if str(content.get("SOPInstanceUID", "")) != instance:
                raise ArchiveError(f"{self.server}: sent another instance in place of {instance}; tell who runs it")
            with atomic_path(path) as temporary:
                content.save_as(temporary, enforce_file_format=True)

    def has(self, study: str, instance: str) -> bool:
        """Return whether the archive has an instance.

        Raises:
            ArchiveError: if the archive cannot be asked.
        """
        keys = {"StudyInstanceUID": study, "SOPInstanceUID": instance}
        try:
            return instance in self._search("instances", keys, "SOPInstanceUID")
        except ArchiveError as error:
            if error.status == requests.codes.not_found:  # of a study that the archive does not know
                return False
            raise

    def store(self, files: Sequence[Path]) -> dict[str, str]:
        """Store instances of one image.

        Args:
            files: to be sent together.

        Returns:
            Why an instance was not stored, by SOPInstanceUID; empty if all were.

        Raises:
            ArchiveError: if the archive cannot be reached, or refuses the request as a whole.
        """
        instances = [pydicom.dcmread(file) for file in files]
        sent = [str(instance.SOPInstanceUID) for instance in instances]
        with self._told(f"storing {len(sent)} instances"):
            try:
                answer = self._client.store_instances(instances)
            except requests.HTTPError as error:
                # 409: none was stored, and the body says why
                if error.response is None or error.response.status_code != requests.codes.conflict:
                    raise
                answer = Dataset.from_json(error.response.json())
        return failures_of(answer, sent)

    def _search(
        self, level: str, keys: Mapping[str, str], wanted: str, modalities: Sequence[str] | None = None
    ) -> list[str]:
        """Return the UIDs of what matches, page by page."""
        filters = dict(keys)
        study = {} if level == "studies" else {"study_instance_uid": filters.pop("StudyInstanceUID")}
        search = getattr(self._client, f"search_for_{level}")
        found: dict[str, bool] = {}
        while True:
            with self._told(f"search for {level}"):
                page = search(limit=self.page_size, offset=len(found), search_filters=filters, **study)
                entries = [_dataset(entry, (wanted, "Modality")) for entry in page]
            known = len(found)
            for entry in entries:
                if not UID(uid := str(entry.get(wanted, ""))).is_valid:
                    raise ArchiveError(f"{self.server}: search for {level}: {uid!r} is no {wanted}")
                found.setdefault(uid, modalities is None or entry.get("Modality") in modalities)
            # a server without pages sends all again and again
            if len(entries) < self.page_size or len(found) == known:
                return [uid for uid, counts in found.items() if counts]

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn what goes wrong into what a person can do about it."""
        try:
            yield
        except ArchiveError:
            raise
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            raise ArchiveError(f"{self.server}: {what}: {told_status(status)}", status) from error
        except requests.exceptions.SSLError as error:
            raise ArchiveError(
                f"{self.server}: {what}: its certificate is not trusted; name the certificate of your authority in "
                "REQUESTS_CA_BUNDLE"
            ) from error
        except requests.Timeout as error:
            raise ArchiveError(f"{self.server}: {what}: no answer in time; try later, or a longer timeout_s") from error
        except requests.exceptions.ChunkedEncodingError as error:
            raise ArchiveError(f"{self.server}: {what}: the connection broke during the answer; try again") from error
        except requests.ConnectionError as error:
            raise ArchiveError(
                f"{self.server}: {what}: cannot be reached, or ended the connection; is the address right, does the "
                "server run, does a firewall stand between?"
            ) from error
        except (requests.RequestException, InvalidDicomError, *_NO_ANSWER) as error:
            raise ArchiveError(
                f"{self.server}: {what}: answers with something that is no DICOMweb ({type(error).__name__}); is the "
                "address the root of the service, such as https://HOST/dicom-web?"
            ) from error


def _dataset(entry: Mapping[str, Any], keywords: Sequence[str]) -> Dataset:
    """Return some elements of an entry in the DICOM JSON model, without values that stand elsewhere."""
    tags = [f"{tag_for_keyword(name):08X}" for name in keywords]
    return Dataset.from_json({tag: entry[tag] for tag in tags if tag in entry and "BulkDataURI" not in entry[tag]})


def _plain_media_type(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
    """Take off what follows the media type: dicomweb-client does not know a list of failures with a character set."""
    kind = response.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip() in ("application/dicom+json", "application/json"):
        response.headers["Content-Type"] = kind.partition(";")[0].strip()
    return response
