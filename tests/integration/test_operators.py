"""Operators from outside: protocol.md, section 8, over real sockets and restarts."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.peer import Frame, Peer, encode
from tests.support.server import PROGRAM, Server, run
from tests.support.tls import CERT, KEY, trusting
from tests.support.waiting import fresh

PAIR = ("--tls-cert", CERT, "--tls-key", KEY)


def make_key(nick: str) -> tuple[str, str]:
    """Return (line of the file, key), as the command makes them."""
    made = run("operator-key", nick)
    assert made.returncode == 0
    return made.stdout, made.stderr.split()[-1]


LINE, KEY_OF_ROOT = make_key("root")
OTHER_LINE, OTHER_KEY = make_key("boss")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The operator file, with a key for root."""
    path = tmp_path / "operators"
    path.write_text(f"# who may\n{LINE}", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def server(start: Start, file: Path) -> Server:
    """A server with an operator."""
    return start("--operator-file", str(file))


def do(peer: Peer, what: str, **fields: object) -> Frame:
    """Have *peer* do something, and return the answer."""
    peer.send("op", do=what, **fields)
    frames = peer.recv_until(lambda frame: frame.type in ("op", "error"))
    return frames[-1]


def done(peer: Peer, what: str, **fields: object) -> str:
    """Have *peer* do something that works, and return what it is told."""
    answer = do(peer, what, **fields)
    assert (answer.type, answer.get("do")) == ("op", what), answer
    return str(answer.get("text", ""))


def operator(server: Server, key: str = KEY_OF_ROOT) -> Peer:
    """Return a member who has shown the key."""
    peer = server.member("op")
    done(peer, "login", key=key)
    return peer


def refused(peer: Peer, **hello: object) -> Frame:
    """Have a hello refused for good."""
    peer.send("hello", version=1, **hello)
    frame = peer.expect("error")
    peer.expect_closed()
    return frame


# -- the key ----------------------------------------------------------------------


def test_the_command_makes_a_key_and_its_line() -> None:
    assert re.fullmatch(r"root [0-9a-f]{64}\n", LINE)
    assert re.fullmatch(r"[0-9a-f]{40}", KEY_OF_ROOT)
    assert KEY_OF_ROOT not in LINE
    assert make_key("root") != make_key("root")
    assert make_key("Zoë")[0].startswith("Zoë ")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [((), "NICK"), (("-x",), "NICK"), (("a b",), "letters"), (("guest-1",), "guest-1")],
)
def test_a_key_for_nobody_is_a_mistake(words: tuple[str, ...], wrong: str) -> None:
    made = run("operator-key", *words)
    assert (made.returncode, made.stdout) == (2, "")
    assert re.fullmatch(r"chat-server: [^\n]+\n", made.stderr)
    assert wrong in made.stderr


