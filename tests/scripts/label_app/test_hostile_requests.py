"""Requests that nobody should send: refused with a plain message, and the server answers the next one."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import stat
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.scripts.label_app.label_server import Server, needs_label_environment
from tests.served_bundles import served_once

pytestmark = [pytest.mark.slow, needs_label_environment]
NAME = "leukocyte_qpi"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_once(NAME, tmp_path_factory)


@pytest.fixture(scope="module")
def cell(served):
    return (served.data / served.records("test")[0]["image"]).read_bytes()


@pytest.fixture(scope="module")
def server(served, cell, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    conf = {"models": NAME, "max_upload_mb": 1, "max_archive_mb": 1, "max_archive_files": 20, "hosts": "127.0.0.1"}
    passing = tmp_path_factory.mktemp("passing")
    server = Server(folder / "server", served.root.parent, folder / "studies", conf, {"TMPDIR": str(passing)}).start()
    server.passing = passing
    status, answer = server.form("PUT", "/datastore/image?image=cell", {}, {"file": ("cell.npy", cell)})
    assert (status, answer) == (200, {"image": "cell"})
    yield server
    assert list(passing.glob("label-server-*")), "this is where it puts what passes"
    work = start_work(server)
    server.stop()
    assert not Path(f"/proc/{work}").exists(), "what works for a server ends with it"
    assert not list(passing.glob("label-*")), "no image stays behind"


def start_work(server):
    """Have the server start a process, and return its number."""
    assert server.http("POST", f"/batch/infer/{NAME}", b"{}", {"Content-Type": "application/json"})[0] == 200
    deadline = time.monotonic() + 60
    while not (found := processes_of(server, b"monailabel.interfaces.utils.app")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found[0]


@pytest.fixture(autouse=True)
def unharmed(server):
    """Whatever was asked: nothing was written outside, and the server still answers."""
    before = snapshot(server)
    yield
    assert snapshot(server) == before
    status, _, body = server.http("GET", "/datastore/?output=stats")
    assert (status, json.loads(body)["total"]) == (200, 1)


def snapshot(server):
    """All files around the datastore, but for the server's own records."""
    own = {".lock", "datastore_v2.json", "server.log"}
    around = server.studies.parent
    return sorted(str(path) for path in around.rglob("*") if path.is_file() and path.name not in own)


def array_of_objects():
    """An array file that runs code when it is read by whoever allows that."""
    content = io.BytesIO()
    np.save(content, np.array([Path("evil")], dtype=object), allow_pickle=True)
    return content.getvalue()


OBJECTS = array_of_objects()


def zipped(*members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return content.getvalue()


@pytest.mark.parametrize(
    "image", ["/etc/passwd", "..%2F..%2Fx", "%2e%2e", ".hidden", "x%00", "no-such-image", "datastore_v2"]
)
def test_no_file_but_the_datastore_s_is_read(server, image):
    status, answer = server.form("POST", f"/infer/{NAME}?image={image}")
    assert status in (400, 404)
    assert "image" in answer["detail"]


@pytest.mark.parametrize(
    "params",
    ['{"image": "/etc/passwd"}', '{"session": {}}', '{"method": "$__import__(\'os\').getpid()"}', "[]", "{", "[" * 5000,
     '{"target_class": "@network"}', '{"method": "lime", "explain": "yes"}', '{"file": "../../x", "explain": true}'],
)  # fmt: skip
def test_parameters_are_names_from_a_list(server, params):
    status, answer = server.form("POST", f"/infer/{NAME}?image=cell&output=image", {"params": params})
    assert status in (400, 422)
    assert isinstance(answer["detail"], str)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/infer/nothing?image=cell", 404), ("/infer/..%2F..?image=cell", 404), (f"/infer/{NAME}", 400),
        (f"/infer/{NAME}?image=cell&session_id=x", 400), (f"/infer/{NAME}?session_id=..%2F..%2Fetc", 400),
        (f"/infer/{NAME}?session_id=00000000-0000-0000-0000-000000000000", 404),
        (f"/infer/{NAME}?image=cell&output=dicom_seg", 422), (f"/infer/wsi_v2/{NAME}?image=cell&output=dsa", 400),
    ],
)  # fmt: skip
def test_what_is_asked_must_be_there(server, path, status):
    found, answer = server.form("POST", path)
    assert (found, "detail" in answer) == (status, True)


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("../../evil.npy", b"x", 400), ("evil.sh", b"x", 415), (".npy", b"x", 400), ("a.npy.exe", b"x", 415),
        ("cell.npy", b"no array", 422), ("cell.npy", b"", 422), ("cell.png", b"\x89PNG cut", 422),
        ("cell.npy", OBJECTS, 422),
    ],
)  # fmt: skip
def test_uploads_that_are_no_images(server, name, content, status):
    found, answer = server.form("POST", f"/infer/{NAME}", {}, {"file": (name, content)})
    assert found == status
    assert answer["detail"]


