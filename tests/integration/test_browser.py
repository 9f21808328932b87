"""The page in a real browser: what a person does there, and what is seen of it.

One Chromium for all tests, a profile of its own for each visitor.  After each test
the browser must have had nothing to complain about: no error in a script or on the
console, nothing that the content policy forbids.
"""

import json
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatroom.core.operators import entry
from tests.integration.conftest import Start
from tests.integration.test_client import Typist
from tests.integration.test_tls import PAIR
from tests.support.browser import Browser, Page, find
from tests.support.peer import Peer
from tests.support.proxy import CuttingProxy
from tests.support.server import Server
from tests.support.waiting import fresh, wait_for

OPTIONS = ("--rate", "0", "--max-clients-per-ip", "0")
CHROMIUM = find()
LONG = 20.0
TALL = 30_000
"""Pixels of a window in which some hundred messages are seen at once."""
KEY = "2f3a9c41d07be8865512f3a9c41d07be88655120"
"""An operator's."""
LOST = ("WebSocket connection to", "net::ERR_")
"""What the browser itself says of a server that is not there."""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: apt install chromium"
)


def site(address: tuple[str, int], scheme: str) -> str:
    """Where the page of this server is."""
    host, port = address
    return f"{scheme}://{host}:{port}/"


class Visitor:
    """A person before the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.nick = ""

    def join(self, nick: str, password: str = "") -> None:
        """Fill in the form, and be let in."""
        self.page.wait("document.activeElement.id === 'nick'")
        self.page.type(nick)
        if password:
            self.page.value("document.getElementById('password').focus()")
            self.page.type(password)
        self.page.press("Enter")
        self.arrived()
        self.nick = nick

    def arrived(self) -> None:
        """Be in a room, and able to write."""
        self.page.wait("document.activeElement?.id === 'text'")
        self.page.wait("document.getElementById('banner')?.hidden")

    def say(self, *lines: str) -> None:
        """Write each line and press Enter."""
        for line in lines:
            self.page.type(line)
            self.page.press("Enter")

    def see(self, text: str, where: str = "#list") -> None:
        """Wait until this is to be read."""
        self.page.see(where, text)

    def sees(self, text: str, where: str = "#list") -> bool:
        """Tell whether this is to be read now."""
        return text in self.page.text(where)

    def lacks(self, text: str, where: str) -> bool:
        """Tell whether this is not to be read there."""
        return not self.sees(text, where)

    def shows(self, texts: list[str]) -> None:
        """Wait until these are the messages in sight."""
        wait_for(lambda: self.messages() == texts, f"{texts} and nothing else")

    def messages(self) -> list[str]:
        """The texts of the messages in sight."""
        found: list[str] = self.page.value(
            "Array.from(document.querySelectorAll('#list .message .text'),"
            " (one) => one.textContent)"
        )
        return found


Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of the module."""
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as one:
        yield one


@pytest.fixture
def visit(browser: Browser, server: Server, start: Start) -> Iterator[Visit]:
    """Open the page, and join under a nick that begins with this stem.

    Pages are closed before the servers of `start` are held to giving all back.
    """
    pages: list[Page] = []
    lost: list[Page] = []

    def open_page(
        stem: str = "",
        room: str = "",
        address: tuple[str, int] | None = None,
        *,
        scheme: str = "http",
        loses: bool = False,
        **size: int,
    ) -> Visitor:
        where = site(address or server.address, scheme)
        page = browser.page(f"{where}#{room}", **size)
        (lost if loses else pages).append(page)
        visitor = Visitor(page)
        if stem:
            visitor.join(fresh(stem))
        return visitor

    yield open_page
    for page in pages + lost:
        problems = page.problems()
        if page in lost:
            problems = [one for one in problems if not any(map(one.count, LOST))]
        page.close()
        assert problems == []


@pytest.fixture
def room() -> str:
    """A room of the test's own."""
    return fresh("room")


def member(server: Server, room: str, stem: str = "bob") -> Peer:
    """A member who speaks the protocol by himself."""
    return server.member(stem, room=room)


def next_say(peer: Peer) -> dict[str, Any]:
    """What is said next where this peer is."""
    return peer.expect("message", skip=("joined", "left", "ping", "renamed"))


# -- talking ----------------------------------------------------------------------


def test_two_pages_and_a_terminal_chat(visit: Visit, server: Server, room: str) -> None:
    ann, bob = visit("ann", room), visit("bob", room)
    ann.see(f"{bob.nick} joined")
    with Typist(server, "--nick", fresh("tom"), "--room", room) as tom:
        tom.read_until(lambda text: "you are in" in text)
        ann.say("Hello from a page")
        tom.read_until(lambda text: "Hello from a page" in text)
        tom.type("Hello from a terminal\r")
        for page in (ann, bob):
            page.see("Hello from a terminal")
        bob.say("Hello from another")
        whence = ("a page", "a terminal", "another")
        expected = [f"Hello from {one}" for one in whence]
        for page in (ann, bob):
            page.shows(expected)
    own = "#list .own .text"
    assert ann.page.text(own) == expected[0]
    assert bob.page.text(own) == expected[2]
    for page in (ann, bob):
        page.see(ann.nick, "#members")
        assert page.sees(bob.nick, "#members")
        page.see("left (lost)")
        wait_for(partial(page.lacks, "tom", "#members"), "tom to go")


