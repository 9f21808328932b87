"""The server's log: what happened, one line for each event, and nobody can forge it.

The exact words are the server's own; looked for are the name of the event and whom
it was about.
"""

import fcntl
import json
import os
import re
import resource
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.peer import encode, pack
from tests.support.server import Server, run
from tests.support.strace import failing_calls
from tests.support.waiting import fresh, wait_for

OPTIONS = ("--rate", "0")


def address_of(server_log_line: str, port: int) -> bool:
    """Whether a line names the address of a peer."""
    return f"127.0.0.1:{port}" in server_log_line


def test_every_event_has_its_line(start: Start) -> None:
    server = start()
    server.wait_log("start")
    room = fresh("room")
    anna, bob = server.crew("anna", "bob", room=room)
    port = str(anna.local[1])
    server.wait_log("connect", f"127.0.0.1:{port}")
    server.wait_log("join", anna.nick)
    server.wait_log("join", bob.nick)
    anna.say("hello")
    server.wait_log("message", anna.nick)
    anna.say("LOUD")
    server.wait_log("warning", anna.nick)
    anna.say("\x07")
    server.wait_log("text-invalid", anna.nick)
    anna.say("LOUD")
    server.wait_log("kick", anna.nick, "shouting")
    bob.say("!leave")
    server.wait_log("kick", bob.nick, "leave")
    carl = server.member("carl", room=room)
    carl.reset()
    server.wait_log("leave", carl.nick, "lost")
    assert server.stop() == 0
    last = server.log_lines()[-1]
    assert "stop" in last
    for line in server.log_lines():
        assert re.search(r"\d\d:\d\d:\d\d", line), line


def test_one_line_an_event(start: Start) -> None:
    server = start()
    anna, bob = server.crew("anna", "bob")
    for number in range(5):
        anna.say(f"line {number}")
    anna.sync()
    bob.sync()
    server.wait_log("message", anna.nick)
    assert server.stop() == 0
    lines = [line for line in server.log_lines() if anna.nick in line]
    assert sum(" message " in f" {line} " for line in lines) == 5
    assert sum(" join " in f" {line} " for line in lines) == 1


def test_the_address_of_who_it_was_about(start: Start) -> None:
    server = start()
    (anna,) = server.crew("anna")
    anna.say("LOUD")
    anna.say("LOUD")
    line = server.wait_log("kick", anna.nick)
    assert address_of(line, anna.local[1])


def test_the_settings_that_are_not_default(start: Start) -> None:
    server = start("--strikes", "7", "--max-rooms", "123")
    line = server.wait_log("start")
    assert "7" in line
    assert "123" in line


FORGED = "2099-01-01T00:00:00Z FORGED kick everybody"
ENDS = ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1e", "\0"]


def test_nothing_of_a_peer_makes_a_line(server: Server) -> None:
    anna = server.member("anna")
    lines_before = len(server.log_lines())
    for end in ENDS:
        forged = f"x{end}{FORGED}{end}"
        anna.say(forged)
        anna.say(f"{FORGED.lower()}\n{FORGED.lower()}")
        anna.say("hi", ref=forged)
        anna.send("whisper", to=forged, text="hi")
        anna.send("nick", nick=forged)
        anna.send("join", room=forged)
        anna.send("who", after=forged)
        anna.send(forged)
        anna.send("ping", data=forged, **{forged: forged})
        anna.send_raw(pack(forged.encode()))
        anna.sync()
        for fields in (
            {"nick": forged},
            {"room": forged},
            {"session": forged},
            {"password": forged},
            {forged: forged},
        ):
            with server.peer() as peer:
                peer.send("hello", version=1, **fields)
                peer.recv()
        with server.peer() as peer:
            peer.send(forged)
            peer.rest()
        with server.peer() as peer:
            peer.send_raw(forged.encode() * 5)
            peer.sock.recv(4096)
    anna.send_all(encode("say", text="LOUD"), encode("say", text="!leave"))
    server.wait_log("kick", anna.nick)
    log = server.log()
    assert len(server.log_lines()) > lines_before
    for character in (*ENDS, "\x1b", "\x9b", "\u202e"):
        if character != "\n":
            assert character not in log, ascii(character)
    for line in server.log_lines():
        assert re.match(r"[^A-Z]*\d\d\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d", line), line
        assert not line.startswith("2099")


