"""A session with an archive: who asks, over a connection that is encrypted and verified."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.util import Retry

from shared.data.errors import DataError

__all__ = ["open_session"]

#: a request that failed before its answer began is tried again at once, then after 1, 2, … s
BACKOFF_S = 0.5
#: a server that answers so is asked again, when it says (Retry-After) if it does
BUSY = (408, 429, 503, 504)


class _Bearer(AuthBase):
    """A token; as an authentication of its own it comes before an entry of ``.netrc``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def open_session(
    server: str,
    prefix: str = "DICOMWEB",
    attempts: int = 3,
    allow_http: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> requests.Session:
    """Return a session with the credentials of the environment.

    These are ``<prefix>_TOKEN`` (bearer), or ``<prefix>_USER`` and ``<prefix>_PASSWORD``, else what ``.netrc`` (or the
    file that ``NETRC`` names) holds for the host, else none. They are sent to the server alone, and stand nowhere else.
    Certificates are verified, by ``REQUESTS_CA_BUNDLE`` where a hospital has its own authority.

    Args:
        server: root of the service, e.g. ``https://pacs.example.org/dicom-web``.
        prefix: of the environment variables.
        attempts: how often a request is made.
        allow_http: whether data may go unencrypted to another machine.
        environment: variables by name.

    Raises:
        DataError: if the address is none, holds credentials, or would send data unencrypted to another machine; or if
            the credentials are incomplete.
    """
    address = urlsplit(server)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise DataError(f"server: {_without_credentials(server)!r} is no address, expected https://HOST[:PORT]/PATH")
    if address.username or address.password:
        raise DataError(
            f"server: the address of {address.hostname} holds credentials, which lists of processes and logs would "
            f"show; put them into {prefix}_USER and {prefix}_PASSWORD, or into .netrc"
        )
    if address.scheme == "http" and not allow_http and not _is_loopback(address.hostname):
        raise DataError(
            f"server: http:// sends patients' data and credentials to {address.hostname} for everyone to read; use "
            "https://, or --allow_http on a network that is protected otherwise"
        )
    session = requests.Session()
    # answers in XML, the default of some servers, would need another reader
    session.headers["Accept"] = "application/dicom+json"
    retry = Retry(
        total=attempts - 1,
        status_forcelist=BUSY,
        raise_on_status=False,
        backoff_factor=BACKOFF_S,
        # storing once more what is there changes nothing: its UIDs are the same
        allowed_methods={"GET", "POST"},
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    token, user = environment.get(f"{prefix}_TOKEN"), environment.get(f"{prefix}_USER")
    if token:
        session.auth = _Bearer(token)
    elif user:
        if (password := environment.get(f"{prefix}_PASSWORD")) is None:
            raise DataError(f"{prefix}_USER is set, but {prefix}_PASSWORD is not; set both, or neither")
        session.auth = HTTPBasicAuth(user.encode(), password.encode())
    return session


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_credentials(server: str) -> str:
    return server.rpartition("@")[2]
