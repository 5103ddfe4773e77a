"""An archive by its answers: a server on the loopback address that says what it is told to say."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest
import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

pytest.importorskip("dicomweb_client", reason="not installed: pip install 'monai-explainable-bundles[dicom]'")

from shared.dicomweb.archive import Archive, ArchiveError, Series
from shared.dicomweb.session import open_session

SERIES = Series("1.2.3", "1.2.3.4")
JSON = "application/dicom+json"


def instance(uid="1.2.3.4.5"):
    content = Dataset()
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.SOPClassUID = content.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    content.SOPInstanceUID = content.file_meta.MediaStorageSOPInstanceUID = uid
    content.StudyInstanceUID, content.SeriesInstanceUID, content.Modality = SERIES.study, SERIES.series, "DX"
    return content


def as_part(content):
    stream = BytesIO()
    pydicom.dcmwrite(stream, content, enforce_file_format=True)
    body = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + stream.getvalue() + b"\r\n--edge--\r\n"
    return body, 'multipart/related; type="application/dicom"; boundary=edge'


def stored(*uids, failed=()):
    answer = Dataset()
    answer.ReferencedSOPSequence = [_reference(uid) for uid in uids]
    if failed:
        answer.FailedSOPSequence = [_reference(uid, code) for uid, code in failed]
    return answer.to_json()


def _reference(uid, code=None):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SecondaryCaptureImageStorage, uid
    if code is not None:
        item.FailureReason = code
    return item


@pytest.fixture
def server():
    """Answers by ``server.say(path, query)``: status, body, media type, and how many bytes it claims to send."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            address = urlsplit(self.path)
            asked = (address.path, parse_qs(address.query))
            http.asked.append((*asked, dict(self.headers), self.rfile.read(length)))
            status, body, kind, claimed = http.say(*asked)
            body = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) if claimed is None else claimed))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.asked = []
    http.root = f"http://127.0.0.1:{http.server_address[1]}/dicom-web"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http
    http.shutdown()
    http.server_close()


@pytest.fixture
def archive(server):
    return Archive(server.root, open_session(server.root, environment={}, attempts=2), timeout_s=2, page_size=2)


def always(status, body="[]", kind=JSON, claimed=None):
    return lambda *_: (status, body, kind, claimed)


def entry(keyword, uid, modality=None):
    content = Dataset()
    setattr(content, keyword, uid)
    if modality:
        content.Modality = modality
    return content.to_json_dict()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "HTTP 401: refuses the credentials"),
        (403, "HTTP 403: does not allow this"),
        (404, "HTTP 404: has no such thing"),
        (500, "HTTP 500: the server failed"),
        (503, "HTTP 503: is too busy"),
    ],
)
def test_a_status_in_words(server, archive, tmp_path, status, message):
    server.say = always(status)
    for ask in (
        lambda: archive.series({"PatientID": "P1"}, ["DX"]),
        lambda: archive.headers(SERIES, ["Modality"]),
        lambda: archive.fetch(SERIES, "1.2.3.4.5", tmp_path / "a.dcm"),
    ):
        with pytest.raises(ArchiveError, match=message) as found:
            ask()
        assert found.value.status == status
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_was_busy_is_asked_again(server, archive):
    answers = [(503, "", JSON, None), (200, json.dumps([entry("StudyInstanceUID", "1.2.3")]), JSON, None)]
    server.say = lambda *_: answers.pop(0) if answers else (200, "[]", JSON, None)
    assert archive.series({"PatientID": "P1"}, ["DX"]) == []
    assert [path for path, *_ in server.asked] == ["/dicom-web/studies"] * 2 + ["/dicom-web/studies/1.2.3/series"]


def test_a_server_that_was_too_busy_to_store_gets_all_once_more(server, archive, files):
    uids = [f"1.2.3.4.{number}" for number in (5, 6, 7)]
    answers = [(503, "", JSON, None), (200, stored(*uids), JSON, None)]
    server.say = lambda *_: answers.pop(0)
    assert archive.store(files) == {}
    (_, _, headers, first), (*_, second) = server.asked
    assert first == second
    assert "Content-Length" in headers
    assert all(file.read_bytes() in second for file in files)


@pytest.mark.parametrize("pages", [True, False])
def test_a_search_goes_on_to_the_last_page_and_ends_without_pages_too(server, archive, pages):
    def say(path, query):
        if path.endswith("studies"):
            found = [entry("StudyInstanceUID", f"1.2.{n}") for n in range(1, 6)]
            start = int(query["offset"][0]) if pages else 0
            found = found[start : start + 2] if pages else found
        else:
            study = path.split("/")[-2]
            found = [entry("SeriesInstanceUID", f"{study}.1", "DX"), entry("SeriesInstanceUID", f"{study}.2", "CT")]
            found = found[int(query["offset"][0]) :]
        return 200, json.dumps(found), JSON, None

    server.say = say
    assert archive.series({"PatientID": "P1"}, ["CR", "DX"]) == [Series(f"1.2.{n}", f"1.2.{n}.1") for n in range(1, 6)]
    assert all(query.get("PatientID") == ["P1"] for path, query, *_ in server.asked if path.endswith("studies"))