def test_control_sequences_do_not_reach_the_log(server: Server) -> None:
    anna = server.member("anna")
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"
    anna.say(evil)
    anna.send("nick", nick=evil)
    anna.send(evil)
    anna.send("join", room=evil)
    anna.say("mark")
    anna.sync()
    server.wait_log("message", anna.nick)
    for character in "\x1b\x07\x9b\u202e":
        assert character not in server.log()


def test_secrets_are_not_logged(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("whisper", to=bob.nick, text="the whispered secret", ref=fresh("w"))
    anna.send("whisper", to=fresh("nobody"), text="the whispered secret")
    anna.send("whisper", to=bob.nick, text="WHISPERED SECRET")
    anna.send("whisper", to=bob.nick, text="whispered secret\x07")
    anna.sync()
    again = server.peer()
    again.hello(session=anna.session, password="the secret password")
    wrong = server.peer()
    wrong.send("hello", version=2, session=anna.session, password="secret password")
    wrong.rest()
    again.send("leave")
    server.wait_log("kick", anna.nick, "leave")
    log = server.log().lower()
    assert "secret" not in log
    for peer in (anna, bob, again):
        assert peer.session.lower() not in log


TYPES: dict[str, type] = dict.fromkeys(
    ("id", "strikes", "limit", "members", "clients", "messages", "deliveries",
     "warnings", "kicks", "lines", "status", "refused"),
    int,
) | {"seconds": float}  # fmt: skip
"""The fields that are no strings."""


def strictly(line: str) -> dict[str, object]:
    """Read *line* as the standard has it, without what Python allows besides."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        assert len(found) == len(pairs), pairs
        return found

    found = json.loads(line, parse_constant=refuse, object_pairs_hook=once)
    assert list(found)[:3] == ["time", "level", "event"]
    datetime.strptime(found["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    return dict(found)


def test_json_lines(start: Start) -> None:
    server = start("--log-format", "json")
    anna, bob = server.crew("anna", "bob")
    anna.say("hello\nworld \u2028".strip("\u2028"))
    anna.say("LOUD")
    anna.say("LOUD")
    bob.send("nick", nick='"\n\\')
    bob.send('dance\n"')
    server.wait_log("kick", anna.nick)
    server.wait_log("unknown-type")
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload")
    assert server.stop() == 0
    events = [strictly(line) for line in server.log_lines()]
    assert len(events) >= 8
    for event in events:
        for name, value in event.items():
            assert type(value) is TYPES.get(name, str), (name, value)
    assert {"id", "strikes", "limit", "members", "seconds"} <= set().union(*events)
    kicks = [
        event
        for event in events
        if "kick" in event.values() and anna.nick in event.values()
    ]
    assert len(kicks) == 1
    assert "shouting" in kicks[0].values()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_quieter_level(start: Start, form: str) -> None:
    server = start("--log-level", "error", "--log-format", form)
    anna, bob = server.crew("anna", "bob")
    anna.say("hello")
    bob.expect("message")
    assert server.stop() == 0
    assert anna.nick not in server.log()


def test_a_pipe_that_nobody_reads(start: Start) -> None:
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        server = start("--rate", "0", stderr=writer)
        anna, bob = server.crew("anna", "bob")
        for number in range(1, 3001):
            anna.say("x" * 50)
            if number % 100 == 0:
                anna.sync()
                bob.sync()
        assert anna.history(limit=1)["messages"][0]["id"] == 3000
        server.expect_rest()
        # Read at last, it goes on with whole lines.
        os.set_blocking(reader, False)
        read = bytearray()

        def caught_up() -> bool:
            try:
                read.extend(os.read(reader, 65536))
            except BlockingIOError:
                pass
            return b"goodbye" in read or anna_says_goodbye()

        def anna_says_goodbye() -> bool:
            anna.send("nick", nick=fresh("goodbye"))
            anna.expect("renamed")
            return False

        wait_for(caught_up, "the log comes through again")
        for line in read.decode().split("\n")[:-1]:
            assert re.match(r"[^A-Z]*\d\d\d\d-\d\d-\d\d[T ]", line), line
        assert server.stop() == 0
    finally:
        os.close(reader)
        os.close(writer)


def test_a_pipe_whose_reader_has_gone(start: Start) -> None:
    reader, writer = os.pipe()
    try:
        server = start("--rate", "0", stderr=writer)
    finally:
        os.close(reader)
        os.close(writer)
    anna, bob = server.crew("anna", "bob")
    for _ in range(50):
        anna.say("still here")
    anna.sync()
    assert len(bob.sync()) == 50
    server.expect_rest()
    assert server.stop() == 0


def test_a_full_disk(start: Start) -> None:
    try:
        full = open("/dev/full", "wb")  # noqa: SIM115
    except OSError:
        pytest.skip("no /dev/full here")
    with full:
        server = start(stderr=full)
    anna, bob = server.crew("anna", "bob")
    anna.say("still here")
    bob.expect("message")
    server.expect_rest()
    assert server.stop() == 0


def goes_on(server: Server) -> str:
    """See that the room goes on; return a nick that the log was to name."""
    anna, bob = server.crew("anna", "bob")
    anna.say("still here")
    bob.expect("message", text="still here")
    return anna.nick


def test_a_log_file_that_is_full_from_the_start(start: Start) -> None:
    server = start("--log-file", "/dev/full")
    server.wait_log("message", goes_on(server))
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload")
    server.wait_log("message", goes_on(server))
    server.expect_rest()


def test_a_disk_that_gets_full_and_has_room_again(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "chat.log"
    server = start("--rate", "0", "--log-file", str(path), stderr=subprocess.DEVNULL)
    goes_on(server)
    wait_for(lambda: "still here" in path.read_text(), "the line")
    # Some line will not be taken to its end.
    limit = path.stat().st_size + 300
    none = resource.RLIM_INFINITY
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, none))
    goes_on(server)
    server.expect_rest()
    assert path.stat().st_size <= limit
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (none, none))
    found = goes_on(server)
    wait_for(lambda: f"nick={found} room" in path.read_text(), "it writes on")
    lines = path.read_text().splitlines()
    (dropped,) = (line for line in lines if " error dropped " in line)
    assert int(re.findall(r"lines=(\d+)", dropped)[0]) >= 1
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT[0-9:.]+Z [a-z]+ [a-z]+ ", line), line


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EDQUOT", "EFBIG", "ESTALE"])
def test_a_device_that_fails(start: Start, tmp_path: Path, error: str) -> None:
    path = tmp_path / "chat.log"
    server = start("--log-file", str(path))
    with failing_calls(server, f"write:error={error}"):
        lost = goes_on(server)
        server.send_signal(signal.SIGHUP)
        goes_on(server)
    assert lost not in path.read_text() + server.log()
    found = goes_on(server)
    server.wait_log("message", found)
    wait_for(lambda: found in path.read_text(), "the line in the file")
    for text in (server.log(), path.read_text()):
        assert " error dropped lines=" in text


def test_its_folder_is_taken_away(start: Start, tmp_path: Path) -> None:
    """It is written where it was, until there is another place for it."""
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    path = folder / "chat.log"
    server = start("--log-file", str(path))
    folder.rename(moved)
    for cause, why in (
        ("true", "No such file"),
        ("touch logs", "Not a directory"),
        ("rm logs; mkdir -p logs/chat.log", "Is a directory"),
        ("cd logs; rmdir chat.log; mkfifo chat.log", "No such device"),
        ("cd logs; rm chat.log; ln -s chat.log chat.log", "Too many levels"),
    ):
        subprocess.run(["sh", "-c", cause], cwd=tmp_path, check=True)
        server.send_signal(signal.SIGHUP)
        line = server.wait_log(" error reload ", why)
        assert str(path) in line and "nothing has changed" in line
        nick = goes_on(server)
        wait_for(
            lambda: nick in (moved / "chat.log").read_text(),  # noqa: B023
            "a line where it was",
        )
    path.unlink()
    server.send_signal(signal.SIGHUP)
    wait_for(path.exists, "a new file")
    nick = goes_on(server)
    wait_for(lambda: nick in path.read_text(), "a line in the new file")


def test_a_log_file_that_may_not_be_written_any_more(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "chat.log"
    server = start("--log-file", str(path))
    with failing_calls(server, "openat:error=EACCES"):
        server.send_signal(signal.SIGHUP)
        server.wait_log(" error reload ", str(path), "Permission denied")
    nick = goes_on(server)
    wait_for(lambda: nick in path.read_text(), "a line where it was")


def test_a_pipe_by_name_whose_reader_goes_and_comes(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    server = start("--log-file", str(path), "--log-level", "info")
    os.close(reader)
    goes_on(server)
    server.send_signal(signal.SIGHUP)
    server.wait_log(" error reload ", "No such device")
    server.expect_rest()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    nick = goes_on(server)
    got = bytearray()

    def read() -> bool:
        try:
            got.extend(os.read(reader, 65536))
        except BlockingIOError:
            pass
        return nick.encode() in got

    wait_for(read, "lines again")
    assert b" error dropped " in got
    os.close(reader)


def test_a_log_file_is_appended_to(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "chat.log"
    path.write_text("an older line\n")
    nicks = []
    for _ in range(2):
        server = start("--log-file", str(path))
        anna = server.member("anna")
        nicks.append(anna.nick)
        server.wait_log("join", anna.nick)
        assert server.stop() == 0
    text = path.read_text()
    assert text.startswith("an older line\n")
    assert len(re.findall(r"\bstart\b", text)) >= 2
    assert text.index(nicks[0]) < text.index(nicks[1])


def test_a_log_file_is_opened_anew_on_sighup(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "chat.log"
    server = start("--log-file", str(path))
    anna = server.member("anna")
    wait_for(lambda: anna.nick in path.read_text(), "anna in the file")
    path.rename(tmp_path / "chat.log.1")
    server.send_signal(signal.SIGHUP)
    wait_for(path.exists, "a new file")
    bob = server.member("bob")
    wait_for(lambda: bob.nick in path.read_text(), "bob in the new file")
    assert bob.nick not in (tmp_path / "chat.log.1").read_text()
    assert anna.nick not in path.read_text()


def test_a_log_file_that_cannot_be(tmp_path: Path) -> None:
    result = run("--port", "0", "--log-file", str(tmp_path / "missing" / "x.log"))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_the_time_of_a_line_is_that_of_its_event(start: Start) -> None:
    """Also where the server had nothing to do for a while."""
    server = start()
    time.sleep(0.2)  # a while with nothing to do
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    anna = server.member("anna")
    anna.sync()
    for event in ("connect", "join"):
        line = server.wait_log(event, f"127.0.0.1:{anna.local[1]}")
        stamp = re.search(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", line)
        assert stamp
        assert datetime.fromisoformat(stamp[0]) >= before, line


def test_a_line_is_written_when_it_happens(start: Start) -> None:
    """Also where nothing else happens afterwards that would push it out."""
    server = start()
    server.wait_log("start")
    anna = server.member("anna")
    server.wait_log("join", anna.nick)
    anna.send("leave")
    server.wait_log("kick", anna.nick)
