"""How much a request may send, and from where: seen to before anything reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

__all__ = ["OwnPages", "UploadLimit"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: bytes of a body that is too large that are still taken, so that its sender reads why it was refused
DROPPED = 64 << 20


class _TooLargeError(Exception):
    """More bytes came than were allowed."""


class UploadLimit:
    """Refuses bodies of more than some bytes with 413, whether the client says their length or not.

    Args:
        app: what answers.
        limit: bytes.
    """

    def __init__(self, app: App, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on while its body is within the limit."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self.limit:
            await self._refuse(scope, receive, send)
            return
        came, begun = 0, False

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self.limit:
                raise _TooLargeError
            return message

        async def answered(message: Message) -> None:
            nonlocal begun
            if came > self.limit and not begun:
                raise _TooLargeError  # what reads bodies turns any error into one of its own
            begun = True
            await send(message)

        try:
            await self.app(scope, counted, answered)
        except _TooLargeError:
            if begun:
                raise
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        # a client that is still sending reads no answer: of what is a little too large the rest is taken and dropped
        dropped, more = 0, True
        while more and dropped < DROPPED:
            message = await receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)
        said = f"the request is larger than {self.limit / (1 << 20):g} MiB; see --conf max_upload_mb"
        await JSONResponse({"detail": said}, 413, headers={"connection": "close"})(scope, receive, send)


class OwnPages:
    """Refuses requests that another site's page makes a browser send, with 403.

    Without authentication whoever reaches the port may use it; a page that the user of the same machine happens to
    look at must not. Browsers name the page's site in ``Origin``; other clients send none.

    Args:
        app: what answers.
        origins: further sites whose pages may ask, as ``https://viewer.example``.
        hosts: names by which the server may be addressed; empty for any. Pages of a site whose name was made to point
            at this machine address it by that name.
    """

    def __init__(self, app: App, origins: Collection[str], hosts: Collection[str]) -> None:
        self.app = app
        self.origins = set(origins)
        self.hosts = set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if no foreign page is behind it."""
        if scope["type"] == "http" and (reason := self._refused(dict(scope["headers"]))) is not None:
            await JSONResponse({"detail": reason}, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refused(self, headers: dict[bytes, bytes]) -> str | None:
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        try:
            name, from_here = urlsplit(f"//{host}").hostname or "", urlsplit(origin).netloc == host
        except ValueError:  # of brackets that hold no address
            return "Host or Origin is no address"
        if self.hosts and name not in self.hosts:
            return f"this server is not called {name!r}; see --conf hosts"
        if origin and origin not in self.origins and not from_here:
            return f"pages of {origin!r} may not ask this server; see MONAI_LABEL_CORS_ORIGINS"
        return None