def test_shift_enter_begins_a_line_and_a_slash_is_said_by_two(
    visit: Visit, server: Server, room: str
) -> None:
    bob = member(server, room)
    ann = visit("ann", room)
    ann.page.type("one")
    ann.page.press("Enter", shift=True)
    ann.page.type("two")
    ann.page.press("Enter")
    ann.say("//shrug", "/nonsense", "  kept as it is ")
    said = [next_say(bob)["text"] for _ in range(3)]
    assert said == ["one\ntwo", "/shrug", "  kept as it is "]
    ann.see("There is no /nonsense")


def test_markup_is_shown_letter_by_letter(
    visit: Visit, server: Server, room: str
) -> None:
    ann = visit("ann", room)
    bob = member(server, room)
    texts = [
        "<img src=x onerror=alert(1)><script>alert(2)</script>",
        '"><svg/onload=alert(3)> &lt;b&gt; &amp; <b>bold</b> ${alert(4)}',
        "javascript:alert(5) data:text/html,<script>alert(6)</script>",
        "<a href='javascript:alert(7)'>x</a></li></ol><style>*{display:none}</style>",
    ]
    for text in texts:
        bob.say(text)
        bob.send("whisper", to=ann.nick, text=text)
    ann.shows(texts)
    whispers = "#list .whisper .text"
    assert ann.page.text(whispers) == "\n".join(texts)
    made = "#app :is(img, script, svg, style, b, a[href^=j])"
    assert ann.page.value(f"document.querySelectorAll('{made}').length") == 0


def test_links_are_http_alone_and_tell_nobody_where_from(
    visit: Visit, server: Server, room: str
) -> None:
    ann = visit("ann", room)
    bob = member(server, room)
    bob.say(
        "see https://example.org/a_(b)?q=1#x, (http://example.com). "
        "not ftp://example.org javascript:alert(1) https:// HTTPS://EXAMPLE.net!"
    )
    ann.see("not ftp")
    links = ann.page.value(
        "Array.from(document.querySelectorAll('#list .text a'),"
        " (a) => [a.textContent, a.href, a.rel, a.target])"
    )
    safe = ["noopener noreferrer nofollow", "_blank"]
    assert links == [
        ["https://example.org/a_(b)?q=1#x", "https://example.org/a_(b)?q=1#x", *safe],
        ["http://example.com", "http://example.com/", *safe],
        ["HTTPS://EXAMPLE.net", "https://example.net/", *safe],
    ]


def test_whispers_go_both_ways(visit: Visit, server: Server, room: str) -> None:
    bob = member(server, room)
    ann = visit("ann", room)
    eve = visit("eve", room)
    ann.see(eve.nick, "#members")
    ann.page.click(f"#members [value={bob.nick}]")
    ann.page.type("psst")
    ann.page.press("Enter")
    whisper = bob.expect("whisper", skip=("joined",), text="psst")
    assert whisper["from"] == ann.nick
    bob.send("whisper", to=ann.nick, text="what is it?")
    ann.see("what is it?")
    ann.say("/r nothing")
    bob.recv_until(lambda frame: frame.get("text") == "nothing")
    ann.see("nothing", "#list .own")
    ann.say("/msg nobody-here hello?")
    ann.see("Not said")
    assert not eve.sees("psst")


def test_who_names_one_is_marked_and_counted_while_one_is_away(
    visit: Visit, server: Server, room: str
) -> None:
    ann = visit("ann", room)
    bob = member(server, room)
    bob.say("nobody in particular")
    ann.see("nobody in particular")
    ann.page.attend(False)
    bob.say(f"Tea, {ann.nick.upper()}?")
    bob.say(f"x{ann.nick} is somebody else")
    ann.see("somebody else")
    assert ann.page.text("#list .mention .text") == f"Tea, {ann.nick.upper()}?"
    ann.page.wait(f"document.title === '(2) #{room} – chatroom'")
    ann.page.attend(True)
    ann.page.wait(f"document.title === '#{room} – chatroom'")


# -- rules --------------------------------------------------------------------------


def test_a_shout_is_told_before_and_then_warned_and_kicked(
    visit: Visit, server: Server, room: str
) -> None:
    ann = visit("ann", room)
    bob = member(server, room)
    ann.say("HELLO?")
    ann.see("strike 1 of 2, a warning", "#hint")
    bob.expect_nothing()
    ann.page.type("x")
    ann.page.wait("!document.getElementById('hint').checkVisibility()")
    ann.page.press("Enter")
    assert next_say(bob)["text"] == "HELLO?x"
    ann.say("HELLO?")
    ann.page.press("Enter")
    ann.see("Strike 1 of 2", "#warning")
    ann.see("strike 1 of 2", "#strikes")
    ann.page.click("#warning-button")
    ann.say("NO")
    ann.see("strike 2 of 2, and you would be disconnected", "#hint")
    ann.page.press("Enter")
    ann.see("Strike 2 of 2", "#ended")
    assert bob.expect("left", nick=ann.nick)["reason"] == "shouting"
    assert ann.sees("Disconnected for shouting", "#banner")
    assert ann.page.value("document.getElementById('text').disabled")
    # It does not come back by itself, but one may.
    bob.expect_nothing()
    ann.page.click("#ended-again")
    ann.arrived()
    bob.expect("joined", nick=ann.nick)
    ann.say("I shall be quiet")
    assert next_say(bob)["text"] == "I shall be quiet"
    assert not ann.page.shows("#strikes")


