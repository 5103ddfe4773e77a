"""Who asks an archive: credentials go to it alone, encrypted, and are shown nowhere."""

from __future__ import annotations

import base64

import pytest
import requests

from shared.data.errors import DataError
from shared.dicomweb.session import open_session

SERVER = "https://pacs.example.org/dicom-web"


def sent(session, url=SERVER):
    return session.prepare_request(requests.Request("GET", url)).headers


def test_credentials_of_the_environment(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine pacs.example.org login other password third\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    basic = {"DICOMWEB_USER": "jörg", "DICOMWEB_PASSWORD": "größer"}
    expected = "Basic " + base64.b64encode("jörg:größer".encode()).decode()
    assert sent(open_session(SERVER, environment=basic))["Authorization"] == expected
    token = {"DICOMWEB_TOKEN": "abc"} | basic
    assert sent(open_session(SERVER, environment=token))["Authorization"] == "Bearer abc"
    assert sent(open_session(SERVER, "DICOMWEB_STORE", environment={}))["Authorization"].startswith("Basic b3RoZXI6"), (
        "of .netrc"
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert "Authorization" not in sent(open_session(SERVER, "DICOMWEB_STORE", environment=token)), "another server's"


def test_certificates_are_verified_and_json_is_asked_for():
    session = open_session(SERVER, environment={})
    assert session.verify is True
    assert sent(session)["Accept"] == "application/dicom+json"


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("pacs.example.org/dicom-web", r"is no address, expected https://"),
        ("ftp://pacs.example.org", r"is no address"),
        ("https://user:word@pacs.example.org", r"the address of pacs\.example\.org holds credentials"),
        ("http://pacs.example.org", r"http:// sends patients' data and credentials to pacs\.example\.org"),
    ],
)
def test_addresses_that_are_refused(server, message):
    with pytest.raises(DataError, match=message) as found:
        open_session(server, environment={})
    assert "word" not in str(found.value)


def test_unencrypted_where_it_stays_here_or_is_wanted():
    for server in ("http://127.0.0.1:8042", "http://[::1]:8042", "http://localhost"):
        open_session(server, environment={})
    open_session("http://pacs.example.org", allow_http=True, environment={})


def test_half_of_the_credentials():
    with pytest.raises(DataError, match="DICOMWEB_USER is set, but DICOMWEB_PASSWORD is not"):
        open_session(SERVER, environment={"DICOMWEB_USER": "a"})