@pytest.mark.parametrize(
    ("path", "field", "name", "content", "status"),
    [
        ("/datastore/image?image=..%2F..%2Fevil", "file", "c.npy", b"x", 400),
        ("/datastore/image?image=%2Ftmp%2Fevil", "file", "c.npy", b"x", 400),
        ("/datastore/image?image=.hidden", "file", "c.npy", b"x", 400),
        ("/datastore/image", "file", "../evil.npy", b"x", 400),
        ("/datastore/image?image=datastore_v2", "file", "c.json", b"{}", 415),
        ("/datastore/image?image=evil", "file", "c.py", b"x", 415),
        ("/datastore/image?image=cell", "file", "c.npy", b"another image", 409),
        ("/datastore/image?image=cell", "file", "c.tif", b"another image", 409),
        ("/datastore/label?image=cell&tag=..%2F..%2F..%2Fevil", "label", "l.json", b'{"label": "monocyte"}', 400),
        ("/datastore/label?image=cell&tag=", "label", "l.json", b'{"label": "monocyte"}', 400),
        ("/datastore/label?image=..%2Fcell", "label", "l.json", b'{"label": "monocyte"}', 400),
        ("/datastore/label?image=other", "label", "l.json", b'{"label": "monocyte"}', 404),
        ("/datastore/label?image=cell", "label", "l.json", b'{"label": "tumour"}', 422),
        ("/datastore/label?image=cell", "label", "l.json", b'{"label": 1}', 400),
        ("/datastore/label?image=cell", "label", "l.json", b"no json", 400),
        ("/datastore/label?image=cell", "label", "l.json", b'{"label": "' + b"x" * 70_000 + b'"}', 413),
        ("/datastore/label?image=cell", "label", "l.nii.gz", b"x", 415),
    ],
)  # fmt: skip
def test_the_datastore_takes_images_and_labels_only(server, path, field, name, content, status):
    found, answer = server.form("PUT", path, {}, {field: (name, content)})
    assert found == status, answer
    assert answer["detail"]


def test_an_image_that_is_sent_again_is_the_one_that_is_there(server, cell):
    """Another one under its name is refused, as above: its label would be that of the first."""
    found = server.form("PUT", "/datastore/image?image=cell", {"params": '{"donor": "d7"}'}, {"file": ("c.npy", cell)})
    assert found == (200, {"image": "cell"})
    assert json.loads(server.http("GET", "/datastore/image/info?image=cell")[2])["donor"] == "d7"
    assert server.http("GET", "/datastore/image?image=cell")[2] == cell


@pytest.mark.parametrize("value", ["NaN", "1e999", r'"\ud800"'])
def test_what_the_datastore_could_not_read_again(server, cell, value):
    """Kept with an image, it would be in the way of every list of the datastore and of the server's next start."""
    said, asked = f'{{"patient": {value}}}', f'{{"client_id": {value}, "candidates": {value}}}'
    sent = [
        server.form("PUT", "/datastore/image?image=cell", {"params": said}, {"file": ("c.npy", cell)}),
        server.form("PUT", "/datastore/image/info?image=cell", {"info": said}),
        server.http("POST", "/activelearning/random", asked.encode(), {"Content-Type": "application/json"}),
    ]
    assert [status for status, *_ in sent] == [400, 400, 400]
    status, _, body = server.http("GET", "/datastore/?output=all")
    assert (status, "\\ud800" in body.decode()) == (200, False)
    assert "NaN" not in (server.studies / "datastore_v2.json").read_text()


