"""Over HTTP: a fixed table of files, the figures, and a clear no to the rest."""

import http.client
import re
import socket
import time
from pathlib import Path

import pytest

from chatroom.server import web
from tests.integration.conftest import Start
from tests.support.server import Server
from tests.support.tls import CERT, KEY, trusting
from tests.support.waiting import wait_for
from tests.support.web import (
    Answer,
    WebPeer,
    ask,
    parse_answer,
    read_to_end,
    request,
    upgrade,
)

OPTIONS = (
    *("--hello-timeout", "60", "--rate", "0"),
    *("--web-host", "chat.example.org"),
)
TLS = ("--tls-cert", CERT, "--tls-key", KEY)
STATIC = Path(web.STATIC)
GOOD_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


def get(server: Server, path: str = "/", **headers: str | None) -> Answer:
    """Ask for a page over a connection of its own."""
    return ask(server.peer(), request(path, **headers))


# -- what there is ----------------------------------------------------------------


@pytest.mark.parametrize("path", web.FILES)
def test_the_page_is_served(server: Server, path: str) -> None:
    name, kind = web.FILES[path]
    answer = get(server, path)
    assert answer.status == 200
    assert answer.body == (STATIC / name).read_bytes()
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-length"] == str(len(answer.body))
    server.wait_log("visitor", "speaks=HTTP", "status=200")


def test_a_library_understands_it(server: Server) -> None:
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    for path in (*web.FILES, "/healthz"):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.read()
    connection.close()


@pytest.mark.parametrize("path", [*web.FILES, "/healthz", "/metrics", "/nothing"])
def test_head_is_the_same_without_a_body(server: Server, path: str) -> None:
    whole = get(server, path)
    head = ask(server.peer(), request(path, "HEAD"))
    assert head.status == whole.status
    assert head.body == b""
    if path != "/metrics":
        assert head.headers == whole.headers
        assert head.headers["content-length"] == str(len(whole.body))


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    first = get(server)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]+"', tag)
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = get(server, if_none_match=header)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == tag
    assert get(server, if_none_match='"other"').body == first.body
    assert get(server, "/chat.js").headers["etag"] != tag


def test_every_answer_is_safe(server: Server) -> None:
    asked = [request(p) for p in (*web.FILES, "/healthz", "/metrics", "/no", "/chat")]
    asked += [
        request(host="evil.example"),
        b"POST / HTTP/1.1\r\n\r\n",
        b"GET x\r\n\r\n",
    ]
    asked += [upgrade(origin="http://evil.example"), upgrade(sec_websocket_key="x")]
    statuses = set()
    for data in asked:
        answer = ask(server.peer(), data)
        statuses.add(answer.status)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        # Over plain http from another machine a browser complains of it, each time.
        assert "cross-origin-opener-policy" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        if "etag" not in answer.headers:
            assert answer.headers["cache-control"] == "no-store"
    assert statuses == {200, 400, 403, 404, 405, 421, 426}


def test_it_is_well(server: Server) -> None:
    assert get(server, "/healthz")[::2] == (200, b"ok\n")


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/index.html",
        "/index.html",
        "/chat.js/",
        "/CHAT.JS",
        "//chat.js",
        "/chat%2ejs",
        "/./chat.js",
        "/%00",
        "/chat.js;x",
        "/.git/config",
    ],
)
def test_no_other_path_is_anything(server: Server, path: str) -> None:
    assert get(server, path).status == 404


@pytest.mark.parametrize(
    "target", ["http://evil.example/", "*", "chat.js", "/a\x00", ""]
)
def test_no_target_of_another_form(server: Server, target: str) -> None:
    answer = ask(server.peer(), request(target))
    assert answer.status in (400, 404, 421)


# -- who is called what -----------------------------------------------------------