def test_headers_hold_what_was_asked_for(server, archive):
    content = instance()
    content.PatientID = "P1"
    element = {"7FE00010": {"vr": "OW", "BulkDataURI": "http://127.0.0.1/x"}}
    server.say = always(200, json.dumps([content.to_json_dict() | element]))
    (header,) = archive.headers(SERIES, ["SOPInstanceUID", "Modality", "PixelData", "PatientAge"])
    assert {element.keyword for element in header} == {"SOPInstanceUID", "Modality"}
    content.SOPInstanceUID = "../../etc"
    server.say = always(200, json.dumps([content.to_json_dict()]))
    with pytest.raises(ArchiveError, match="holds an instance without a valid UID"):
        archive.headers(SERIES, ["SOPInstanceUID"])


def test_an_image_is_written_as_it_came(server, archive, tmp_path):
    body, kind = as_part(instance())
    server.say = always(200, body, kind)
    archive.fetch(SERIES, "1.2.3.4.5", tmp_path / "a.dcm")
    assert pydicom.dcmread(tmp_path / "a.dcm") == instance()
    assert "transfer-syntax=*" in server.asked[-1][2]["Accept"]
    with pytest.raises(ArchiveError, match=r"sent another instance in place of 1\.2\.3\.4\.6"):
        archive.fetch(SERIES, "1.2.3.4.6", tmp_path / "b.dcm")


def test_a_connection_that_breaks_and_answers_that_are_none(server, archive, tmp_path):
    body, kind = as_part(instance())
    server.say = always(200, body[:60], kind, len(body))
    with pytest.raises(ArchiveError, match="the connection broke during the answer"):
        archive.fetch(SERIES, "1.2.3.4.5", tmp_path / "a.dcm")
    server.say = always(200, "<html>welcome</html>", "text/html")
    with pytest.raises(ArchiveError, match="answers with something that is no DICOMweb"):
        archive.fetch(SERIES, "1.2.3.4.5", tmp_path / "a.dcm")
    with pytest.raises(ArchiveError, match="answers with something that is no DICOMweb"):
        archive.series({"PatientID": "P1"}, ["DX"])
    server.say = always(200, json.dumps([entry("StudyInstanceUID", "../x")]))
    with pytest.raises(ArchiveError, match=r"'\.\./x' is no StudyInstanceUID"):
        archive.series({"PatientID": "P1"}, ["DX"])
    assert list(tmp_path.iterdir()) == []


def test_nobody_answers(server, tmp_path):
    root, opened = server.root, open_session("http://127.0.0.1", environment={}, attempts=1)
    server.shutdown()
    server.server_close()
    with pytest.raises(ArchiveError, match="cannot be reached"):
        Archive(root, opened, timeout_s=1).series({"PatientID": "P1"}, ["DX"])


@pytest.mark.parametrize(
    ("error", "message"),
    [(requests.exceptions.SSLError, "certificate is not trusted"), (requests.Timeout, "no answer in time")],
)
def test_certificates_and_patience(archive, monkeypatch, error, message):
    def fail(*_, **__):
        raise error("secret detail")

    monkeypatch.setattr(requests.Session, "get", fail)
    with pytest.raises(ArchiveError, match=message) as found:
        archive.has("1.2.3", "1.2.3.4.5")
    assert "secret detail" not in str(found.value)


def test_whether_an_instance_is_there(server, archive):
    server.say = always(200, json.dumps([entry("SOPInstanceUID", "1.2.3.4.5")]))
    assert archive.has("1.2.3", "1.2.3.4.5")
    assert server.asked[-1][:2] == (
        "/dicom-web/studies/1.2.3/instances",
        {"SOPInstanceUID": ["1.2.3.4.5"], "limit": ["2"], "offset": ["0"]},
    )
    assert not archive.has("1.2.3", "1.2.3.4.6"), "a server that does not filter"
    server.say = always(404)
    assert not archive.has("1.2.3", "1.2.3.4.5"), "an unknown study"


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in (5, 6, 7):
        paths.append(tmp_path / f"{number}.dcm")
        pydicom.dcmwrite(paths[-1], instance(f"1.2.3.4.{number}"), enforce_file_format=True)
    return paths


@pytest.mark.parametrize("kind", [JSON, f"{JSON}; charset=utf-8"])
def test_what_was_stored_and_what_was_not(server, archive, files, kind):
    uids = [f"1.2.3.4.{number}" for number in (5, 6, 7)]
    server.say = always(200, stored(*uids), kind)
    assert archive.store(files) == {}
    path, _, headers, body = server.asked[-1]
    assert (path, headers["Accept"]) == ("/dicom-web/studies", JSON)
    assert all(file.read_bytes() in body for file in files), "sent as written"
    server.say = always(202, stored(uids[0], failed=[(uids[1], 0xA700), (uids[2], 0x0111)]), kind)
    assert archive.store(files) == {uids[1]: "out of resources (A700H)"}, "what is there already is stored"
    server.say = always(409, stored(failed=[(uid, 0x0124) for uid in uids]), kind)
    assert archive.store(files) == dict.fromkeys(uids, "not authorised (0124H)")
    server.say = always(200, stored(uids[0]), kind)
    assert archive.store(files) == dict.fromkeys(uids[1:], "the server did not confirm that it is stored")
    server.say = always(200, "", "text/plain")
    assert set(archive.store(files)) == set(uids)


def test_storing_that_fails_as_a_whole(server, archive, files):
    server.say = always(413)
    with pytest.raises(ArchiveError, match="storing 3 instances: HTTP 413: refuses what is sent as too large"):
        archive.store(files)
    server.say = always(409, "<html/>", "text/html")
    with pytest.raises(ArchiveError, match="no DICOMweb"):
        archive.store(files)