def test_a_data_set_that_was_sent_does_not_stay_behind(server, cell):
    status, _, said = server.http("GET", "/datastore/dataset")
    assert (status, "no image has a label" in said.decode()) == (404, True)
    label = {"label": ("l.json", b'{"label": "monocyte"}')}
    assert server.form("PUT", "/datastore/label?image=cell", {}, label)[0] == 200
    before = sorted(server.passing.rglob("*"))
    status, headers, body = server.http("GET", "/datastore/dataset")
    assert (status, headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert {"image/cell.npy", "label/cell.json"} <= set(archive.namelist())
        assert archive.read("image/cell.npy") == cell
    # it goes when its last byte is sent
    deadline = time.monotonic() + 10
    while sorted(server.passing.rglob("*")) != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.http("DELETE", "/datastore/label?id=cell&tag=final")[0] == 200


@pytest.mark.parametrize("model", ['["x"]', "{}", "5", '"nothing"'])
def test_a_label_of_no_model(server, model):
    content = f'{{"label": "monocyte", "model": {model}}}'.encode()
    status, answer = server.form("PUT", "/datastore/label?image=cell", {}, {"label": ("l.json", content)})
    assert (status, "expected one of leukocyte_qpi" in answer["detail"]) == (404, True)


@pytest.mark.parametrize("path", ["/datastore/label/info", "/datastore/updatelabelinfo"])
@pytest.mark.parametrize(
    ("label", "said", "status"),
    [("cell", '{"remark": "sharp"}', 404), ("..%2Fcell", "{}", 400), ("cell", "no json", 400), ("cell", "[]", 400)],
)
def test_remarks_of_a_label_that_there_is_not(server, path, label, said, status):
    field = "info" if path.endswith("info") and "/label/" in path else "params"
    found, answer = server.form("PUT", f"{path}?label={label}&tag=final", {field: said})
    assert found == status, answer
    assert answer["detail"]


LINK = zipfile.ZipInfo("link.npy")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (zipped(("../evil.npy", b"x")), 400), (zipped(("/tmp/evil.npy", b"x")), 400),
        (zipped((LINK, b"/etc/passwd")), 400),
        (zipped(("bomb.npy", bytes(8 << 20))), 413), (zipped(*((f"{i}.npy", b"x") for i in range(30))), 413),
        (zipped(("a.txt", b"x")), 400), (b"no archive", 400),
    ],
    ids=["climbs", "absolute", "link", "bomb", "many", "nothing", "broken"],
)  # fmt: skip
def test_archives(server, content, status):
    found, answer = server.form("PUT", "/session/?uncompress=true", {}, {"files": ("a.zip", content)})
    assert found == status, answer
    assert answer["detail"].startswith("archive: ")