OWN = socket.gethostname().lower().removesuffix(".local")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:2428", "localhost.", "127.0.0.1", "127.0.0.1:9"),
        *("192.0.2.7", "[::1]", "[::1]:2428", "[2001:db8::7]", OWN, f"{OWN}.local"),
        *(f"{OWN}:80", "chat.example.org", "Chat.Example.Org:443"),
    ],
)
def test_names_of_this_server(server: Server, host: str) -> None:
    assert get(server, host=host).status == 200
    scheme = "http"
    with WebPeer(server.address, first=upgrade(host=host, origin=f"{scheme}://{host}")):
        pass


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:2428", "localhost.evil.example", "127.0.0.1.x"),
        *("xlocalhost", "chat.example.org.evil.example", "1.2.3", "2130706433"),
        *("0x7f.0.0.1", "127.0.0.01", "example.org", "[::1%25lo]", "[::1].evil"),
    ],
)
def test_a_name_that_leads_here_is_not_enough(server: Server, host: str) -> None:
    """A page of a name that was bound anew to this address speaks for its author."""
    answer = get(server, host=host)
    assert answer.status in (400, 421)
    if answer.status == 421:
        assert b"--web-host" in answer.body
        assert answer.headers["content-type"].startswith("text/plain")
    data = upgrade(host=host, origin=f"http://{host}")
    assert ask(server.peer(), data).status == answer.status
    for path in ("/healthz", "/metrics", "/chat.js"):
        assert get(server, path, host=host).status == answer.status


@pytest.mark.parametrize(
    "host", ["", "a b", "a,b", "user@localhost", "localhost:x", "/"]
)
def test_no_name_at_all(server: Server, host: str) -> None:
    assert get(server, host=host).status == 400


def test_a_host_has_to_be_given_once(server: Server) -> None:
    assert get(server, host=None).status == 400
    twice = GOOD_HEAD + b"Host: localhost\r\n\r\n"
    assert ask(server.peer(), twice).status == 400
    old = ask(server.peer(), request("/", "GET", "1.0"))
    assert old.status == 200


# -- what is no request -----------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"DELETE /chat.js HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (GOOD_HEAD + b"Content-Length: 3\r\n\r\nabc", 400),
        (GOOD_HEAD + b"Content-Length: +0\r\n\r\n", 400),
        (GOOD_HEAD + b"Content-Length: 1_0\r\n\r\n", 400),
        (GOOD_HEAD + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
        (GOOD_HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (GOOD_HEAD + b"X: a\nb: c\r\n\r\n", 400),
        (GOOD_HEAD + b"X: a\r\n folded\r\n\r\n", 400),
        (GOOD_HEAD + b"X : a\r\n\r\n", 400),
        (GOOD_HEAD + b"X: a\x00b\r\n\r\n", 400),
        (GOOD_HEAD + b"X\x80: a\r\n\r\n", 400),
        (GOOD_HEAD + b"X: a\rb\r\n\r\n", 400),
        (GOOD_HEAD + b"no colon\r\n\r\n", 400),
        (GOOD_HEAD + b"X: " + b"a" * 8192 + b"\r\n\r\n", 431),
        (GOOD_HEAD + b"Sec-WebSocket-Protocol: " + b"a," * 9000 + b"\r\n\r\n", 431),
        (GOOD_HEAD + b"".join(b"X%d: a\r\n" % n for n in range(129)) + b"\r\n", 431),
    ],
)
def test_a_wrong_head_is_told(server: Server, data: bytes, status: int) -> None:
    for bytewise in (False, True):
        peer = server.peer()
        if bytewise:
            peer.send_bytewise(data[:300])
            peer.send_raw(data[300:])
        else:
            peer.send_raw(data)
        answer = parse_answer(read_to_end(peer.sock))
        assert answer.status == status
        if status == 405:
            assert answer.headers["allow"] == "GET, HEAD"
        assert answer.body.strip()


