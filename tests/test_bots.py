"""What the page about bots shows, as it stands there: the bot, and lines of shell."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.waiting import wait_for
from tests.test_docs import ROOT, blocks

PAGE = (ROOT / "docs" / "bots.md").read_text(encoding="utf-8")
SHELL = blocks("sh", PAGE)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own."""
    with Server("--rate", "0", log=tmp_path / "log") as one:
        yield one


@pytest.fixture
def bot(tmp_path: Path, server: Server) -> Iterator["subprocess.Popen[str]"]:
    """Run the bot as the page says, at a server of ours."""
    (code,) = blocks("python", PAGE)
    assert len([line for line in code.splitlines() if line]) <= 24
    (tmp_path / "clock.py").write_text(code, encoding="utf-8")
    (block,) = blocks("console", PAGE)
    options = block.removeprefix("$ python3 clock.py ").split()
    host, port = server.address
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "clock.py"), f"{host}:{port}", *options],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_bot_answers_until_it_is_gone(
    server: Server, bot: "subprocess.Popen[str]"
) -> None:
    """In the room, in a whisper, and not to itself."""
    server.wait_log(" join ", "nick=clock", "room=tea")
    ann = server.peer()
    ann.hello("ann", room="tea")
    for text in ("hello", "!time", "and now?"):
        ann.say(text)
    texts = {ann.expect("message")["text"] for _ in range(4)}
    assert any(text.startswith("ann, it is ") for text in texts)
    ann.send("whisper", to="clock", text="!time")
    ann.expect("whisper", from_="ann")
    assert ann.expect("whisper", from_="clock")["text"].startswith("it is ")
    assert bot.poll() is None
    server.stop()
    assert bot.stderr is not None
    assert "(shutdown)" in bot.stderr.readline() + bot.stderr.readline()


@contextmanager
def shell(line: str, server: Server) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a line of the page as it stands, but for the address; end all of it."""
    host, port = server.address
    assert line.count("bin/chat-client ") == 1
    line = line.replace("bin/chat-client ", f"bin/chat-client {host}:{port} ")
    with subprocess.Popen(
        ["sh", "-c", line],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_lines_of_shell(server: Server, tmp_path: Path) -> None:
    """What is said is heard, who is there is told, what is heard is kept."""
    say, who, keep = SHELL
    bob = server.peer()
    bob.hello("bob", room="dev")
    with shell(say, server) as process:
        assert process.wait(20) == 0
    bob.expect("joined", nick="build")
    assert bob.expect("message")["text"] == "the build is green"
    bob.expect("left")
    with shell(who, server) as process:
        out, _ = process.communicate(timeout=20)
    assert "bob" in json.loads(out)["members"]
    file = tmp_path / "dev.jsonl"
    with shell(keep.replace("dev.jsonl", str(file)), server):
        server.wait_log(" join ", "nick=scribe")
        bob.say("for the record")
        wait_for(lambda: "for the record" in file.read_text(), "a line in the file")
