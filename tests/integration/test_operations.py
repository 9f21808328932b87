"""docs/operations.md, played: its commands run, its lines are seen, its advice helps.

The commands of each section run as they stand, in a folder like a checkout where a
server runs.  Only its port and its process id are put in, which no page can know.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.store.file import SCHEMA, build
from tests.integration.conftest import Start
from tests.support.peer import Frame, Peer
from tests.support.server import ROOT, Server, run
from tests.support.waiting import PATIENCE, wait_for

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TOOLS = ("sqlite3", "curl", "jq", "ss")
LOOKS = ("curl ", "grep ", "jq ", "sqlite3 -header ", "ss ")
"""How a line begins that shows something."""
NOT_HERE = ("(warning|error)", "error failure", "code=password")
"""What has not happened to the server that is looked at."""
SECTIONS = {
    title: re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for title, text in re.findall(
        r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
}


class Night:
    """A folder like a checkout, where a server runs and something has happened."""

    def __init__(self, folder: Path, start: Start) -> None:
        self.folder = folder
        self.start = start
        self.kept = folder / ".chatroom"
        self.history = self.kept / "history.db"
        self.key = ""
        """The key that a command of the page has shown."""
        self._lay_out()
        self.server = self.begin()
        self.ann = self._happen(self.server)
        self.identity = identity(self.history)
        self.sound = self.show("verify")

    def _lay_out(self) -> None:
        self.kept.mkdir()
        for name in ("bin", "docs"):
            (self.folder / name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "docs" / "chatroom.toml", self.kept)
        made = run("operator-key", "ann")
        self.key_of_ann = made.stderr.split()[-1]
        operators = self.kept / "operators"
        operators.write_text(made.stdout, encoding="utf-8")
        operators.chmod(0o600)
        # The same with the other format of the log.
        where = str(self.kept / "server.json")
        other = self._start("--log-format", "json", "--log-file", where)
        self._happen(other).close()
        other.stop()

    def _start(self, *options: str) -> Server:
        operators = str(self.kept / "operators")
        return self.start("--rate", "0", "--operator-file", operators, *options)

    def begin(self) -> Server:
        """Start the server as ``make run-server`` does."""
        log = str(self.kept / "server.log")
        self.server = self._start("--history", str(self.history), "--log-file", log)
        return self.server

    def _happen(self, server: Server) -> Peer:
        """Let an operator, and somebody who has to go, be there."""
        ann, eve = server.peer(), server.peer()
        ann.hello("ann2")
        eve.hello("eve")
        eve.send("nick", nick="ann2")
        eve.recv_until(lambda frame: frame.type == "error")
        order(ann, "login", key=self.key_of_ann)
        ann.send("nick", nick="ann")
        for text in ("Hello.", "The kettle is on.", "\u0627\nx\tz"):
            ann.say(text)
        order(ann, "ban", nick="eve", seconds=600, reason="spam")
        eve.rest()
        return ann

    def show(self, *words: str) -> str:
        """Run ``chat-history`` on the file, and return what it says."""
        return show(self.history, *words)

    def run(self, line: str) -> None:
        """Run a line of the page."""
        host, port = self.server.address
        line = line.replace("127.0.0.1:2428", f"{host}:{port}")
        line = line.replace("sport = :2428", f"sport = :{port}")
        if not self.server.stopped:
            line = re.sub(r"\bPID\b", str(self.server.pid), line)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
        told = done.stderr
        if "operator-key" in line:
            self.key, told = told.split()[-1], ""
        assert (done.returncode, told) == (0, ""), (line, done)
        if "/healthz" in line:
            assert done.stdout == "ok\n"
        elif line.startswith(LOOKS) and not any(word in line for word in NOT_HERE):
            assert done.stdout.strip(), line

    def serve(self, line: str) -> None:
        """Start another server by a line of the page, and stop it."""
        words = [sys.executable, *line.split(), "--port", "0"]
        with subprocess.Popen(
            words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"listening on ")
            process.terminate()
        assert process.returncode == 0

    def play(self, lines: list[str]) -> None:
        """Do what stands in *lines*."""
        for line in lines:
            if line == "# stop the server":
                self.server.stop()
            elif line == "# start it again":
                self.begin()
            elif line.startswith("$ bin/chat-server ") and "--check" not in line:
                self.serve(line[2:])
            else:
                assert line.startswith("$ "), line
                self.run(line[2:])


def order(peer: Peer, do: str, **fields: object) -> Frame:
    """Have an operator do something that works, and return the answer."""
    peer.send("op", do=do, **fields)
    answer = peer.recv_until(lambda frame: frame.type in ("op", "error"))[-1]
    assert answer.type == "op", answer
    return answer


def show(path: Path, *words: str) -> str:
    """Run ``chat-history`` on *path*, and return what it says."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bin" / "chat-history"), str(path), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def identity(path: Path) -> str:
    """Return the identity of the numbering in *path*."""
    with closing(sqlite3.connect(path)) as db:
        (found,) = db.execute("SELECT value FROM meta").fetchone()
    assert isinstance(found, str)
    return found


