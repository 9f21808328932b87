"""The head of a request, and answers: as little of HTTP/1.1 as a page needs (RFC 9112).

    head.receive_data(bytes)* -> next_request() -> HttpRequest | HttpError | None
        -> rest()

GET and HEAD, no bodies, one request a connection.  What could be read in two ways is
refused, whatever others do with it: a request that two programs read differently is
how one of them is led astray.  Nothing raises: what is wrong is an ``HttpError``, with
the status to answer it by.
Must not know: sockets, clocks, which paths there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD = 8192
"""Bytes of a head: as much as common servers take of a browser's cookies, and more
than we have use for."""
MAX_TARGET = 2048
"""Bytes of a target: none of ours has 20."""
MAX_HEADERS = 128
PHRASES = {
    200: "OK",
    304: "Not Modified",
    308: "Permanent Redirect",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    414: "URI Too Long",
    421: "Misdirected Request",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
"""Every status that there is an answer with."""
_END = b"\r\n\r\n"

_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
"""An end of a line that some take for one and others do not."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/(\d)\.(\d)")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~][!-~ \t]*)?)")
"""A name, and a value of visible ASCII: no control character, nothing beyond (RFC 9110,
section 5.5, lets a recipient refuse those)."""
_ONLY_ONCE = frozenset(
    "host origin content-length sec-websocket-key sec-websocket-version".split()
)
"""Fields that mean nothing, or danger, when they are there twice."""


@dataclass(slots=True)
class HttpRequest:
    """One request."""

    method: str
    """GET or HEAD."""
    target: str
    """As it came: a path, and a query where there is one."""
    path: str
    """The target without a query."""
    headers: dict[str, str]
    """By name in lower case; fields that came several times are one list."""
    http10: bool = False
    """Whether it came in the older version."""


@dataclass(slots=True)
class HttpError:
    """A request that is refused."""

    status: int
    text: str
    """Why, for a person."""


class Head:
    """The bytes of one request, until its head is whole."""

    __slots__ = ("_data", "_looked")

    def __init__(self) -> None:
        self._data = bytearray()
        self._looked = 0
        """How far no end was found; so each byte is looked at once."""

    def receive_data(self, data: bytes) -> None:
        """Take *data*, as it came."""
        self._data += data

    def next_request(self) -> HttpRequest | HttpError | None:
        """Return the request, or what is wrong with it; ``None`` until it is whole."""
        data = self._data
        end = data.find(_END, self._looked, MAX_HEAD)
        # One that ends its lines in another way might wait for us for ever.
        stop = MAX_HEAD if end < 0 else end + 2
        if _BARE.search(data, self._looked, stop) is not None:
            return HttpError(400, "lines end in CR LF")
        if end < 0:
            self._looked = max(0, len(data) - len(_END) + 1)
            return _too_long(data) if len(data) >= MAX_HEAD else None
        head = bytes(data[:end])
        del data[: end + len(_END)]
        return _read(head)

    def rest(self) -> bytes:
        """Return what came behind the head."""
        return bytes(self._data)


def _too_long(data: bytearray) -> HttpError:
    if data.find(b"\r\n", 0, MAX_HEAD) < 0:
        return HttpError(414, f"a target has at most {MAX_TARGET} bytes")
    return HttpError(431, f"the head of a request has at most {MAX_HEAD} bytes")


def _read(head: bytes) -> HttpRequest | HttpError:
    first, *lines = head.split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        return HttpError(400, "the first line is not that of a request")
    method, target, major, minor = (part.decode("ascii") for part in found.groups())
    if major != "1":
        return HttpError(505, "HTTP/1.1 is spoken here")
    if len(target) > MAX_TARGET:
        return HttpError(414, f"a target has at most {MAX_TARGET} bytes")
    if len(lines) > MAX_HEADERS:
        return HttpError(431, f"a request has at most {MAX_HEADERS} header fields")
    headers: dict[str, str] = {}
    for line in lines:
        wrong = _add(headers, line)
        if wrong is not None:
            return HttpError(400, wrong)
    if method not in ("GET", "HEAD"):
        return HttpError(405, f"{method} is not for here: GET and HEAD are")
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return HttpError(400, "a request has no body here")
    if not target.startswith("/") or "#" in target:
        return HttpError(400, "the target of a request is a path")
    if "host" not in headers and minor != "0":
        return HttpError(400, "a request has to name its Host")
    path = target.partition("?")[0]
    return HttpRequest(method, target, path, headers, http10=minor == "0")


def _add(headers: dict[str, str], line: bytes) -> str | None:
    """Add the field in *line* to *headers*; return what is wrong with it."""
    found = _HEADER.fullmatch(line)
    if found is None:
        return "a header field is not as it should be"
    name = found[1].decode("ascii").lower()
    value = found[2].decode("ascii").rstrip(" \t")
    if name not in headers:
        headers[name] = value
    elif name in _ONLY_ONCE:
        return f"{name} is there twice"
    else:
        headers[name] += f", {value}"
    return None


def response(
    status: int, headers: dict[str, str], body: bytes, *, head: bool = False
) -> bytes:
    """Return an answer, after which the connection is closed.

    *head*: without its *body*, but with all that would be said of it.  *headers* are
    ours, and nothing of a peer's is in them that was not looked at.
    """
    lines = [f"HTTP/1.1 {status} {PHRASES[status]}"]
    lines += (f"{name}: {value}" for name, value in headers.items())
    lines += (f"Content-Length: {len(body)}", "Connection: close", "", "")
    start = "\r\n".join(lines).encode("latin-1")
    return start if head else start + body
