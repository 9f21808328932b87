"""The head of a request: what is one, what is refused, and that it costs little.

An oracle of its own reads the same bytes line by line, with no pattern of the project.
"""

import io
import random
import string
import time
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.wire import http
from chatroom.wire.http import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_TARGET,
    PHRASES,
    Head,
    HttpError,
    HttpRequest,
    response,
)
from tests.support.feeding import pieces

Outcome = tuple[HttpRequest | HttpError | None, bytes]


def play(way: list[bytes]) -> Outcome:
    """Feed a head in those pieces, as long as it takes more; return it and the rest."""
    head = Head()
    for number, piece in enumerate(way, 1):
        head.receive_data(piece)
        found = head.next_request()
        if found is not None:
            if isinstance(found, HttpError):
                return found, b""
            return found, head.rest() + b"".join(way[number:])
    return None, b""


def read(data: bytes) -> Outcome:
    """Feed *data* in every way; what comes of it is the same each time."""
    first, *others = map(play, pieces(data))
    assert all(other == first for other in others), "it depends on the cuts"
    return first


def status(data: bytes) -> int:
    """Give the status of what is refused; 200 for what is none, 0 for what is cut."""
    found, _ = read(data)
    if isinstance(found, HttpError):
        assert found.status in PHRASES
        assert found.text.isascii() and found.text.isprintable()
        return found.status
    return 0 if found is None else 200


def get(*lines: bytes, first: bytes = b"GET / HTTP/1.1", host: bytes = b"a") -> bytes:
    """Make a request that is good but for what is given."""
    given = [first, b"Host: " + host, *lines] if host else [first, *lines]
    return b"\r\n".join([*given, b"", b""])


# What is one


def test_the_limits() -> None:
    assert (MAX_HEAD, MAX_TARGET, MAX_HEADERS) == (8192, 2048, 128)


def test_a_request_and_what_comes_behind_it() -> None:
    data = b"GET /chat?room=tea HTTP/1.1\r\nHost: a:1\r\nX-Two:  b c \t\r\n\r\n\x81\x80"
    found, rest = read(data)
    assert found == HttpRequest(
        "GET",
        "/chat?room=tea",
        "/chat",
        {"host": "a:1", "x-two": "b c"},
        http10=False,
    )
    assert rest == b"\x81\x80"


@pytest.mark.parametrize("second", [get(), get(b"Content-Length: +1"), b"\n\0\r\xff"])
def test_a_second_request_is_left_as_it_came(second: bytes) -> None:
    found, rest = read(get(b"X: y") + second)
    assert isinstance(found, HttpRequest)
    assert (found.headers, rest) == ({"host": "a", "x": "y"}, second)


def test_a_request_without_a_single_header_is_of_the_older_version() -> None:
    found, rest = read(b"HEAD / HTTP/1.0\r\n\r\n")
    assert found == HttpRequest("HEAD", "/", "/", {}, http10=True)
    assert rest == b""


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"/?", "/"),
        (b"/?a?b", "/"),
        (b"//", "//"),
        (b"/../../etc/passwd", "/../../etc/passwd"),
        (b"/%2e%2e/%00", "/%2e%2e/%00"),
        (b"/" + b"x" * (MAX_TARGET - 1), "/" + "x" * (MAX_TARGET - 1)),
    ],
)
def test_a_path_stays_as_it_came(target: bytes, path: str) -> None:
    found, _ = read(get(first=b"GET " + target + b" HTTP/1.1"))
    assert isinstance(found, HttpRequest)
    assert (found.target, found.path) == (target.decode(), path)


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        ([b"X:"], "x", ""),
        ([b"X: \t "], "x", ""),
        ([b"X:a"], "x", "a"),
        ([b"X:a\t b \t"], "x", "a\t b"),
        ([b"X: ::"], "x", "::"),
        ([b"Connection: keep-alive", b"CONNECTION: Upgrade"], "connection", None),
        ([b"!#$%&'*+-.^_`|~09azAZ: a"], "!#$%&'*+-.^_`|~09azaz", "a"),
        ([b"Content-Length: 0"], "content-length", "0"),
    ],
)
def test_fields(lines: list[bytes], name: str, value: str | None) -> None:
    found, _ = read(get(*lines))
    assert isinstance(found, HttpRequest)
    expected = "keep-alive, Upgrade" if value is None else value
    assert found.headers == {"host": "a", name: expected}


