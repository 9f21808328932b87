"""What the server says to browsers: the page, an upgrade to WebSocket, or no.

    read_page;  Site(...);  answer(request) -> Answer, for each that ``wire/http.py``
    has read

A table of files, read at the start, and nothing else: no path of a request ever comes
near a file system.  A browser speaks for whoever wrote the page that it shows, so two
things are looked at first.  ``Host`` has to be a name of this server: else a foreign
name that leads here (DNS rebinding) would be the same origin as ours.  And ``Origin``
of an upgrade has to be this very site: WebSockets are not held back by anything else.
Must not know: sockets, the chat.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from chatroom.errors import StartError
from chatroom.server.metrics import CONTENT_TYPE as METRICS
from chatroom.wire.http import HttpError, response
from chatroom.wire.websocket import handshake

if TYPE_CHECKING:
    from chatroom.config import Settings
    from chatroom.wire.http import HttpRequest

STATIC = Path(__file__).parent / "static"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
}
"""Path, file, type."""
CHAT = "/chat"
"""Where WebSockets are; they may come in by the front door as well."""
UPGRADES = frozenset((CHAT, "/"))
TEXT = "text/plain; charset=utf-8"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer: nothing from elsewhere, in no frame, nothing told to others.

No Cross-Origin-Opener-Policy: over plain http a browser does not heed it, and complains
on the console of whoever comes from another machine.
"""
NEVER_KEPT = {"Cache-Control": "no-store"}
ASKED_EACH_TIME = {"Cache-Control": "no-cache"}
"""A page is of one version of the server, and has to go with it."""

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::\d{0,5})?", re.ASCII)
_DEFAULT_PORT = {"http": ":80", "https": ":443"}


@dataclass(slots=True)
class Answer:
    """What is sent, and whether the connection speaks WebSocket from then on."""

    status: int
    data: bytes
    upgrades: bool = False


@dataclass(slots=True)
class _File:
    """One file in the three ways in which it is asked for: made once, sent to all."""

    tag: str
    whole: Answer
    head: Answer
    unchanged: Answer


Page = dict[str, _File]
"""What there is to see, by its path."""


def read_page() -> Page:
    """Read the files of the page; raises ``StartError`` where that cannot be."""
    return {path: _read(name, kind) for path, (name, kind) in FILES.items()}


class Site:
    """Who is shown what there is to see.

    *page* is that, and *figures* gives what is told at ``/metrics``.
    """

    def __init__(
        self, settings: Settings, page: Page, figures: Callable[[], bytes]
    ) -> None:
        self._names = _names_of_this_machine() | set(settings.web_host)
        # Who listens at a name is called by it.
        self._names |= {name.lower() for name in settings.host}
        self._has_tls = bool(settings.tls_cert)
        self._tls_only = settings.tls_only
        self._metrics_public = settings.metrics_public
        self._figures = figures
        self._page = page

    def answer(
        self, request: HttpRequest | HttpError, *, local: bool, secure: bool
    ) -> Answer:
        """Answer *request* of a peer that is *local* or not, over TLS if *secure*."""
        if isinstance(request, HttpError):
            return self.error(request.status, request.text)
        head = request.method == "HEAD"
        host = request.headers.get("host", "").lower()
        name = _HOST.fullmatch(host)
        if name is None:
            return self.error(400, "Host is missing, or is no name of a host", head)
        if not self._is_ours(name[1]):
            text = (
                f"This chat does not answer to the name {name[1]}. If it should, "
                f"start the server with --web-host {name[1]}"
            )
            return self.error(421, text, head)
        upgrade = "websocket" in request.headers.get("upgrade", "").lower()
        # A WebSocket in plain text is as good as frames in plain text.
        plain_is_fine = not self._tls_only and (local or upgrade)
        if self._has_tls and not (secure or plain_is_fine):
            return self._to_https(host, request)
        if request.path == CHAT or (upgrade and request.path in UPGRADES):
            return self._upgrade(request, host, secure)
        file = self._page.get(request.path)
        if file is not None:
            if _names_tag(request.headers.get("if-none-match", ""), file.tag):
                return file.unchanged
            return file.head if head else file.whole
        if request.path == "/healthz":
            return _make(200, TEXT, b"ok\n", head)
        if request.path == "/metrics":
            if not (local or self._metrics_public):
                text = "shown on this machine only; see --metrics-public"
                return self.error(403, text, head)
            return _make(200, METRICS, self._figures(), head)
        return self.error(404, "there is nothing here; the chat is at /", head)

    def error(self, status: int, text: str, head: bool = False) -> Answer:
        """Return the answer that tells of what is wrong."""
        more = {}
        if status == 405:
            # HEAD is refused in one place: where a WebSocket is.
            more = {"Allow": "GET" if head else "GET, HEAD"}
        elif status == 426:
            more = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        return _make(status, TEXT, f"{text}\n".encode(), head, more)

    def _is_ours(self, name: str) -> bool:
        return name.removesuffix(".") in self._names or _is_address(name)

    def _upgrade(self, request: HttpRequest, host: str, secure: bool) -> Answer:
        if request.method != "GET":
            return self.error(405, "a WebSocket begins with GET", head=True)
        origin = request.headers.get("origin")
        if origin is not None and not _is_same(origin, host, secure):
            return self.error(403, "pages of other sites cannot join this chat")
        found = handshake(request)
        if isinstance(found, HttpError):
            return self.error(found.status, found.text)
        return Answer(101, found, upgrades=True)

    def _to_https(self, host: str, request: HttpRequest) -> Answer:
        where = {"Location": f"https://{host}{request.target}"}
        text = b"this chat is at https\n"
        return _make(308, TEXT, text, request.method == "HEAD", where)


def _make(
    status: int,
    kind: str,
    body: bytes,
    head: bool = False,
    more: dict[str, str] | None = None,
) -> Answer:
    headers = {"Content-Type": kind} | NEVER_KEPT | HEADERS | (more or {})
    return Answer(status, response(status, headers, body, head=head))


def _read(name: str, kind: str) -> _File:
    try:
        body = (STATIC / name).read_bytes()
    except OSError as error:
        text = f"the page's own {name} cannot be read: {error.strerror} (--no-web)"
        raise StartError(text) from None
    tag = f'"{sha256(body).hexdigest()[:24]}"'
    more = {"ETag": tag} | ASKED_EACH_TIME
    return _File(
        tag,
        _make(200, kind, body, False, more),
        _make(200, kind, body, True, more),
        _make(304, kind, body, True, more),
    )


def _names_of_this_machine() -> set[str]:
    """Return what browsers on its own network call it, and on itself."""
    own = socket.gethostname().lower().removesuffix(".").removesuffix(".local")
    # It may be told with its domain; its neighbours leave that out.
    short = own.partition(".")[0]
    return {"localhost", own, short, f"{short}.local"} - {"", ".local"}


def _is_address(name: str) -> bool:
    """Tell whether *name* is an address: those are nobody's to lead elsewhere."""
    try:
        if name.startswith("["):
            IPv6Address(name[1:-1])
        else:
            IPv4Address(name)
    except ValueError:
        return False
    return True


def _is_same(origin: str, host: str, secure: bool) -> bool:
    """Tell whether *origin* is the site that is called *host*."""
    scheme = "https" if secure else "http"
    port = _DEFAULT_PORT[scheme]
    ours = f"{scheme}://{host.removesuffix(port)}"
    return origin.lower().removesuffix(port) == ours


def _names_tag(header: str, tag: str) -> bool:
    """Tell whether *header*, an ``If-None-Match``, holds *tag*."""
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in tags or tags == ["*"]