@pytest.mark.parametrize("bytewise", [False, True])
def test_one_request_a_connection(server: Server, bytewise: bool) -> None:
    """What is pipelined behind the first one is not looked at."""
    (ann,) = server.crew("ann")
    peer = server.peer()
    more = request("/healthz") + b"POST / HTTP/1.1\r\n\r\n" + b"\x00" * 200_000
    if bytewise:
        peer.send_bytewise(request("/chat.css"))
        peer.send_raw(more)
    else:
        peer.send_raw(request("/chat.css") + more)
    answer = parse_answer(read_to_end(peer.sock))
    assert answer.body == (STATIC / "chat.css").read_bytes()
    ann.expect_nothing()


def test_a_head_has_its_time(start: Start) -> None:
    server = start("--hello-timeout", "0.3")
    for data in (b"GET / HT", GOOD_HEAD, GOOD_HEAD + b"\r"):
        peer = server.peer()
        peer.send_raw(data)
        answer = parse_answer(read_to_end(peer.sock))
        assert answer.status == 408
    peer = server.peer()
    peer.send_raw(GOOD_HEAD)
    peer.half_close()
    assert read_to_end(peer.sock) == b""


def test_a_hello_has_its_time_from_the_upgrade(start: Start) -> None:
    server = start("--hello-timeout", "0.5")
    peer = WebPeer(server.address)
    server.peers.append(peer)
    began = time.monotonic()
    peer.expect_error("timeout", closes=True)
    assert time.monotonic() - began > 0.4
    assert peer.close_code() == 1000


def test_thousand_idle_visitors_go(start: Start) -> None:
    """The oldest of those who say nothing whole make way; a page is still served."""
    server = start("--hello-timeout", "60")
    server.limit_descriptors(1024)
    idle = []
    for _ in range(300):
        peer = server.peer()
        peer.send_raw(b"GET / HTTP/1.1\r\n")
        idle.append(peer)
    assert get(server).status == 200
    answers = [parse_answer(read_to_end(peer.sock)) for peer in idle[:20]]
    assert {answer.status for answer in answers} == {503}


def test_a_page_that_is_read_slowly_comes_whole(start: Start) -> None:
    server = start("--hello-timeout", "1")
    peer = server.peer(rcvbuf=4096)
    peer.send_raw(request("/"))
    got = b""
    while data := peer.sock.recv(512):
        got += data
    assert parse_answer(got).body == (STATIC / "index.html").read_bytes()


# -- TLS --------------------------------------------------------------------------


def test_over_tls_it_is_the_same(start: Start) -> None:
    for options in ((), ("--tls-only",)):
        server = start(*TLS, *options)
        for path, (name, _) in web.FILES.items():
            answer = ask(server.peer(tls=trusting()), request(path))
            assert answer.status == 200
            assert answer.body == (STATIC / name).read_bytes()
        host = f"localhost:{server.address[1]}"
        first = upgrade(host=host, origin=f"https://{host}")
        with WebPeer(server.address, tls=trusting(), first=first) as peer:
            peer.hello("ann")
            peer.say("hi")
            peer.expect("message", text="hi")
        wrong = upgrade(host=host, origin=f"http://{host}")
        assert ask(server.peer(tls=trusting()), wrong).status == 403


def test_where_tls_is_a_must_browsers_are_sent_there(start: Start) -> None:
    server = start(*TLS, "--tls-only")
    for path in ("/", "/chat.js?x=1", "/nothing", "/metrics"):
        answer = get(server, path, host="localhost:2428")
        assert answer.status == 308
        assert answer.headers["location"] == f"https://localhost:2428{path}"
    assert ask(server.peer(), upgrade()).status == 308
    assert get(server, host="evil.example").status == 421


def test_with_a_certificate_this_machine_may_do_without(start: Start) -> None:
    server = start(*TLS)
    assert get(server).status == 200
    with WebPeer(server.address) as peer:
        peer.hello("ann")


# -- without ----------------------------------------------------------------------


def test_it_can_be_turned_off(start: Start) -> None:
    server = start("--no-web")
    for data in (request(), upgrade(), request("/metrics")):
        answer = ask(server.peer(), data)
        assert answer.status == 400
        assert b"chat-client" in answer.body