def test_a_line_that_nobody_takes_makes_no_key() -> None:
    with Path("/dev/full").open("wb") as full:
        made = subprocess.run(
            [sys.executable, str(PROGRAM), "operator-key", "root"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert made.returncode == 1
    assert re.fullmatch(r"chat-server: [^\n]+\n", made.stderr)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("root\n", "line 1: "),
        (f"#\n\n{LINE[:-2]}\n", "line 3: "),
        ("\xff", "line 1: it is not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_wrong_is_refused(
    tmp_path: Path, text: str | None, wrong: str
) -> None:
    path = tmp_path / "operators"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    found = run("--port", "0", "--operator-file", str(path))
    assert found.returncode == 1
    assert re.fullmatch(r"chat-server: [^\n]+\n", found.stderr.split("Z ")[-1])
    assert str(path) in found.stderr
    assert wrong in found.stderr


def test_a_file_that_others_can_read_is_told_of(start: Start, file: Path) -> None:
    file.chmod(0o644)
    start("--operator-file", str(file)).wait_log("warning secret", file.name)


def test_the_key_shows_nowhere(server: Server) -> None:
    ann = server.member("ann")
    for key in ("0" * 40, KEY_OF_ROOT):
        do(ann, "login", key=key)
    server.wait_log("info operator", f"nick={ann.nick}", "do=login", "target=root")
    assert KEY_OF_ROOT not in server.log()
    assert "0" * 40 not in server.log()


def test_wrong_keys_are_slowed_and_cost_nobody_else(server: Server) -> None:
    ann, eve = server.crew("ann", "eve")
    eve.send("op", do="login", key="x")
    eve.say("behind it")
    with pytest.raises(AssertionError, match="nothing came"):
        eve.recv(timeout=0.05)
    ann.say("meanwhile")
    ann.expect("message", text="meanwhile")
    eve.expect("message", text="meanwhile")
    eve.expect_error("not-allowed")
    eve.expect("message", text="behind it")
    # The right one is judged as soon as the wrong ones are answered.
    done(eve, "login", key=KEY_OF_ROOT)


def test_without_a_file_there_is_no_key(start: Start) -> None:
    ann = start().member("ann")
    assert do(ann, "login", key=KEY_OF_ROOT)["code"] == "not-allowed"
    assert do(ann, "lock")["code"] == "not-allowed"


def test_a_key_is_taken_over_tls(start: Start, file: Path) -> None:
    server = start(*PAIR, "--operator-file", str(file))
    op = server.member("op", tls=trusting())
    done(op, "login", key=KEY_OF_ROOT)
    done(op, "lock")


# -- the commands -----------------------------------------------------------------


def test_the_day_of_an_operator(server: Server) -> None:
    op, (ann, bob) = operator(server), server.crew("ann", "bob", room="tea")
    done(op, "kick", nick=bob.nick.upper(), reason="be nice")
    kick = bob.expect("kick", reason="operator")
    assert "be nice" in kick["text"]
    bob.expect_closed()
    ann.expect("left", nick=bob.nick, reason="operator")

    done(op, "mute", nick=ann.nick, seconds=600)
    ann.expect_error("muted")
    ann.say("psst", ref="r1")
    assert ann.expect_error("muted")["ref"] == "r1"
    done(op, "unmute", nick=ann.nick)
    ann.say("LOUD", ref="r2")
    ann.expect("warning", strikes=1)
    done(op, "pardon", nick=ann.nick)
    ann.say("LOUD")
    ann.expect("warning", strikes=1)

    done(op, "ban", nick=ann.nick, seconds=600, reason="enough")
    kick = ann.expect("kick", reason="banned")
    assert "10 minutes" in kick["text"]
    ann.expect_closed()
    frame = refused(server.peer(), nick=ann.nick)
    assert (frame["code"], "enough" in frame["text"]) == ("banned", True)
    dan = server.member("dan")
    dan.send("nick", nick=ann.nick)
    dan.expect_error("banned")
    done(op, "unban", nick=ann.nick)
    dan.send("nick", nick=ann.nick)
    dan.expect("renamed", new=ann.nick)

    done(op, "topic", topic="Darjeeling")
    dan.expect("topic", room="lobby", topic="Darjeeling", by=op.nick)
    eve = server.peer()
    assert eve.hello(fresh("eve"))[1]["topic"] == "Darjeeling"
    done(op, "lock")
    assert refused(server.peer())["code"] == "not-allowed"
    eve.reset()
    assert server.peer().hello(session=eve.session)[0]["nick"] == eve.nick
    done(op, "unlock")
    server.member("new")
    for line in (
        f"do=kick target={bob.nick} reason=",
        f"do=mute target={ann.nick} until=2",
        f"do=ban target={ann.nick} reason=enough until=2",
        f"do=unban target={ann.nick}",
        "do=topic target=lobby reason=Darjeeling until=never",
        "do=lock until=never",
        "do=unlock",
    ):
        server.wait_log("info operator", f"nick={op.nick}", line)


def test_a_ban_of_an_address(server: Server) -> None:
    op = operator(server)
    bob = server.peer(source="127.0.0.5")
    bob.hello(fresh("bob"))
    done(op, "ban", address="::ffff:127.0.0.5", seconds=60)
    bob.expect("kick", skip=["joined"], reason="banned")
    bob.expect_closed()
    for session in (None, bob.session):
        peer = server.peer(source="127.0.0.5")
        assert refused(peer, session=session or "none")["code"] == "banned"
    server.peer(source="127.0.0.6").hello()
    done(op, "ban", address="127.0.0.6/30")
    op.send("op", do="bans")
    listed = op.recv_until(lambda frame: frame.type == "op")[-1]
    assert [ban["address"] for ban in listed["bans"]] == ["127.0.0.4/30", "127.0.0.5"]
    assert listed["more"] is False
    for address in ("127.0.0.5", "127.0.0.4/30"):
        done(op, "unban", address=address)
    server.peer(source="127.0.0.5").hello()


def test_a_list_of_bans_goes_on(server: Server) -> None:
    op = operator(server)
    nicks = [fresh("bad") for _ in range(40)]
    for nick in nicks:
        done(op, "ban", nick=nick, reason="😀" * 400)
    found: list[str] = []
    more = True
    while more:
        after = {"after": found[-1]} if found else {}
        op.send("op", do="bans", **after)
        frame = op.expect("op", do="bans")
        assert frame["bans"]
        found += [ban["nick"] for ban in frame["bans"]]
        more = frame["more"]
    assert found == sorted(nicks)


def test_others_are_told_nothing_but_no(server: Server) -> None:
    ann = server.member("ann")
    for fields in ({"do": "kick", "nick": "x"}, {"do": "bans"}, {"do": "kick"}):
        ann.send("op", **fields)
        ann.expect_error("not-allowed")
    for fields in ({}, {"do": 5}, {"do": "login"}):
        ann.send("op", **fields)
        ann.expect_error("malformed")


def test_everything_in_one_segment_is_answered_in_order(server: Server) -> None:
    peer = server.peer()
    peer.send_all(
        encode("hello", version=1, nick=fresh("op")),
        encode("op", do="lock"),
        encode("op", do="login", key=KEY_OF_ROOT),
        encode("op", do="topic", topic="in one"),
        encode("op", do="dance"),
        encode("op", do="unlock"),
    )
    peer.welcomed()
    peer.expect_error("not-allowed")
    peer.expect("op", do="login")
    peer.expect("topic", topic="in one")
    peer.expect("op", do="topic")
    peer.expect_error("malformed")
    peer.expect("op", do="unlock")


# -- reloads and restarts ---------------------------------------------------------


def reload(server: Server) -> None:
    """Have the files read anew, and wait until they are."""
    before = server.log().count(" reload ")
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload")
    while server.log().count(" reload ") == before:
        server.check_answers()


def test_an_operator_does_not_outlive_his_key(server: Server, file: Path) -> None:
    op, ann = operator(server), server.member("ann")
    op.send("nick", nick="root")
    op.recv_until(lambda frame: frame.type == "renamed")
    ann.expect("renamed", new="root")
    file.write_text(LINE + OTHER_LINE, encoding="utf-8")
    reload(server)
    done(op, "topic", topic="still")
    ann.recv_until(lambda frame: frame.type == "topic")
    file.write_text(OTHER_LINE, encoding="utf-8")
    reload(server)
    op.recv_until(lambda frame: frame.type == "error")
    assert do(op, "lock")["code"] == "not-allowed"
    done(op, "login", key=OTHER_KEY)
    # The nick is nobody's now but by chance, and the other's is kept for him.
    ann.send("nick", nick="boss")
    assert ann.recv_until(lambda f: f.type == "error")[-1]["code"] == "nick-taken"


def test_a_broken_file_changes_nothing(server: Server, file: Path) -> None:
    op, ann = operator(server), server.member("ann")
    op.expect("joined", nick=ann.nick)
    file.write_text("root\n", encoding="utf-8")
    server.send_signal(signal.SIGHUP)
    server.wait_log("error", str(file), "line 1")
    done(op, "lock")
    done(op, "unlock")
    ann.expect_nothing()


def test_all_of_it_holds_after_a_restart(
    start: Start, file: Path, tmp_path: Path
) -> None:
    options = ("--operator-file", str(file), "--history", str(tmp_path / "history.db"))
    server = start(*options)
    op, bob, eve = operator(server), server.member("bob"), server.member("eve")
    guest = server.peer(source="127.0.0.5")
    guest.hello()
    op.say("so that there is a room")
    done(op, "mute", nick=bob.nick)
    done(op, "ban", nick=eve.nick, seconds=3600, reason="spam")
    done(op, "ban", address="127.0.0.5")
    done(op, "topic", topic="Darjeeling")
    done(op, "lock")
    mallory = fresh("mallory")
    sessions = {"op": op.session, "bob": bob.session}
    server.stop()

    server = start(*options)
    assert refused(server.peer(), nick=mallory)["code"] == "not-allowed"
    op = server.peer()
    _, room = op.hello(session=sessions["op"])
    assert room["topic"] == "Darjeeling"
    bob = server.peer()
    bob.hello(session=sessions["bob"])
    bob.send("nick", nick=fresh("robert"))
    bob.expect("renamed")
    bob.say("am I heard?")
    bob.expect_error("muted")
    done(op, "unlock")
    frame = refused(server.peer(), nick=eve.nick.upper())
    assert (frame["code"], "spam" in frame["text"]) == ("banned", True)
    peer = server.peer(source="127.0.0.5")
    assert refused(peer, nick=mallory)["code"] == "banned"
    done(op, "unban", nick=eve.nick)
    done(op, "unmute", nick=bob.nick.upper())
    done(op, "topic", topic="")
    server.stop()

    server = start(*options)
    room = server.peer().hello(eve.nick)[1]
    assert "topic" not in room
    bob = server.peer()
    bob.hello(session=sessions["bob"])
    bob.say("at last")
    bob.expect("message", text="at last")