@pytest.mark.parametrize("name", ["..", "%2e%2e", "x", "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_sessions_are_only_the_server_s_own(server, method, name):
    assert server.http(method, f"/session/{name}")[0] in (400, 404, 405)


@pytest.mark.parametrize("path", ["/infer/leukocyte_qpi", "/datastore/image?image=big", "/session/"])
def test_a_request_that_is_too_large(server, path):
    method = "POST" if path.startswith("/infer") else "PUT"
    field = "files" if path == "/session/" else "file"
    status, answer = server.form(method, path, {}, {field: ("big.npy", bytes(3 << 20))})
    assert (status, answer["detail"]) == (413, "the request is larger than 1 MiB; see --conf max_upload_mb")


def test_a_request_that_does_not_say_how_large_it_is(server):
    """In chunks, without a length: what came is counted."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = "POST /infer/leukocyte_qpi HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall((head + "Content-Type: multipart/form-data; boundary=b\r\n\r\n").encode())
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.npy"\r\n\r\n'
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        for _ in range(40):
            connection.sendall(b"%x\r\n%s\r\n" % (1 << 16, bytes(1 << 16)))
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", f"/model/{NAME}"), ("DELETE", f"/model/{NAME}"), ("POST", "/reload"), ("GET", "/proxy/dicom/x")],
)
def test_weights_are_not_exchanged_without_their_calibration(server, method, path):
    status, _, _ = server.http(method, path, b"x" if method != "GET" else None)
    assert status in (404, 405)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "[::1"},
        {"Origin": "http://[evil"},
    ],
    ids=str,
)
def test_pages_of_other_sites_may_not_ask(server, headers):
    """A browser would send such requests with nobody knowing, and could start a training."""
    for method, path in (("POST", f"/train/{NAME}"), ("GET", "/info/")):
        status, found, body = server.http(method, path, b"{}" if method == "POST" else None, headers)
        assert status == 403, body
        assert "access-control-allow-origin" not in {key.lower() for key in found}


def test_the_server_s_own_page_may_ask(server):
    assert server.http("GET", "/info/", headers={"Origin": server.url})[0] == 200


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (f"/train/{NAME}", {"max_epochs": "$__import__('os').getpid()"}), (f"/train/{NAME}", {"max_epochs": 0}),
        (f"/train/{NAME}", {"seed": 1.5}), (f"/train/{NAME}", {"train#batch_size": 1}),
        # modules would be imported from there
        (f"/train/{NAME}", {"bundle_path": "/tmp"}), ("/scoring/agreement", {"bundle_path": "/tmp"}),
        (f"/batch/infer/{NAME}", {"bundle_path": "/tmp"}), (f"/batch/infer/{NAME}", {"label_tag": "../x"}),
        ("/activelearning/uncertainty", {"candidates": "all"}), ("/activelearning/uncertainty", {"strategy": "x"}),
    ],
)  # fmt: skip
def test_what_starts_work_takes_known_settings_only(server, path, params):
    kind = {"Content-Type": "application/json"}
    status, _, body = server.http("POST", path, json.dumps(params).encode(), kind)
    assert status == 400, body
    assert json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/train/nothing", b"{}"), ("/batch/infer/nothing", b"{}"), ("/scoring/agreement", b'{"model": "nothing"}'),
     ("/scoring/nothing", b"{}"), ("/train/", b"{}"), ("/scoring/", b"{}"), ("/activelearning/nothing", b"{}")],
)  # fmt: skip
def test_work_that_there_is_not(server, path, body):
    assert server.http("POST", path, body, {"Content-Type": "application/json"})[0] in (400, 404, 405)


def test_a_worker_that_is_killed_is_named_and_comes_back(server, cell):
    path = f"/infer/{NAME}?image=cell"
    status, before = server.form("POST", path)
    assert status == 200
    workers = processes_of(server, b"shared.serving.worker")
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    replies = [server.form("POST", path) for _ in range(2)]
    assert [status for status, _ in replies][-1] == 200
    assert all(answer["detail"].startswith(f"{NAME}: the worker ended") for status, answer in replies if status != 200)
    assert replies[-1][1]["probabilities"] == before["probabilities"]


def processes_of(server, module):
    """Processes of this server that run a module."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if parent == server.process.pid and module in command:
            found.append(int(folder.name))
    return found


class TestStart:
    """What stops a server at its start, in one plain message."""

    def refused(self, tmp_path, bundles, conf):
        server = Server(tmp_path / "server", bundles, tmp_path / "studies", conf)
        with pytest.raises(pytest.fail.Exception, match="the server ended"):
            server.start()
        text = server.log.read_text()
        return next(line for line in text.splitlines() if line.startswith("Error: ")), text

    def test_a_model_that_is_not_calibrated(self, served, tmp_path):
        folder = tmp_path / "bundles" / NAME
        (folder / "models").mkdir(parents=True)
        (folder / "configs").symlink_to(served.root / "configs")
        (folder / "models" / "model.pt").write_bytes(b"x")
        line, text = self.refused(tmp_path, tmp_path / "bundles", {"models": NAME})
        assert "not complete" in line
        assert f"{folder}/models/calibration.json is missing" in text
        assert "Traceback" not in text