# -- the figures ------------------------------------------------------------------


def test_bytes_are_counted_without_tls(start: Start) -> None:
    """As many as of one who speaks plain text, though far more came."""
    server = start(*TLS)
    counts = [figures(server)["chatroom_received_bytes_total"]]
    for tls in (None, trusting()):
        peer = server.peer(tls=tls)
        peer.send("ping")
        peer.expect_error("hello-expected", closes=True)
        counts.append(figures(server)["chatroom_received_bytes_total"])
    assert counts[2] - counts[1] == counts[1] - counts[0]


def figures(server: Server) -> dict[str, float]:
    """Read the figures, each line of which has to be as OpenMetrics has it."""
    answer = get(server, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    text = answer.body.decode()
    assert text.endswith("\n# EOF\n")
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    family = ""
    for line in text.splitlines()[:-1]:
        if line.startswith("# "):
            word, family, rest = line[2:].split(" ", 2)
            assert word in ("TYPE", "HELP", "UNIT") and rest
            if word == "TYPE":
                assert family not in kinds, line
                kinds[family] = rest
            if word == "UNIT":
                assert family.endswith("_" + rest)
            continue
        match = re.fullmatch(r'(\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})?) (\S+)', line)
        assert match, line
        assert match[1].startswith(family)
        assert match[1] not in found
        suffix = match[1].removeprefix(family).partition("{")[0]
        assert (
            suffix
            in {
                "counter": ("_total",),
                "gauge": ("",),
                "info": ("_info",),
                "histogram": ("_bucket", "_count", "_sum"),
            }[kinds[family]]
        )
        found[match[1]] = float(match[2])
    return found


def test_the_page_on_operating_lists_the_figures(server: Server) -> None:
    page = Path(__file__).parents[2] / "docs" / "operations.md"
    rows = re.findall(r"^\| `(chatroom_\w+)` \| (\w+) \|", page.read_text(), re.M)
    text = get(server, "/metrics").body.decode()
    assert rows == re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)


def test_the_figures_are_those_of_the_server(start: Start, tmp_path: Path) -> None:
    server = start("--rate", "0", "--history", str(tmp_path / "history.db"))
    ann, bob = server.crew("ann", "bob", room="tea")
    web_ = WebPeer(server.address)
    server.peers.append(web_)
    web_.hello("web", room="tea")
    for _ in range(3):
        ann.say("hi")
    web_.recv_until(lambda frame: frame.get("id") == 3)
    bob.say("NO")
    bob.say("NO!")
    bob.rest()
    web_.expect("left")
    server.peer().send_raw(b"\xff")
    wait_for(lambda: "bad-frame" in server.log(), "the error")
    found = figures(server)
    assert found['chatroom_clients{dialect="native",tls="no"}'] == 1
    assert found['chatroom_clients{dialect="websocket",tls="no"}'] == 1
    assert found['chatroom_clients{dialect="websocket",tls="yes"}'] == 0
    assert found["chatroom_rooms"] >= 1
    assert found["chatroom_connects_total"] == 5
    assert found["chatroom_messages_total"] == 3
    assert found["chatroom_deliveries_total"] >= 9
    assert found['chatroom_warnings_total{reason="shouting"}'] == 1
    assert found['chatroom_kicks_total{reason="shouting"}'] == 1
    assert found['chatroom_errors_total{code="bad-frame"}'] == 1
    assert found["chatroom_received_bytes_total"] > 300
    assert found["chatroom_sent_bytes_total"] > 1000
    assert found["chatroom_tick_seconds_count"] > 5
    assert (
        found['chatroom_tick_seconds_bucket{le="+Inf"}']
        == (found["chatroom_tick_seconds_count"])
    )
    assert found["chatroom_store_seconds_count"] >= 1
    again = figures(server)
    assert again['chatroom_http_answers_total{status="200"}'] == 1
    assert again["chatroom_uptime_seconds"] > found["chatroom_uptime_seconds"]
