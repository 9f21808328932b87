"""A server that keeps its history: restarts, refused starts, and disks that fail.

The faults are real ones: a full file system, system calls that fail, the lock of
another process, a limit on file sizes.  What a machine does not allow is skipped.
"""

from __future__ import annotations

import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Start
from tests.store.files import make_version_1
from tests.support import server as support
from tests.support.peer import Frame, Peer, ids, texts, types
from tests.support.server import ROOT, Server, run
from tests.support.strace import failing_calls, traced
from tests.support.waiting import wait_for

QUIET = ("--rate", "0", "--log-level", "warning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history" / "history.db"


@pytest.fixture
def keeping(start: Start, path: Path) -> Callable[..., Server]:
    """Start a server that keeps its history there."""
    path.parent.mkdir()

    def start_it(*options: str, **more: Any) -> Server:
        return start("--history", str(path), *QUIET, *options, **more)

    return start_it


def sound(path: Path) -> str:
    """Have the history verified; return what is said of it."""
    done = subprocess.run(
        [sys.executable, ROOT / "bin" / "chat-history", path, "verify"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def say(peer: Peer, text: str) -> Frame:
    """Say *text*, and return what answers it: the message, or an error."""
    peer.say(text, ref=text)
    (*before, answer) = peer.recv_until(lambda frame: frame.get("ref") == text)
    assert before == []
    return answer


def said(server: Server, room: str = "lobby") -> list[str]:
    """Return all that the history of *room* holds, page by page."""
    with Peer(server.address) as peer:
        peer.hello(room=room)
        found: list[Frame] = []
        more = True
        while more:
            page = peer.history(after=found[-1]["id"] if found else 0, limit=7)
            found += page["messages"]
            more = page["more"]
        assert [frame["id"] for frame in found] == list(range(1, len(found) + 1))
        return [frame["text"] for frame in found]


# -- restarts --------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_takes_nothing_away(
    keeping: Callable[..., Server], path: Path, number: signal.Signals
) -> None:
    first = keeping()
    ann = first.peer()
    _, room = ann.hello("ann")
    messages = [say(ann, text) for text in ("one", "zwei\n\tdrei", "四 \U0001f600")]
    whole = ann.history()
    ann.say("SHOUT", ref="s-1")
    assert ann.expect("warning")["strikes"] == 1
    if number == signal.SIGKILL:
        first.send_signal(number)
        first.wait()
    else:
        first.stop(number)

    second = keeping()
    ann2 = second.peer()
    welcome, again = ann2.hello("other", session=ann.session)
    assert (welcome["nick"], welcome["session"]) == ("ann", ann.session)
    assert (welcome["strikes"], welcome["last_ref"]) == (1, "s-1")
    assert again["log"] == room["log"]
    assert (again["last_id"], again["oldest_id"]) == (3, 1)
    page = ann2.history()
    assert page["messages"] == messages == whole["messages"]
    assert page.payload == whole.payload, "byte for byte"
    assert say(ann2, "four")["id"] == 4
    ann2.say("SHOUT AGAIN")
    assert ann2.expect("kick")["reason"] == "shouting"
    assert sound(path).startswith("sound: messages 4, rooms 1")


def test_a_server_goes_on_with_a_file_of_version_1(
    keeping: Callable[..., Server], path: Path
) -> None:
    """It may die at once: what it has made of the file is whole."""
    make_version_1(path)
    first = keeping()
    assert said(first) == ["hello", "\nline \t", "bye"]
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert sound(path).startswith("sound: messages 197, rooms 3,")
    second = keeping()
    ann = second.peer()
    ann.hello("ann2")
    assert say(ann, "four")["id"] == 4


def test_a_session_that_a_kick_ended_stays_ended(
    keeping: Callable[..., Server],
) -> None:
    first = keeping()
    ann = first.peer()
    ann.hello("ann")
    ann.say("!leave")
    ann.expect("kick")
    first.stop()
    second = keeping()
    welcome, _ = second.peer().hello(session=ann.session)
    assert welcome["session"] != ann.session


def test_rooms_are_there_again(keeping: Callable[..., Server]) -> None:
    first = keeping()
    ann = first.peer()
    ann.hello("ann", room="tea")
    say(ann, "one")
    first.stop()
    second = keeping("--max-rooms", "2")
    bob = second.peer()
    bob.hello("bob", room="lobby")
    bob.send("join", room="tea")
    assert bob.expect("room")["last_id"] == 1
    bob.send("join", room="coffee")
    assert bob.expect("room")["last_id"] == 0, "lobby was empty and is over"
    assert said(second, "tea") == ["one"]


def test_pages_reach_behind_what_memory_holds(keeping: Callable[..., Server]) -> None:
    server = keeping("--keep", "5")
    (ann,) = server.crew("ann", room="lobby")
    for number in range(1, 21):
        assert say(ann, str(number))["id"] == number

    def ask(**asked: int) -> tuple[list[int], bool]:
        page = ann.history(**asked)
        assert page["oldest_id"] == 1
        found = [frame["id"] for frame in page["messages"]]
        assert [frame["text"] for frame in page["messages"]] == list(map(str, found))
        return found, page["more"]

    assert ask() == (list(range(1, 21)), False)
    assert ask(limit=5) == ([16, 17, 18, 19, 20], True)
    assert ask(limit=6) == ([15, 16, 17, 18, 19, 20], True)
    assert ask(before=18, limit=4) == ([14, 15, 16, 17], True)
    assert ask(after=13, limit=4) == ([14, 15, 16, 17], True)
    assert ask(after=0, limit=3) == ([1, 2, 3], True)
    assert ask(before=4) == ([1, 2, 3], False)
    assert ask(after=20) == ([], False)


def test_what_is_over_the_bound_is_dropped(
    keeping: Callable[..., Server], path: Path
) -> None:
    first = keeping()
    (ann,) = first.crew("ann", room="lobby")
    for number in range(1, 13):
        say(ann, str(number))
    first.stop()
    second = keeping("--history-keep", "5")
    bob = second.peer()
    _, room = bob.hello("bob")
    wait_for(lambda: bob.history()["oldest_id"] == 8, "only five messages")
    page = bob.history(after=2)
    assert [frame["id"] for frame in page["messages"]] == [8, 9, 10, 11, 12]
    assert say(bob, "next")["id"] == 13
    assert room["last_id"] == 12
    assert sound(path).startswith("sound: ")


# -- starts that are refused ------------------------------------------------------


def refused(path: Path | str, *options: str) -> str:
    """Start a server that is refused; return its one line."""
    done = run("--port", "0", "--history", str(path), *options)
    assert (done.returncode, done.stdout) == (1, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("chat-server: ")
    assert Path(path).name in line
    return line


def test_a_start_that_is_refused_is_one_line_and_exit_1(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a history\n" * 100)
    assert "is not a history" in refused(text)
    assert "is a directory" in refused(tmp_path)
    assert "there is no folder" in refused(tmp_path / "none" / "history.db")
    assert list(tmp_path.iterdir()) == [text]
    assert text.read_text() == "not a history\n" * 100


def test_a_second_server_is_refused_and_the_first_goes_on(
    keeping: Callable[..., Server], path: Path
) -> None:
    first = keeping()
    (ann,) = first.crew("ann", room="lobby")
    say(ann, "one")
    assert "is in use by another server; stop it" in refused(path)
    assert say(ann, "two")["id"] == 2
    first.kill()
    again = keeping()
    assert said(again) == ["one", "two"], "what a crash leaves locks nobody out"
    first.stopped = True


def test_a_port_that_is_taken_leaves_the_history_free(
    keeping: Callable[..., Server], path: Path, tmp_path: Path
) -> None:
    server = keeping()
    other = tmp_path / "other.db"
    done = run("--history", str(other), "--port", str(server.address[1]))
    assert done.returncode == 1
    assert "is in use" in done.stderr
    assert [entry.name for entry in tmp_path.glob("other*")] == ["other.db"]


def in_its_own_mounts(*commands: str) -> Callable[..., list[str]]:
    """Return what starts a server behind *commands*, whose mounts only it sees."""
    script = " && ".join([*commands, 'exec "$@"'])
    try:
        can = subprocess.run(
            ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"],
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if can.returncode:
        pytest.skip("needs the right to mount")
    real = support.command
    return lambda *options: [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        *real(*options),
    ]


def test_a_file_system_for_reading_only_is_told(
    keeping: Callable[..., Server], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everything that has rights, but not here."""
    keeping().stop()
    before = path.read_bytes()
    folder = path.parent
    mounted = in_its_own_mounts(
        f"mount --bind '{folder}' '{folder}'",
        f"mount -o remount,ro,bind '{folder}'",
    )
    monkeypatch.setattr(support, "command", mounted)
    assert "Read-only file system" in refused(path)
    assert list(folder.iterdir()) == [path]
    assert path.read_bytes() == before


# -- while running ----------------------------------------------------------------


class Failing:
    """Two members of a room whose messages cannot be kept, and what still goes on."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ann, self.bob = server.peer(), server.peer()
        for peer, nick in ((self.ann, "ann"), (self.bob, "bob")):
            peer.hello(nick)
        self.ann.sync()
        for number in range(1, 9):
            assert say(self.ann, f"kept {number}")["id"] == number
        self.bob.sync()
        self.refused = 0

    def refuse(self, times: int = 3) -> None:
        """Say what is refused, with its ref; nobody sees it."""
        for _ in range(times):
            self.refused += 1
            answer = say(self.ann, f"refused {self.refused}")
            assert (answer.type, answer.get("code")) == ("error", "internal"), answer
        assert self.bob.sync() == []

    def check_the_rest(self) -> None:
        """What needs no disk goes on: pings, lists, whispers, coming and going."""
        ann, bob = self.ann, self.bob
        bob.expect_nothing()
        bob.send("who")
        assert bob.expect("members")["members"] == ["ann", "bob"]
        ann.send("whisper", to="bob", text="psst", ref="w")
        assert ann.expect("whisper")["ref"] == bob.expect("whisper")["ref"] == "w"
        with Peer(self.server.address) as cy:
            _, room = cy.hello("cy")
            assert (room["last_id"], room["count"]) == (8, 3)
            assert [m["id"] for m in cy.history()["messages"]] == list(range(1, 9))
            cy.send("nick", nick="carl")
            cy.expect("renamed")
        for peer in (ann, bob):
            frames = peer.recv_until(lambda frame: frame.type == "left")
            assert types(frames) == ["joined", "renamed", "left"]

    def recover(self) -> None:
        """Without anybody's help the next message gets the next number."""
        tries = 0

        def kept() -> bool:
            nonlocal tries
            tries += 1
            answer = say(self.ann, f"again {tries}")
            if answer.type == "error":
                self.refused += 1
                return False
            assert answer["id"] == 9
            return True

        wait_for(kept, "a message that is kept")
        assert ids(self.bob.sync()) == [9]
        assert say(self.bob, "on")["id"] == 10
        assert ids(self.ann.sync()) == [10]
        page = self.ann.history(limit=200)
        found = [frame["text"] for frame in page["messages"]]
        kept_texts = [f"kept {number}" for number in range(1, 9)]
        assert found == [*kept_texts, f"again {tries}", "on"]

    def check_log(self) -> None:
        """It was written down once, and once that it is over."""
        lines = self.server.log_lines()
        assert len([line for line in lines if " error store " in line]) == 1, lines
        (recovered,) = [line for line in lines if " warning store " in line]
        assert f"refused={self.refused}" in recovered
        assert "recovered" in recovered

    def check_file(self, path: Path) -> None:
        """After the end the file is sound and holds nothing that was refused."""
        self.server.stop()
        assert sound(path).startswith("sound: messages 10,")
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute("SELECT text FROM messages ORDER BY id").fetchall()
        assert not [text for (text,) in rows if text.startswith("refused")]


def test_the_lock_of_another_program_refuses_and_holds_nothing_up(
    keeping: Callable[..., Server], path: Path
) -> None:
    room = Failing(keeping())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        room.refuse()
        room.check_the_rest()
    room.recover()
    room.check_log()
    room.check_file(path)


def test_the_loop_waits_a_quarter_of_a_second_at_most(
    keeping: Callable[..., Server], path: Path, tmp_path: Path
) -> None:
    """What it asks the system to sleep is the proof: no clock of a busy machine is."""
    trace = tmp_path / "trace"
    room = Failing(keeping())
    with (
        traced(room.server, "clock_nanosleep,nanosleep", output=trace),
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        room.refuse(30)
        room.check_the_rest()
    sleeps = re.findall(r"\{tv_sec=(\d+), tv_nsec=(\d+)\}", trace.read_text())
    slept = [int(seconds) + int(rest) / 1e9 for seconds, rest in sleeps]
    assert 0 < sum(slept) <= 0.25, slept
    room.recover()


def test_a_lock_comes_again_and_is_waited_for_again(
    keeping: Callable[..., Server], path: Path
) -> None:
    """A short lock, as a backup takes it, costs nobody a message."""
    room = Failing(keeping())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        room.refuse()
    room.recover()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        room.ann.say("patience", ref="p")
        other.execute("ROLLBACK")
    frames = room.ann.recv_until(lambda frame: frame.get("ref") == "p")
    assert types(frames) == ["message"]


def test_a_full_disk_refuses_and_recovers(
    keeping: Callable[..., Server], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = path.parent
    mounted = in_its_own_mounts(f"mount -t tmpfs -o size=512k none '{folder}'")
    monkeypatch.setattr(support, "command", mounted)
    server = keeping("--keep", "2")
    monkeypatch.undo()
    room = Failing(server)
    inside = Path(f"/proc/{server.pid}/root{folder}")
    with (
        (inside / "filler").open("wb", buffering=0) as filler,
        pytest.raises(OSError, match="No space"),
    ):
        while True:
            filler.write(bytes(4096))
    room.refuse()
    room.check_the_rest()
    (inside / "filler").unlink()
    room.recover()
    room.check_log()
    shutil.copytree(inside, folder.with_name("copy"))
    assert sound(folder.with_name("copy") / path.name).startswith("sound: ")


def limit_files(server: Server, most: int) -> None:
    """Let no file of *server* grow beyond so many bytes."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, hard))


def test_a_limit_on_files_refuses_and_recovers(
    keeping: Callable[..., Server], path: Path
) -> None:
    server = keeping(stderr=subprocess.DEVNULL)
    room = Failing(server)
    limit_files(server, 0)
    room.refuse()
    room.check_the_rest()
    limit_files(server, resource.RLIM_INFINITY)
    room.recover()
    room.check_file(path)


@pytest.mark.parametrize(
    "calls",
    [
        "fdatasync,fsync:error=EIO",
        "fdatasync,fsync:error=EIO:when=1",
        "pwrite64:error=EIO",
        "pwrite64:error=ENOSPC",
        "fdatasync,fsync,pwrite64,ftruncate:error=EIO",
    ],
)
def test_a_disk_that_fails_refuses_and_recovers(
    keeping: Callable[..., Server], path: Path, calls: str
) -> None:
    server = keeping("--keep", "2")
    room = Failing(server)
    with failing_calls(server, calls):
        room.refuse(1 if "when" in calls else 3)
        room.check_the_rest()
    room.recover()
    room.check_log()
    room.check_file(path)


def test_a_new_room_whose_first_message_failed_is_none(
    keeping: Callable[..., Server], path: Path
) -> None:
    """What a sync that failed has left behind is not taken for kept, ever."""
    server = keeping()
    ann = server.peer()
    ann.hello("ann", room="tea")
    with failing_calls(server, "fdatasync,fsync:error=EIO"):
        assert say(ann, "never")["code"] == "internal"
    ann.sync()
    server.stop()
    again = keeping()
    assert said(again, "tea") == []
    bob = again.peer()
    bob.hello("bob", room="tea")
    assert say(bob, "first")["id"] == 1
    again.stop()
    assert sound(path).startswith("sound: messages 1, rooms 1")


@pytest.mark.parametrize(
    "calls", ["fdatasync,fsync:error=EIO", "pwrite64:error=EIO:when=3+"]
)
def test_what_was_refused_is_not_there_after_a_crash(
    keeping: Callable[..., Server], path: Path, calls: str
) -> None:
    """It was written, or a part of it, and then came nothing that took its place."""
    server = keeping()
    room = Failing(server)
    with failing_calls(server, calls):
        room.refuse(1)
        server.send_signal(signal.SIGKILL)
        server.wait()
    again = keeping()
    assert said(again) == [f"kept {number}" for number in range(1, 9)]
    again.stop()
    assert sound(path).startswith("sound: messages 8,")


def test_texts_of_two_rooms_are_kept_in_one_order(
    keeping: Callable[..., Server], path: Path
) -> None:
    server = keeping()
    ann, bob = server.peer(), server.peer()
    ann.hello("ann", room="tea")
    bob.hello("bob", room="milk")
    for number in range(50):
        ann.say(f"tea {number}")
        bob.say(f"milk {number}")
    for peer, room in ((ann, "tea"), (bob, "milk")):
        frames = peer.recv_until(lambda frame: frame.get("id") == 50)
        assert ids(frames) == list(range(1, 51))
        assert texts(frames) == [f"{room} {number}" for number in range(50)]
        assert said(server, room) == texts(frames)
    assert sound(path).startswith("sound: messages 100, rooms 2")
