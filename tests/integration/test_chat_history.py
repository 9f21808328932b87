"""``bin/chat-history`` beside a server that runs, and as others start it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.core.messages import Message
from chatroom.store.sqlite import SqliteStore
from tests.integration.conftest import Start
from tests.support.peer import Peer, encode, ids
from tests.support.server import ROOT, Server
from tests.support.waiting import PATIENCE

PROGRAM = ROOT / "bin" / "chat-history"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / ".chatroom" / "history.db"


@pytest.fixture
def server(start: Start, path: Path) -> Server:
    """A server that keeps its history there."""
    path.parent.mkdir()
    return start("--history", str(path), "--rate", "0", "--log-level", "warning")


@pytest.fixture
def ann(server: Server) -> Peer:
    """Somebody who has said something."""
    ann = server.peer()
    ann.hello("ann")
    for text in ("Hello.", "The kettle is on.", "\u0627\nx\tz"):
        ann.say(text)
    assert len(ann.sync()) == 3
    return ann


def command(*words: object) -> list[str]:
    """Return the command line."""
    return [sys.executable, str(PROGRAM), *map(str, words)]


def show(*words: object, code: int = 0) -> list[str]:
    """Run the command and return the lines that it shows."""
    done = subprocess.run(
        command(*words), capture_output=True, check=False, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (code, b"")
    return done.stdout.decode().split("\n")[:-1]


# -- beside a server ---------------------------------------------------------------


def test_it_shows_what_is_kept_while_the_server_runs(ann: Peer, path: Path) -> None:
    assert [line.split("> ")[1] for line in show(path, "tail", "-n2")] == [
        "The kettle is on.", "\u0627␊x␉z"
    ]  # fmt: skip
    (found,) = show(path, "search", "KETTLE")
    assert found.endswith(" lobby 2 <ann> The kettle is on.")
    assert show(path, "search", "coffee", code=1) == []
    exported = [json.loads(line) for line in show(path, "export")]
    assert exported == ann.history()["messages"]
    assert show(path, "verify") == ["sound: messages 3, rooms 1, sessions 1, orders 0"]


def test_no_reader_costs_a_message_or_a_number(
    server: Server, ann: Peer, path: Path
) -> None:
    """Readers, one after the other and several at once, under load."""
    readers = [
        subprocess.Popen(command(path, *words), stdout=subprocess.PIPE)
        for words in (("export",), ("verify",), ("search", "load"), ("tail", "-f"))
    ]
    burst = b"".join(encode("say", text=f"load {n} " + "x" * 500) for n in range(50))
    frames = []
    for _ in range(20):
        ann.send_raw(burst)
        frames += ann.sync()
    assert ids(frames) == list(range(4, 1004))
    assert show(path, "verify")[0].startswith("sound: messages 1003,")
    readers[-1].send_signal(signal.SIGINT)
    for reader, code in zip(readers, (0, 0, None, 130), strict=True):
        out, _ = reader.communicate(timeout=PATIENCE)
        assert code is None or reader.returncode == code, out[-300:]
    assert not [line for line in server.log_lines() if " store " in line]


def test_following_shows_what_is_said_from_then_on(ann: Peer, path: Path) -> None:
    with subprocess.Popen(
        command(path, "tail", "-f", "-n", "1"), stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline().endswith(" lobby 3 <ann> \u0627␊x␉z\n")
        ann.say("and on")
        assert following.stdout.readline().endswith(" lobby 4 <ann> and on\n")
        ann.send("join", room="tea")
        ann.say("elsewhere")
        assert following.stdout.readline().endswith(" tea 1 <ann> elsewhere\n")
        following.send_signal(signal.SIGINT)
        assert following.stdout.read() == ""
    assert following.returncode == 130


def test_following_goes_on_over_a_restart(
    server: Server, ann: Peer, path: Path, start: Start
) -> None:
    with subprocess.Popen(
        command(path, "tail", "-f", "-n", "1"), stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        following.stdout.readline()
        server.stop()
        again = start("--history", str(path))
        bob = again.peer()
        bob.hello("bob")
        bob.say("here again")
        assert following.stdout.readline().endswith(" lobby 4 <bob> here again\n")
        following.send_signal(signal.SIGINT)


def test_following_goes_on_with_another_file_of_that_name(
    server: Server, ann: Peer, path: Path, start: Start
) -> None:
    """A copy has been restored; it has fewer messages, and gives numbers again."""
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM INTO ?", [str(copy)])
    with subprocess.Popen(
        command(path, "tail", "-f", "-n", "1"), stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        following.stdout.readline()
        ann.say("lost")
        assert following.stdout.readline().endswith(" lobby 4 <ann> lost\n")
        server.stop()
        copy.replace(path)
        bob = start("--history", str(path)).peer()
        bob.hello("bob")
        for text in ("one", "two"):
            bob.say(text)
        while not (line := following.stdout.readline()).endswith(" two\n"):
            assert line.endswith(" lobby 4 <bob> one\n")
        assert line.endswith(" lobby 5 <bob> two\n")
        following.send_signal(signal.SIGINT)


# -- as others start it ------------------------------------------------------------


def in_shell(script: str, path: Path, **environment: str) -> tuple[int, str, str]:
    """Run *script*, in which ``"$@"`` is the command for *path*."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}", "bash", *command(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A history of more than a pipe takes."""
    path = tmp_path / "many.db"
    with closing(SqliteStore(str(path), "one")) as store:
        news = [Message(0, "lobby", "zoë", "x" * 100, n, None) for n in range(5000)]
        store.keep(news, {}, {}, 0.0, 0)
    return path


@pytest.mark.parametrize("words", ["export", "search x", "tail -n 4000"])
def test_a_reader_that_has_enough_is_no_failure(many: Path, words: str) -> None:
    code, out, err = in_shell(f'"$@" {words} | head -n 1', many)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1


def test_a_reader_that_has_enough_hides_no_finding(many: Path) -> None:
    with closing(sqlite3.connect(many)) as db, db:
        db.execute("DELETE FROM messages WHERE id = 5")
    code, _, err = in_shell('"$@" verify | true', many)
    assert (code, err) == (1, "")


def test_an_output_that_takes_nothing_is_told(many: Path) -> None:
    code, out, err = in_shell('"$@" export > /dev/full', many)
    assert (code, out) == (1, "")
    assert err == "chat-history: cannot write: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_files_are_no_failure(many: Path, closed: str) -> None:
    assert in_shell(f'"$@" tail {closed}', many) == (0, "", "")


def test_the_output_is_utf_8_wherever_it_runs(many: Path) -> None:
    places = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    code, out, err = in_shell('"$@" tail -n 1', many, **places)
    assert (code, err) == (0, "")
    assert "<zoë>" in out


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    code, out, err = in_shell('"$@" tail', tmp_path / "none.db")
    assert (code, out) == (1, "")
    assert err == f"chat-history: there is no history in {tmp_path}/none.db\n"
    code, out, err = in_shell('"$@" tail -n x', tmp_path / "none.db")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