def test_what_is_a_shout_is_what_the_server_takes_for_one(visit: Visit) -> None:
    page = visit().page
    alone, joined = page.value(
        """import("/chat.js").then(({ isShout }) => {
            const alone = [], joined = [];
            for (let code = 1; code < 0x110000; code++) {
                const char = String.fromCodePoint(code);
                if (isShout(char)) alone.push(code);
                if (!isShout("A" + char)) joined.push(code);
            }
            return [alone, joined];
        })"""
    )
    # A browser may know a newer Unicode: more characters, modifier letters that have
    # become lower case since, and one letter that no longer is.
    chars = [
        char
        for char in map(chr, range(1, sys.maxunicode + 1))
        if unicodedata.category(char) not in ("Cn", "Cs", "Lm") and char != "\u0295"
    ]
    known = set(map(ord, chars))
    assert known & set(alone) == {ord(char) for char in chars if char.isupper()}
    not_joined = {ord(char) for char in chars if not f"A{char}".isupper()}
    assert known & set(joined) == not_joined
    shout = "import('/chat.js').then(({ isShout }) => isShout('OK', 3))"
    assert page.value(shout) is False


def test_leaving_is_an_end(visit: Visit, server: Server, room: str) -> None:
    bob = member(server, room)
    ann = visit("ann", room)
    ann.say("!leave")
    ann.see("Good-bye", "#ended")
    assert bob.expect("left", skip=("joined",))["reason"] == "leave"
    ann.page.click("#ended button")
    ann.page.wait("!document.getElementById('ended').checkVisibility()")
    ann.page.click("#banner-button")
    ann.arrived()
    bob.expect("joined")
    ann.page.click("#leave")
    ann.see("Good-bye", "#ended")
    assert bob.expect("left")["reason"] == "leave"


def test_two_windows_do_not_fight_over_one_session(visit: Visit, room: str) -> None:
    ann = visit("ann", room)
    session = ann.page.value("sessionStorage.getItem('session')")
    other = visit()
    other.page.value(f"sessionStorage.setItem('session', {json.dumps(session)})")
    other.page.value(f"sessionStorage.setItem('nick', {json.dumps(ann.nick)})")
    other.page.value("location.reload()")
    ann.see("another window", "#ended")
    other.arrived()
    ann.page.click("#ended-again")
    other.see("another window", "#ended")
    ann.arrived()


# -- coming in ----------------------------------------------------------------------


def test_a_nick_that_is_taken_is_asked_for_again(visit: Visit, server: Server) -> None:
    bob = server.member("bob")
    ann = visit()
    ann.page.wait("document.activeElement.id === 'nick'")
    ann.page.type(bob.nick)
    ann.page.press("Enter")
    ann.see(bob.nick, "#entry-error")
    ann.join(fresh("ann"))  # It stands there selected, and is overwritten.
    new = fresh("anna")
    ann.say(f"/nick {new}")
    ann.see(f"is now {new}")
    ann.see(new, "#members")
    assert ann.page.value("localStorage.getItem('nick')") == new
    ann.say("/nick !")
    ann.see("a nick is made of")