def test_as_much_as_there_may_be() -> None:
    many = get(*(b"X-%d: y" % n for n in range(MAX_HEADERS - 1)))
    found, _ = read(many)
    assert isinstance(found, HttpRequest)
    assert len(found.headers) == MAX_HEADERS
    filler = b"x" * (MAX_HEAD - len(get(b"X: ")))
    large = get(b"X: " + filler)
    assert len(large) == MAX_HEAD
    found, rest = read(large + b"more")
    assert isinstance(found, HttpRequest)
    assert rest == b"more"


# What is refused

REFUSED = [
    # The first line.
    (400, b"\r\n\r\n"),
    (400, b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, get(first=b"GET /")),
    (400, get(first=b"GET  / HTTP/1.1")),
    (400, get(first=b"GET /  HTTP/1.1")),
    (400, get(first=b"GET\t/\tHTTP/1.1")),
    (400, get(first=b" GET / HTTP/1.1")),
    (400, get(first=b"GET / HTTP/1.1 ")),
    (400, get(first=b"GET / HTTP/1.10")),
    (400, get(first=b"GET / HTTP/1")),
    (400, get(first=b"GET / HTTP/+1.1")),
    (400, get(first=b"GET / http/1.1")),
    (400, get(first="GET / HTTP/١.1".encode())),
    (400, get(first=b"G(T / HTTP/1.1")),
    (400, get(first=b"GET /a b HTTP/1.1")),
    (400, get(first=b"GET /\0 HTTP/1.1")),
    (400, get(first=b"GET /\x7f HTTP/1.1")),
    (400, get(first=b"GET /\x80 HTTP/1.1")),
    (400, get(first=b"GET /\xc3\xa9 HTTP/1.1")),
    (400, get(first=b"GET http://a/ HTTP/1.1")),
    (400, get(first=b"GET * HTTP/1.1")),
    (400, get(first=b"GET a HTTP/1.1")),
    (400, get(first=b"GET /#top HTTP/1.1")),
    (405, get(first=b"POST / HTTP/1.1")),
    (405, get(first=b"get / HTTP/1.1")),
    (405, get(first=b"OPTIONS * HTTP/1.1")),
    (405, get(first=b"CONNECT a:1 HTTP/1.1")),
    (414, get(first=b"GET /" + b"x" * MAX_TARGET + b" HTTP/1.1")),
    (414, b"GET /" + b"x" * (MAX_HEAD - 5)),
    (505, b"PRI * HTTP/2.0\r\n\r\n"),
    (505, get(first=b"GET / HTTP/0.9")),
    # Lines.
    (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    (400, b"GET / HTTP/1.1\rHost: a\r\r"),
    (400, b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    (400, b"GET / HTTP/2.0\r\r\n\r\n"),
    (400, get(b"X: a\nY: b")),
    (400, get(b"X: a\rY: b")),
    # Fields.
    (400, get(host=b"")),
    (400, get(b"Host: a")),
    (400, get(b"host: b")),
    (400, get(b"Origin: a", b"Origin: a")),
    (400, get(b"Sec-WebSocket-Key: a", b"Sec-WebSocket-Key: a")),
    (400, get(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8")),
    (400, get(b"X")),
    (400, get(b": a")),
    (400, get(b"X : a")),
    (400, get(b"X\t: a")),
    (400, get(b" X: a")),
    (400, get(b"X: a", b" b")),
    (400, get(b"X: a", b"\tb: c")),
    (400, get(b"X Y: a")),
    (400, get(b"X\x80: a")),
    (400, get(b"X\0: a")),
    (400, get(b"X(: a")),
    *((400, get(b"X: a%cb" % byte)) for byte in (0, 1, 11, 12, 27, 127, 128, 255)),
    *((400, get(b"X: %c" % byte)) for byte in (0, 11, 12, 127, 128)),
    (431, get(*(b"X-%d: y" % n for n in range(MAX_HEADERS)))),
    (431, get(b"X: " + b"x" * MAX_HEAD)),
    (431, get(b"X: " + b"x" * (MAX_HEAD - len(get(b"X: ")) + 1))),
    (431, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEAD // 6)),
    # Bodies.
    (400, get(b"Content-Length: 5")),
    (400, get(b"Content-Length: +0")),
    (400, get(b"Content-Length: 00")),
    (400, get(b"Content-Length: 1_0")),
    (400, get(b"Content-Length: 0, 0")),
    (400, get(b"Content-Length:")),
    (400, get(b"Content-Length: 0", b"Content-Length: 0")),
    (400, get(b"Transfer-Encoding: chunked")),
    (400, get(b"Transfer-Encoding: identity")),
    (400, get(b"Transfer-Encoding:")),
]


@pytest.mark.parametrize(("expected", "data"), REFUSED)
def test_refused(expected: int, data: bytes) -> None:
    assert status(data) == expected
    assert oracle(data) == expected


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\rX"])
def test_who_ends_lines_in_another_way_is_not_left_waiting(data: bytes) -> None:
    assert status(data) == 400


@pytest.mark.parametrize("cut", range(1, len(get())))
def test_until_it_is_whole_there_is_none(cut: int) -> None:
    assert status(get()[:-cut]) == 0


# An oracle

TOKEN = set((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
VISIBLE = set(range(0x21, 0x7F))
ONCE = {"host", "origin", "content-length"} | {
    f"sec-websocket-{name}" for name in ("key", "version")
}


def oracle(data: bytes) -> int:
    """Tell the status of *data* as ``status`` does, by other means."""
    end = data[:MAX_HEAD].find(b"\r\n\r\n")
    inside = data[:MAX_HEAD] if end < 0 else data[: end + 2]
    cut = inside[:-1] if end < 0 and inside.endswith(b"\r") else inside
    if set(b"\r\n") & set(cut.replace(b"\r\n", b"")):
        return 400
    if end < 0:
        if len(data) < MAX_HEAD:
            return 0
        return 431 if b"\r\n" in inside else 414
    first, *lines = data[:end].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[0] or not set(words[0]) <= TOKEN:
        return 400
    if not words[1] or not set(words[1]) <= VISIBLE:
        return 400
    versions = [f"HTTP/{major}.{minor}" for major in range(10) for minor in range(10)]
    if words[2] not in [one.encode() for one in versions]:
        return 400
    if words[2][5:6] != b"1":
        return 505
    if len(words[1]) > MAX_TARGET:
        return 414
    if len(lines) > MAX_HEADERS:
        return 431
    return oracle_of_fields(words, lines)


def oracle_of_fields(words: list[bytes], lines: list[bytes]) -> int:
    """Go on with the fields, and with what follows from them."""
    seen: dict[str, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not (colon and name and set(name) <= TOKEN):
            return 400
        if not set(value) <= VISIBLE | set(b" \t"):
            return 400
        key = name.decode().lower()
        if key in seen and key in ONCE:
            return 400
        seen[key] = value
    if words[0] not in (b"GET", b"HEAD"):
        return 405
    if "transfer-encoding" in seen or seen.get("content-length", b"0") != b"0":
        return 400
    if words[1][:1] != b"/" or b"#" in words[1]:
        return 400
    return 400 if words[2] != b"HTTP/1.0" and "host" not in seen else 200


PARTS = (
    b"GET HEAD POST / /chat ?x # * HTTP/1.1 HTTP/1.0 HTTP/2.0 Host: Origin: X: "
    b"Content-Length: Transfer-Encoding: Connection: Upgrade 0 5 a:1 , \xe9 \x7f"
).split(b" ") + [b" ", b"\t", b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\0", b":"]


@given(st.binary(max_size=60) | st.lists(st.sampled_from(PARTS)).map(b"".join))
@example(b"GET / HTTP/1.0\r\n\r\n")
def test_any_bytes(data: bytes) -> None:
    assert status(data) == oracle(data)


@given(
    st.sampled_from([b"GET", b"HEAD", b"PUT"]),
    st.sampled_from([b"/", b"/x?y", b"*", b"/#"]),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/3.0"]),
    st.lists(
        st.tuples(
            st.sampled_from([b"Host", b"host", b"X", b"Origin", b"Content-Length"]),
            st.sampled_from([b":", b": ", b" :", b""]),
            st.sampled_from([b"", b"0", b"a", b"a b\t", b"a\0b", b"1"]),
        ),
        max_size=4,
    ),
    st.data(),
)
def test_what_is_nearly_good(
    method: bytes,
    target: bytes,
    version: bytes,
    fields: list[tuple[bytes, bytes, bytes]],
    data: st.DataObject,
) -> None:
    lines = [b" ".join((method, target, version)), *map(b"".join, fields)]
    whole = bytearray(b"\r\n".join([*lines, b"", b""]))
    if data.draw(st.booleans(), "changed"):
        at = data.draw(st.integers(0, len(whole) - 1), "at")
        whole[at] = data.draw(st.sampled_from(b"\0\r\n\t :/1\x80"), "to")
    assert status(bytes(whole)) == oracle(bytes(whole))


# What it costs


class Looks:
    """A pattern that counts the bytes it is let look at."""

    def __init__(self, pattern: Any) -> None:
        self.pattern = pattern
        self.bytes = 0

    def search(self, data: bytearray, start: int, stop: int) -> object:
        """Search, and count."""
        self.bytes += max(0, min(stop, len(data)) - start)
        return self.pattern.search(data, start, stop)


def test_each_byte_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(http._BARE)
    monkeypatch.setattr(http, "_BARE", looks)
    data = get(b"X: " + b"x" * (MAX_HEAD - 100))
    found, _ = play([data[at : at + 1] for at in range(len(data))])
    assert isinstance(found, HttpRequest)
    assert looks.bytes <= 5 * len(data)


@pytest.mark.parametrize(
    "line",
    [
        b"X:" + b" " * 8000,
        b"X:" + b" \t" * 4000 + b"\0",
        b"X:" + b"a " * 4000 + b"\0",
        b"X:" + b"a" * 8000 + b"\x80",
        b"a" * 8000,
        b"a" * 8000 + b" :",
        b"Sec-WebSocket-Protocol: " + b"a," * 3900,
        b"Sec-WebSocket-Extensions: " + b'x; y="' * 1300,
    ],
)
def test_no_head_is_costly(line: bytes) -> None:
    """Who had to look twice as often for each byte more would take minutes."""
    data = get(line)
    begun = time.process_time()
    for _ in range(20):
        play([data])
    assert time.process_time() - begun < 2


def test_random_bytes_in_a_large_head() -> None:
    chance = random.Random(7)
    for _ in range(50):
        data = bytearray(get(b"X: " + b"x" * 8000))
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert play([bytes(data)])[0] == play([bytes(data[:9]), bytes(data[9:])])[0]


# Answers


class Wire:
    """What ``http.client`` reads an answer from."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> io.BytesIO:
        """Give the bytes."""
        return io.BytesIO(self.data)


@pytest.mark.parametrize("status", sorted(PHRASES))
def test_others_read_an_answer_as_it_is_meant(status: int) -> None:
    assert status in list(HTTPStatus)
    body = b"" if status == 304 else b"sorry\n"
    data = response(status, {"Content-Type": "text/plain", "X-Y": "z"}, body)
    answer = HTTPResponse(Wire(data), method="GET")  # type: ignore[arg-type]
    answer.begin()
    assert (answer.status, answer.reason) == (status, PHRASES[status])
    assert answer.read() == body
    assert answer.will_close
    assert answer.getheaders() == [
        ("Content-Type", "text/plain"),
        ("X-Y", "z"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]


def test_a_head_says_what_the_body_would_be() -> None:
    whole = response(200, {"A": "b"}, b"12345")
    assert response(200, {"A": "b"}, b"12345", head=True) + b"12345" == whole