def columns(path: Path) -> dict[str, list[object]]:
    """Return what tables and columns *path* has."""
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
        return {
            name: db.execute(f"PRAGMA table_info({name})").fetchall()
            for name in sorted(names)
        }


@pytest.fixture
def night(tmp_path: Path, start: Start) -> Night:
    """What the page is about."""
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"needs the {tool} command")
    return Night(tmp_path, start)


# -- the commands ------------------------------------------------------------------


@pytest.mark.parametrize("title", [t for t, blocks in SECTIONS.items() if blocks])
def test_commands_of_the_page_do_what_it_says(night: Night, title: str) -> None:
    if title == "Restoring a copy":
        with closing(sqlite3.connect(night.history)) as db:
            db.execute("VACUUM INTO ?", [str(night.folder / "backup.db")])
    elif title == "They cannot get in":
        order(night.ann, "lock")
    night.play("".join(SECTIONS[title]).splitlines())
    if title in RESULTS:
        RESULTS[title](night)


def let_in_again(night: Night) -> None:
    """The lock is gone, and the ban of a nick is still there."""
    night.server.peer().hello("new")
    eve = night.server.peer()
    eve.send("hello", version=1, nick="eve")
    eve.expect_error("banned", closes=True)


def has_another_operator(night: Night) -> None:
    """The key that was made opens what it should."""
    night.server.wait_log(" info reload ", 'operators="2 keys"')
    bob = night.server.peer()
    bob.hello("bob2")
    order(bob, "login", key=night.key)
    bob.send("nick", nick="bob")
    assert bob.sync()[-1]["new"] == "bob"


def copied(night: Night) -> None:
    """Both copies are sound, whole, and nobody else's to read."""
    for name in ("backup.db", "copy.db"):
        copy = night.folder / name
        assert copy.stat().st_mode & 0o777 == 0o600
        assert identity(copy) == night.identity
        assert show(copy, "verify") == night.sound


def restored(night: Night) -> None:
    """The copy is in its place, and clients will notice."""
    assert (night.folder / "aside" / "history.db").exists()
    assert re.fullmatch("[0-9a-f]{16}", identity(night.history))
    assert identity(night.history) != night.identity
    assert len(night.show("tail").splitlines()) == 3


def moved(night: Night) -> None:
    """It is elsewhere, whole, and the same."""
    assert not list(night.kept.glob("history*"))
    assert identity(night.folder / "elsewhere.db") == night.identity
    assert len(show(night.folder / "elsewhere.db", "tail").splitlines()) == 3


def exported(night: Night) -> None:
    """What was exported is there."""
    assert (night.folder / "export.jsonl").exists()


def gone_back(night: Night) -> None:
    """It is a file of version 1, as that version made it, with all messages."""
    old = night.folder / "old.db"
    with closing(sqlite3.connect(old)) as db:
        build(db, 0, 1)
    assert columns(night.history) == columns(old)
    with closing(sqlite3.connect(night.history)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(night.show("tail").splitlines()) == 3
    night.begin().peer().hello("eve")


RESULTS: dict[str, Callable[[Night], None]] = {
    "They cannot get in": let_in_again,
    "Operators": has_another_operator,
    "Updating": gone_back,
    "Backing it up": copied,
    "Restoring a copy": restored,
    "Moving it": moved,
    "Reading it": exported,
}


def test_the_page_has_the_sections_that_are_looked_at() -> None:
    assert set(RESULTS) <= set(SECTIONS)
    assert all(SECTIONS[title] for title in RESULTS)


def test_there_is_one_way_back_for_each_version() -> None:
    """Whoever makes a new version of the file tells how to go back from it."""
    assert len(SCHEMA) == 2


# -- what else it says -------------------------------------------------------------


def test_a_lock_is_not_lifted_from_outside_while_it_runs(night: Night) -> None:
    order(night.ann, "lock")
    with closing(sqlite3.connect(night.history)) as db, db:
        db.execute("DELETE FROM orders WHERE kind = 'lock'")
    night.server.send_signal(signal.SIGHUP)
    night.server.wait_log(" info reload ")
    new = night.server.peer()
    new.send("hello", version=1)
    new.expect_error("not-allowed", closes=True)


def test_logrotate_goes_on_with_a_new_file(night: Night) -> None:
    """Where there is one: what it moves away is whole, and nothing is lost."""
    logrotate = shutil.which("logrotate")
    if logrotate is None:
        return
    (rules,) = re.findall(r"^```\n(/srv/.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    rules = rules.replace("/srv/chatroom", str(night.folder))
    path = night.folder / "logrotate.conf"
    path.write_text(rules, encoding="utf-8")
    path.chmod(0o600)
    state = str(night.folder / "state")
    done = subprocess.run(
        [logrotate, "--force", "--state", state, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    log = night.kept / "server.log"
    wait_for(lambda: log.exists() and " reload " in log.read_text(), "the new file")
    night.ann.say("after it")
    night.server.wait_log("after it")
    moved_away = log.with_name("server.log.1").read_text()
    wait_for(lambda: moved_away + log.read_text() == night.server.log(), "all lines")