def test_a_password_is_asked_for_where_there_is_one(
    visit: Visit, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("open sesame\n")
    server = start("--password-file", str(tmp_path / "password"))
    ann = visit(address=server.address)
    ann.page.wait("document.activeElement.id === 'nick'")
    ann.page.type("ann")
    ann.page.press("Enter")
    ann.page.wait("document.activeElement.id === 'password'")
    ann.page.type("wrong")
    ann.page.press("Enter")
    ann.see("password", "#entry-error")
    ann.page.wait("document.activeElement.id === 'password'")
    ann.page.type("open sesame")
    ann.page.press("Enter")
    ann.arrived()
    kept = ann.page.value("JSON.stringify([localStorage, sessionStorage])")
    assert "session" in kept
    assert "sesame" not in kept


def test_over_tls_it_is_the_same_room(visit: Visit, start: Start) -> None:
    server = start(*PAIR)
    bob = member(server, "tea")
    ann = visit("ann", "tea", server.address, scheme="https")
    ann.say("said over TLS")
    assert next_say(bob)["text"] == "said over TLS"
    ann.see("said over TLS")


def test_a_reload_keeps_the_session(visit: Visit, room: str) -> None:
    ann = visit("ann", room)
    ann.say("before", "LOUD")
    ann.page.press("Enter")
    ann.see("strike 1 of 2", "#strikes")
    ann.page.value("location.reload()")
    ann.arrived()
    ann.see("before")
    ann.see("strike 1 of 2", "#strikes")
    ann.say("after")
    ann.shows(["before", "after"])
    assert ann.page.text("#list .own .text") == "before\nafter"


def test_a_crowd_is_counted_and_then_named(visit: Visit, start: Start) -> None:
    server = start("--rate", "0", "--presence-limit", "5")
    crowd = [member(server, "tea") for _ in range(8)]
    ann = visit("ann", "tea", server.address)
    ann.see("9", "#count")
    for peer in crowd[1:]:
        server.peers.remove(peer)
        peer.close()
    wait_for(lambda: ann.page.text("#count") == "2", "few to be left")
    named = "document.getElementById('members').childElementCount === 2"
    ann.page.wait(named)
    ann.see(crowd[0].nick, "#members")


def test_rooms_are_links(visit: Visit, server: Server, room: str) -> None:
    ann = visit("ann", room)
    ann.say("said in the first room")
    ann.see("said in the first room")
    second, third = fresh("room"), fresh("room")
    bob = member(server, second)
    bob.say("said in the second room")
    ann.say(f"/join {second}")
    ann.see("said in the second room")
    assert not ann.sees("first room")
    ann.see(f"#{second}", "#rooms [aria-current]")
    ann.page.value("history.back()")
    ann.see("said in the first room")
    ann.page.value("document.getElementById('go-room').focus()")
    ann.page.type(f"#{third}")
    ann.page.press("Enter")
    ann.see(f"#{third}", "#rooms [aria-current]")
    ann.page.click(f"#rooms [href='#{second}']")
    ann.see(f"#{second}", "#room")
    ann.see("said in the second room")
    assert ann.page.value("location.hash") == f"#{second}"
    assert ann.messages() == ["said in the second room"]


# -- missing nothing ------------------------------------------------------------------


def log_of(peer: Peer) -> list[str]:
    """What is kept of what was said where this peer is."""
    found: list[str] = []
    more, last = True, 0
    while more:
        peer.send("history", after=last, limit=200)
        page = peer.recv_until(lambda frame: frame.type == "history")[-1]
        found += [message["text"] for message in page["messages"]]
        more, last = page["more"], page["messages"][-1]["id"]
    return found


def test_a_server_that_dies_costs_nothing(
    visit: Visit, start: Start, tmp_path: Path
) -> None:
    options = ["--rate", "0", "--history", str(tmp_path / "history")]
    server = start(*options)
    ann = visit("ann", "tea", server.address, loses=True, height=TALL)
    ann.say("before")
    ann.see("before")
    server.stopped = True
    server.kill()
    ann.see("The connection is lost", "#banner")
    ann.say("meanwhile one", "meanwhile two")
    ann.see("waiting", "#pending")
    risen = start(*options, "--port", str(server.address[1]))
    bob = member(risen, "tea")
    lines = [f"line {number}" for number in range(450)]
    for line in lines:
        bob.say(line)
    bob.sync()
    ann.page.value("document.getElementById('banner-button').click()")
    ann.arrived()
    ann.say("after")
    ann.see("after")
    kept = log_of(bob)
    ann.shows(kept)
    assert [text for text in kept if text in lines] == lines
    hers = ["before", "meanwhile one", "meanwhile two", "after"]
    assert [text for text in kept if text not in lines] == hers
    assert ann.page.text("#pending") == ""


def test_what_is_said_over_a_bad_network_comes_once(
    visit: Visit, server: Server, room: str
) -> None:
    bob = member(server, room)
    with CuttingProxy(server.address, 7, (0.2, 1.0)) as proxy:
        proxy.cutting = False
        over = threading.Event()

        def relay() -> None:
            while not over.is_set():
                proxy.turn(0.02)

        relaying = threading.Thread(target=relay)
        relaying.start()
        try:
            ann = visit("ann", room, proxy.address, loses=True, height=TALL)
            proxy.cutting = True
            said = [f"ann's line {number}" for number in range(40)]
            for line in said:
                ann.say(line)
                bob.say(f"bob's {line}")
            wait_for(lambda: proxy.cuts >= 3, "some cuts", LONG)
            proxy.cutting = False
            for settled in ("pending').childElementCount === 0", "banner').hidden"):
                ann.page.wait(f"document.getElementById('{settled}", LONG)
        finally:
            over.set()
            relaying.join()
    kept = log_of(bob)
    assert [text for text in kept if text.startswith("ann's")] == said
    assert len(kept) == 2 * len(said)
    ann.shows(kept)


def test_whoever_is_silent_is_still_there(visit: Visit, start: Start) -> None:
    server = start("--ping-interval", "0.2", "--idle-timeout", "0.6")
    ann = visit("ann", "tea", server.address)
    ann.page.value("new Promise((done) => setTimeout(done, 1000))")
    bob = member(server, "tea")
    bob.say("still there?")
    ann.see("still there?")
    assert "reason=idle" not in server.log()
    assert not ann.page.shows("#banner")


def test_a_history_that_is_gone_is_told(visit: Visit, start: Start) -> None:
    server = start("--rate", "0")
    ann = visit("ann", "tea", server.address, loses=True)
    ann.say("before")
    ann.see("before")
    server.stopped = True
    server.kill()
    start("--rate", "0", "--port", str(server.address[1]))
    ann.see("another history", "#list")
    ann.see("no longer knows your session")
    ann.say("after")
    ann.see("after")
    ann.shows(["before", "after"])


def test_what_is_owed_is_decided_by_the_last_ref(visit: Visit) -> None:
    """The rules of "Coming back" in docs/protocol.md, without a network."""
    page = visit().page
    found = page.value(
        """import("/chat.js").then(({ Outbox }) => {
            const play = (session, room, act, torn = false) => {
                const outbox = new Outbox(), sent = [];
                const flush = () => outbox.flush((frame) => sent.push(frame));
                outbox.settle("first", "tea", false);
                for (const text of ["a", "B", "c"]) {
                    outbox.add({ type: "say", text }, "tea", text === "B");
                }
                outbox.add({ type: "join", room: "den" }, "tea");
                outbox.add({ type: "whisper", to: "bob", text: "d" }, "tea");
                outbox.add({ type: "say", text: "e" }, "tea");
                flush();
                outbox.add({ type: "say", text: "new" }, "tea");
                const refs = sent.map(({ ref }) => ref);
                sent.length = 0;
                act(outbox, refs);
                const dropped = outbox.settle(session, room, torn);
                flush();
                return [
                    sent.map(({ text, room }) => text ?? room),
                    dropped.map(({ frame }) => frame.text),
                ];
            };
            return [
                play("first", "tea", (outbox, refs) => outbox.cameBack(refs[0])),
                play("first", "tea", (outbox, refs) => outbox.cameBack(undefined)),
                play("first", "tea", (outbox, refs) => outbox.cameBack(refs[5])),
                play("second", "tea", (outbox, refs) => outbox.found(refs[0])),
                play("second", "tea", () => {}),
                play("second", "tea", () => {}, true),
                play("first", "tea", (outbox, refs) => outbox.answered(refs[4])),
            ];
        })"""
    )
    assert found == [
        [["B", "c", "den", "d", "e", "new"], ["a"]],
        [["a", "B", "c", "den", "d", "e", "new"], []],
        # The hello asked for the room before it, so the join is owed all the same.
        [["den", "new"], ["a", "B", "c", "d", "e"]],
        # In a new session only what the log would hold can be told from it.
        [["c", "den", "new"], ["B", "d", "e"]],
        [["a", "c", "den", "new"], ["B", "d", "e"]],
        [["den", "new"], ["a", "B", "c", "d", "e"]],
        [["a", "B", "c", "e", "new"], []],
    ]


def test_waits_double_to_thirty_seconds_and_are_shaken(visit: Visit) -> None:
    page = visit().page
    waits = [
        page.value(
            f"""import("/chat.js").then(({{ Backoff }}) => {{
                const backoff = new Backoff(() => {chance});
                return Array.from({{ length: 9 }}, () => backoff.next());
            }})"""
        )
        for chance in (0, 0.5, 1)
    ]
    assert waits[1] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert waits[0][0] == 0
    assert waits[2][0] == 1
    assert [waits[0][8], waits[2][8]] == [22.5, 37.5]


# -- operators ------------------------------------------------------------------------


def guarded(start: Start, tmp_path: Path, *options: str) -> Server:
    """A server with an operator, alice."""
    (tmp_path / "operators").write_text(f"{entry('alice', KEY)}\n")
    (tmp_path / "operators").chmod(0o600)
    return start(*OPTIONS, "--operator-file", str(tmp_path / "operators"), *options)


def show_key(visitor: Visitor) -> None:
    """Become an operator."""
    visitor.page.type(f"/op {KEY}")
    visitor.page.press("Enter")
    visitor.see("by the key of alice")


def test_a_key_is_never_to_be_read(visit: Visit, start: Start, tmp_path: Path) -> None:
    server = guarded(start, tmp_path)
    bob = member(server, "tea")
    ann = visit("ann", "tea", server.address)
    page = ann.page
    values = "['text', 'key'].map((id) => document.getElementById(id).value)"
    for ways in (("/op ", KEY), (f"/op {KEY}",), (f"  /OP\n{KEY}",), (f"/op{KEY}",)):
        for typed in ways:
            page.type(typed)
        assert page.value(values) == ["", KEY]
        assert page.value("document.activeElement.id") == "key"
        assert page.value("document.activeElement.type") == "password"
        page.press("Escape")
        page.wait("document.activeElement.id === 'text'")
        page.wait(f"{values}.join('') === ''")
    page.value("document.execCommand('undo')")
    assert page.value(f"{values}[0]") == ""
    page.press("Escape")
    ann.say("/op")
    page.wait("document.activeElement.id === 'key'")
    ann.say("wrong")
    ann.see("that is no operator's key")
    ann.say("/op", KEY)
    ann.see("you are an operator, by the key of alice")
    everywhere = (
        "JSON.stringify([localStorage, sessionStorage, history.state, location.href,"
        " document.documentElement.outerHTML,"
        " Array.from(document.querySelectorAll('input, textarea'), (one) => one.value)"
        "])"
    )
    page.wait(f"!{everywhere}.includes({KEY!r})")
    ann.say("/nick alice")
    ann.see("is now alice")
    bob.expect("renamed", skip=("joined",), new="alice")
    bob.expect_nothing()


def test_a_key_is_not_sent_over_plain_http(
    visit: Visit, start: Start, tmp_path: Path
) -> None:
    """``0.0.0.0`` is this machine, but a browser does not trust it as ``localhost``."""
    server = guarded(start, tmp_path, "--web-host", "0.0.0.0")
    bob = member(server, "tea")
    where = ("0.0.0.0", server.address[1])
    ann = visit("ann", "tea", where, width=320, height=480)
    for typed in ("/op ", KEY):
        ann.page.type(typed)
    ann.see("Over plain http", "#operator")
    assert not ann.page.shows("#key")
    dialog = "document.getElementById('operator')"
    box = ann.page.value(f"{dialog}.getBoundingClientRect().toJSON()")
    assert 0 <= box["left"] < box["right"] <= 320
    assert 0 <= box["top"] < box["bottom"] <= 480
    ann.page.click("#operator-close")
    ann.page.wait("document.activeElement.id === 'text'")
    ann.page.type(f"/op {KEY}")
    ann.see("Over plain http", "#operator")
    ann.page.press("Enter")
    ann.page.wait("document.activeElement.id === 'text'")
    ann.say("/lock", "that was all")
    ann.see("that is for operators")
    assert next_say(bob)["text"] == "that was all"
    assert not ann.sees("no operator's key")


def test_operators_keep_order(visit: Visit, start: Start, tmp_path: Path) -> None:
    server = guarded(start, tmp_path)
    bob, eve = member(server, "tea"), member(server, "tea", "eve")
    ann = visit("ann", "tea", server.address)
    ann.say("/topic")
    ann.see("There is no topic.")
    ann.say("/kick")
    ann.see("Write it so: /kick NICK [REASON]")
    show_key(ann)
    ann.say("/topic Tea <b>at</b> five")
    assert bob.expect("topic", skip=("joined",))["topic"] == "Tea <b>at</b> five"
    ann.see("Tea <b>at</b> five", "#topic")
    ann.say("/topic")
    ann.see("The topic: Tea <b>at</b> five")
    ann.say("/topic -")
    ann.see("has taken the topic away")
    assert not ann.page.shows("#topic")

    ann.say(f"/mute {bob.nick} 10m too loud")
    ann.see(f"{bob.nick} is mute for ")
    assert "(too loud)" in bob.expect("error", skip=("topic",), code="muted")["text"]
    ann.say(f"/unmute {bob.nick}", f"/pardon {bob.nick}")
    ann.see(f"{bob.nick} is mute no longer")
    ann.see("there were 0")

    ann.say(f"/kick {eve.nick} enough of it")
    kick = eve.recv_until(lambda frame: frame.type == "kick")[-1]
    assert (kick["reason"], "(enough of it)" in kick["text"]) == ("operator", True)
    ann.see("left (operator)")
    for line in (f"{eve.nick} 2h spam", "10.0.0.0/8 90s", "2001:db8::1", "10.1.1"):
        ann.say(f"/ban {line}")
    ann.say("/bans", "/nobody-but-an-operator")
    ann.see("There is no /nobody-but-an-operator")
    ann.see("10.1.1 – for good, by")
    ann.see("2001:db8::/64 – for good, by")
    ann.see(f"{eve.nick} – until ")
    ann.see(f"by {ann.nick}: spam")
    ann.see("10.0.0.0/8 – until ")
    for line in (eve.nick, "10.0.0.0/8", "2001:db8::1", "10.1.1"):
        ann.say(f"/unban {line}")
    ann.say("/bans")
    ann.see("Nobody is banned.")

    ann.say("/lock")
    ann.see("nobody new is let in")
    late = visit(address=server.address)
    late.page.wait("document.activeElement.id === 'nick'")
    late.say("late")
    late.see("has locked the room", "#entry-error")
    ann.say("/unlock")
    ann.see("whoever comes is let in again")
    late.page.press("Enter")
    late.arrived()


def test_bans_come_page_by_page(visit: Visit, start: Start, tmp_path: Path) -> None:
    server = guarded(start, tmp_path)
    boss = member(server, "tea")
    boss.send("op", do="login", key=KEY)
    reason = "x" * 400
    for number in range(300):
        boss.send("op", do="ban", nick=f"troll-{number}", reason=reason)
    boss.sync(LONG)
    ann = visit("ann", "den", server.address, height=TALL)
    show_key(ann)
    ann.say("/bans")
    ann.see(f"troll-99 – for good, by {boss.nick}: {reason}")
    shown = ann.page.text("#list")
    assert all(f"troll-{number} – " in shown for number in range(300))


def test_who_is_hit_is_told(visit: Visit, start: Start, tmp_path: Path) -> None:
    server = guarded(start, tmp_path)
    boss = member(server, "tea")
    boss.send("op", do="login", key=KEY)
    ann = visit("ann", "tea", server.address)
    boss.send("op", do="mute", nick=ann.nick, seconds=600, reason="too loud")
    ann.see("(too loud)")
    ann.say("is anybody here?")
    ann.see("has muted you", "#hint")
    ann.see("Not said")
    assert ann.page.value("document.getElementById('text').value") == "is anybody here?"
    boss.send("op", do="unmute", nick=ann.nick)
    boss.recv_until(lambda frame: frame.get("do") == "unmute")
    ann.page.press("Enter")
    ann.shows(["is anybody here?"])

    boss.send("op", do="kick", nick=ann.nick, reason="enough")
    ann.see("Disconnected by an operator", "#ended")
    ann.see("(enough)", "#ended")
    ann.page.click("#ended-again")
    ann.arrived()
    boss.send("op", do="ban", nick=ann.nick, seconds=3600, reason="spam")
    ann.see("You are banned", "#ended")
    ann.see("(spam)", "#ended")
    ann.page.click("#ended-again")
    # It is said who may come in, and another name may.
    ann.see("(spam)", "#entry-error")
    tries = server.log().count("connect ")
    ann.page.value("new Promise((done) => setTimeout(done, 1500))")
    assert server.log().count("connect ") == tries
    ann.page.value("document.getElementById('nick').select()")
    ann.join(fresh("anna"))
    ann.say(f"/nick {boss.nick}")
    ann.see("is taken")


def test_an_order_is_not_given_twice(
    visit: Visit, start: Start, tmp_path: Path
) -> None:
    """Nor is a key: what was on its way when the connection was lost is told."""
    server = guarded(start, tmp_path)
    ann = visit("ann", "tea", server.address, loses=True)
    ann.page.value(
        """{
            window.sent = [];
            const { send } = WebSocket.prototype;
            WebSocket.prototype.send = function (data) {
                sent.push(data);
                send.call(this, data);
            };
        }"""
    )
    show_key(ann)
    server.process.send_signal(signal.SIGSTOP)
    ann.say("/kick bob", "/op", KEY)
    server.stopped = True
    server.kill()
    ann.see("No answer came to /kick bob: it may have been done, or not.")
    ann.see("No answer came to /op:")
    ann.say("/ban eve", "/op", KEY)
    ann.see("There is no connection: nothing was done.")
    guarded(start, tmp_path, "--port", str(server.address[1]))
    ann.page.value("document.getElementById('banner-button').click()")
    ann.arrived()
    ann.say("back")
    ann.see("back", "#list .own")
    ops = ann.page.value("sent.map(JSON.parse).filter(({ type }) => type === 'op')")
    assert [op["do"] for op in ops] == ["login", "kick", "login"]


def test_an_error_answers_what_was_asked(visit: Visit) -> None:
    """By the order of the questions, as an ``op`` and its answer have no ref."""
    found = visit().page.value(
        """import("/chat.js").then(({ Questions }) => {
            const questions = new Questions();
            questions.ask("rooms", "rooms");
            questions.ask("history", "history");
            questions.ask("op", "op one", "/lock");
            questions.ask("history", "history two");
            questions.ask("op", "op two", "/kick bob");
            questions.ask("op", "op three", "/ban bob");
            return [
                questions.refused("muted"),
                questions.refused("not-allowed"),
                questions.refused("internal"),
                questions.answered("op"),
                questions.answered("members"),
                questions.lost(),
                questions.refused("not-allowed"),
            ];
        })"""
    )
    assert found == [
        None, "op one", "history", "op two", None, ["/ban bob"], None,
    ]  # fmt: skip


def test_what_an_order_is_about(visit: Visit) -> None:
    cases: dict[tuple[str, str], dict[str, object]] = {
        ("ban", "bob"): {"nick": "bob"},
        ("ban", "bob 90s"): {"nick": "bob", "seconds": 90},
        ("ban", "bob 10m too  loud "): {
            "nick": "bob", "seconds": 600, "reason": "too  loud",
        },
        ("ban", "@10.0.0.1"): {"nick": "10.0.0.1"},
        ("ban", "192.0.2.1 7d"): {"address": "192.0.2.1", "seconds": 604800},
        ("ban", "192.0.2.256"): {"nick": "192.0.2.256"},
        ("ban", "10.0.1"): {"nick": "10.0.1"},
        ("unban", "::1"): {"address": "::1"},
        ("unban", "2001:db8::/32"): {"address": "2001:db8::/32"},
        ("mute", "10.0.0.1 2h x"): {"nick": "10.0.0.1", "seconds": 7200, "reason": "x"},
        ("kick", "bob 10m late"): {"nick": "bob", "reason": "10m late"},
        ("pardon", "bob"): {"nick": "bob"},
        ("lock", ""): {},
    }  # fmt: skip
    # Nobody is banned for good who was meant to be for ten minutes.
    slips = [
        ("ban", "bob 10min"), ("ban", "bob 10"), ("mute", "bob 0m"), ("ban", ""),
        ("ban", "bob 10 m"), ("ban", "bob 10mx"), ("unban", "bob 10m"), ("lock", "x"),
    ]  # fmt: skip
    lines = json.dumps([*cases, *slips])
    found = visit().page.value(
        "import('/chat.js').then(({ orderOf }) =>"
        f" {lines}.map(([name, rest]) => JSON.stringify(orderOf(name, rest))))"
    )
    expected = [{"do": name, **fields} for (name, _), fields in cases.items()]
    assert [json.loads(one) for one in found] == [*expected, *[None] * len(slips)]


# -- long logs ----------------------------------------------------------------------


def test_scrolling_up_shows_what_was_said_before(
    visit: Visit, server: Server, room: str
) -> None:
    bob = member(server, room)
    lines = [f"line {number}" for number in range(330)]
    for line in lines:
        bob.say(line)
    bob.sync()
    ann = visit("ann", room)
    ann.see(lines[-1])
    assert not ann.sees("where #")
    seen: list[str] = []
    top = "document.getElementById('scroller').scrollTop"
    for _ in range(200):
        sight = ann.messages()
        seen = [line for line in sight if line not in seen] + seen
        if ann.sees(f"This is where #{room} begins"):
            break
        ann.page.press("PageUp")
        ann.page.value("new Promise((done) => setTimeout(done, 30))")
    assert seen == lines
    # What is said now does not move what is read.
    ann.page.wait(f"{top} === 0 || document.getElementById('scroller').scrollTo(0, 0)")
    ann.page.wait("!document.getElementById('down').hidden")
    bob.say("something new")
    ann.see("1 new message", "#down")
    assert ann.page.value(top) == 0
    ann.page.click("#down")
    ann.see("something new")


def test_ten_thousand_messages_do_not_make_it_slow(
    visit: Visit, server: Server, room: str
) -> None:
    ann = visit("ann", room)
    bob = member(server, room)
    for start_at in range(0, 10_000, 1000):
        for number in range(start_at, start_at + 1000):
            bob.say(f"line {number} " + "and more " * (number % 30))
        bob.sync(LONG)
    ann.page.see("#list", "line 9999", LONG)
    rows = "document.getElementById('list').childElementCount"
    nodes = "document.querySelectorAll('*').length"
    assert ann.page.value(rows) < 100
    assert ann.page.value(nodes) < 600
    times = ann.page.value(
        """(async () => {
            const scroller = document.getElementById("scroller");
            const list = document.getElementById("list");
            const frame = () => new Promise(requestAnimationFrame);
            const times = [];
            for (let step = 0; step <= 40; step++) {
                const before = performance.now();
                scroller.scrollTop = scroller.scrollHeight * (1 - step / 40);
                await frame();
                await frame();
                times.push([performance.now() - before, list.childElementCount]);
            }
            return times;
        })()"""
    )
    assert max(count for _, count in times) < 100
    assert min(count for _, count in times) > 5
    middle = sorted(time for time, _ in times)[20]
    assert middle < 100, f"two frames take {middle} ms"
    ann.see("line 0 ")


# -- for everybody --------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 360, 1280, 1920])
def test_nothing_is_cut_off_at_any_width(
    visit: Visit, server: Server, room: str, width: int
) -> None:
    bob = member(server, room)
    bob.say("wide " + "x" * 500)
    ann = visit("ann", room, width=width, height=640)
    ann.see("wide")
    scroller = "document.getElementById('scroller')"
    for element in ("document.documentElement", scroller):
        assert ann.page.value(f"{element}.scrollWidth <= {element}.clientWidth")
    for id in ("room", "text", "send", "leave"):
        assert ann.page.shows(f"#{id}")
        element = f"document.getElementById('{id}')"
        box = ann.page.value(f"{element}.getBoundingClientRect().toJSON()")
        assert 0 <= box["left"] < box["right"] <= width
        assert box["bottom"] <= 640
    named = "document.getElementById('members').childElementCount === 2"
    ann.page.wait(named)
    narrow = width < 1000
    assert ann.page.shows("#members-button") is narrow
    if narrow:
        ann.page.click("#members-button")
        ann.page.wait("document.activeElement.closest('#members')")
        side = "document.getElementById('members-panel').getBoundingClientRect()"
        ann.page.wait(f"{side}.left > 0 && {side}.right === {width}")
        ann.page.press("ArrowDown")
        ann.page.press("Enter")
        ann.page.wait(f"{side}.left >= {width}")
    else:
        ann.page.click(f"#members [value={bob.nick}]")
    ann.page.wait("document.getElementById('text').value.startsWith('/msg ')")
    ann.page.press("Escape")
    assert ann.page.value("document.activeElement.id") == "text"


def test_a_touch_beside_a_drawer_closes_it_and_does_nothing_else(
    visit: Visit, room: str
) -> None:
    ann = visit("ann", room, width=360, height=640)
    ann.page.prefer(reduced_motion="reduce")  # Else it is in the way while it goes.
    ann.page.type("not sent")
    ann.page.click("#rooms-button")
    ann.page.wait("document.activeElement.closest('#rooms')")
    assert ann.page.shows("#rooms-panel:popover-open")
    ann.page.click("#send")
    ann.page.wait("!document.querySelector(':popover-open')")
    ann.page.wait("document.getElementById('text').value === 'not sent'")
    ann.page.press("Escape")
    for way in ("Escape", "#rooms-panel .close", "#rooms a"):
        ann.page.click("#rooms-button")
        ann.page.wait("document.activeElement.closest('#rooms')")
        if way == "Escape":
            ann.page.press(way)
        else:
            ann.page.click(way)
        ann.page.wait("!document.querySelector(':popover-open')")
        ann.page.wait("document.activeElement.id === 'text'")


def test_a_screen_reader_hears_what_is_new_and_not_what_is_scrolled(
    visit: Visit, server: Server, room: str
) -> None:
    bob = member(server, room)
    bob.say("from before")
    bob.sync()
    ann = visit("ann", room)
    ann.see("from before")
    bob.say("this is new")
    ann.see("this is new")
    spoken = ann.page.value("document.getElementById('spoken').textContent")
    assert f"{bob.nick}: this is new" in spoken
    assert "from before" not in spoken
    tree = ann.page.call("Accessibility.getFullAXTree")["nodes"]
    silent = [
        node["role"]["value"]
        for node in tree
        if node.get("role", {}).get("value") in ("button", "textbox", "link", "dialog")
        and not node["ignored"]
        and not node.get("name", {}).get("value")
    ]
    assert silent == []
