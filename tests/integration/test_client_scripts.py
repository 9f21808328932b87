"""The client as programs use it: frames in, frames out, a settings file, plain lines.

What a program reads are lines of stdout, each a frame; what is wrong with what it
writes comes on stderr, with the number of the line.
"""

import json
import os
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Start
from tests.integration.test_client import LONG, PROGRAM, Typist, command, heard, run
from tests.integration.test_reconnect import Mortal, Talker, said
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0")
BOTH = ("--json", "--json-in")


def lines_of(*frames: dict[str, Any]) -> str:
    """Frames as a program writes them."""
    return "".join(json.dumps(frame) + "\n" for frame in frames)


def frames_of(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """What a program reads; every line has to be a frame."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    """The types of frames."""
    return [frame["type"] for frame in frames]


@pytest.fixture
def mortal(start: Start, tmp_path: Path) -> Mortal:
    """A server whose history is in a file."""
    return Mortal(start, tmp_path / "history")


# -- frames in ------------------------------------------------------------------


def test_frames_go_in_and_out(server: Server) -> None:
    nick, room = fresh("anna"), fresh("room")
    said = lines_of(
        {"type": "say", "text": "ünï", "ref": "mine"},
        {"type": "whisper", "to": nick, "text": "psst", "ref": "too"},
        {"type": "say", "text": "without"},
        {"type": "ping", "data": "x"},
        {"type": "who"},
        {"type": "history", "limit": 1},
        {"type": "nick", "nick": nick + "2"},
        {"type": "join", "room": room + "2"},
        {"type": "op", "do": "bans"},
        {"type": "nobody-knows"},
    )
    done = run(server, *BOTH, "--nick", nick, "--room", room, said=said)
    assert (done.returncode, done.stderr) == (0, b"")
    frames = frames_of(done)
    # No answer is missing, though nothing but what was said is waited for.
    answers = "message whisper message pong members history renamed room error error"
    assert kinds(frames) == ["welcome", "room", *answers.split(), "kick"]
    message, whisper, without, pong, members = frames[2:7]
    assert (message["text"], message["ref"]) == ("ünï", "mine")
    assert (whisper["text"], whisper["ref"]) == ("psst", "too")
    assert without["ref"]
    assert pong["data"] == "x"
    assert members["members"] == [nick]
    assert [frame["code"] for frame in frames[-3:-1]] == ["not-allowed", "unknown-type"]
    assert frames[-1]["reason"] == "leave"


def test_what_is_no_frame_is_told_and_the_rest_is_sent(server: Server) -> None:
    said = (
        b'{"type":"say","text":"one"}\n'
        b"\n"
        b"hello\n"
        b'{"type":"hello","version":1}\n'
        b"\xff\xfe\n"
        b'{"type":"say","text":"   "}\n' + b'{"x":"' + b"y" * 500_000 + b'"}\n'
        b"[1]\r\n"
        b'{"type":"say","text":"\x1b[2J","ref":"r"}\n'
        b'{"type":"say","text":"two"}'
    )
    done = run(server, *BOTH, said=said)
    assert done.returncode == 0
    frames = frames_of(done)
    assert kinds(frames) == ["welcome", "room", "message", "message", "kick"]
    assert [frame["text"] for frame in frames[2:4]] == ["one", "two"]
    notices = done.stderr.decode()
    assert notices.isascii() and "\x1b" not in notices
    numbers = [line.partition("line ")[2][:1] for line in notices.splitlines()]
    assert numbers == list("3456789")


def test_frames_in_and_words_out(server: Server) -> None:
    nick = fresh("anna")
    options = ("--json-in", "--nick", nick, "--room", fresh("room"))
    said = lines_of({"type": "say", "text": "hello"}, {"type": "who"})
    done = run(server, *options, said=said)
    assert done.returncode == 0
    assert heard(done) == [f">{nick}< hello"]
    assert "you have left" in done.stderr.decode()


def test_a_leave_frame_leaves(mortal: Mortal) -> None:
    said = lines_of(
        {"type": "say", "text": "one"}, {"type": "leave"}, {"type": "say", "text": "2"}
    )
    with Talker(mortal, *BOTH) as anna:
        anna.say(*said.splitlines())
        code, _ = anna.finish()  # Its input is still open.
        lines = [json.loads(line) for line in anna.out.rest()]
    assert code == 0
    assert kinds(lines) == ["welcome", "room", "message", "kick"]


def test_a_shout_in_a_frame_is_a_shout(server: Server) -> None:
    said = lines_of(
        {"type": "say", "text": "FIRST", "ref": "a"},
        {"type": "say", "text": "SECOND", "ref": "b"},
        {"type": "say", "text": "never"},
    )
    done = run(server, *BOTH, said=said)
    assert done.returncode == 3
    frames = frames_of(done)
    assert kinds(frames) == ["welcome", "room", "warning", "kick"]
    assert frames[2]["ref"] == "a"


def test_saying_leave_in_a_frame_is_leaving(server: Server) -> None:
    done = run(server, *BOTH, said=lines_of({"type": "say", "text": " !leave "}))
    assert done.returncode == 0
    assert kinds(frames_of(done)) == ["welcome", "room", "kick"]


def test_five_thousand_frames(server: Server) -> None:
    frames = [{"type": "say", "text": f"line {n}", "ref": str(n)} for n in range(5000)]
    done = run(server, *BOTH, "--room", fresh("room"), said=lines_of(*frames))
    assert done.returncode == 0
    refs = [frame["ref"] for frame in frames_of(done) if frame["type"] == "message"]
    assert refs == [str(n) for n in range(5000)]


def test_frames_from_a_terminal(server: Server) -> None:
    """Nobody needs a prompt to type JSON, and Ctrl-D ends it."""
    with Typist(server, "--json-in", "--nick", fresh("anna")) as anna:
        anna.see("you are in")
        anna.type('{"type":"say","text":"hello"}\n')
        anna.see("< hello")
        assert anna.settings[3] & termios.ICANON
        anna.type("hello\n")
        anna.see("line 2 is not sent: the frame is not JSON")
        anna.type("\x04")
        assert anna.wait() == 0
    assert "\x1b" not in anna.screen


# -- a server that goes away ------------------------------------------------------


def test_every_frame_comes_once(mortal: Mortal) -> None:
    """Refs of the program's own are owed as ours are."""
    count = 1500
    with Talker(mortal, "--nick", "anna", *BOTH) as anna:
        anna.say('{"type":"say","text":"first","ref":"first"}')
        while '"first"' not in anna.out.line():
            pass
        frames = [
            {"type": "say", "text": f"line {number}", "ref": f"r{number}"}
            for number in range(count)
        ]
        anna.say(*lines_of(*frames).splitlines())
        mortal.die()
        anna.say('{"type":"say","text":"to nobody","ref":"last"}', '{"type":"who"}')
        bob = mortal.rise().member("bob")
        code, lines, notices = anna.end()
        bob.recv_until(lambda frame: frame.type == "left")
        log: list[str] = []
        while len(log) < count + 2:
            page = said(bob.history(after=len(log), limit=200))
            assert page
            log += page
    assert code == 0
    assert log == ["first", *(frame["text"] for frame in frames), "to nobody"]
    shown = [json.loads(line) for line in lines]
    assert [f["ref"] for f in shown if f["type"] == "message"] == (
        [*(frame["ref"] for frame in frames), "last"]
    )
    assert kinds(shown).count("welcome") == 1
    assert "members" in kinds(shown)
    assert "is lost" in notices


def test_a_ref_that_waits_is_not_taken_twice(mortal: Mortal) -> None:
    with Talker(mortal, "--nick", "anna", *BOTH) as anna:
        anna.out.until('"room"')
        one, two = ({"type": "say", "text": t, "ref": "same"} for t in ("one", "two"))
        anna.say(*lines_of(one, two, {"type": "say", "text": "three"}).splitlines())
        anna.err.until("not said: no answer has come yet to what had the ref 'same'")
        code, lines, _ = anna.end()
    assert code == 0
    frames = [json.loads(line) for line in lines]
    assert kinds(frames) == ["message", "message", "kick"]
    assert [frame["text"] for frame in frames[:2]] == ["one", "three"]


# -- plain lines ------------------------------------------------------------------


def test_plain_lines_in_a_terminal_that_can_do_more(server: Server) -> None:
    nick = fresh("anna")
    with Typist(server, "--plain", "--nick", nick) as anna:
        before = anna.settings
        anna.see("you are in", "/help tells what you can do")
        assert anna.settings == before
        anna.type("hello\n/who\n")
        anna.see(f">{nick}< hello")
        anna.type("/quit\n")
        assert anna.wait() == 0
    assert "\x1b" not in anna.screen


# -- settings ---------------------------------------------------------------------


def test_settings_and_links(server: Server, tmp_path: Path) -> None:
    (tmp_path / "chatroom").mkdir()
    file = tmp_path / "chatroom" / "client.toml"
    host, port = server.address
    nick, room = fresh("anna"), fresh("room")
    file.write_text(f"server = 'chat://{host}:{port}/{room}'\nnick = '{nick}'\n")
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path)}

    def chat(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command(server)[0], PROGRAM, *options],
            env=environment,
            input="hello",
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )

    done = chat()
    assert (done.returncode, done.stdout[6:]) == (0, f">{nick}< hello\n")
    assert f"you are in {room}" in done.stderr
    done = chat(f"chat://{host}:{port}/{room}2", "--nick", nick + "2")
    assert (done.returncode, done.stdout[6:]) == (0, f">{nick}2< hello\n")
    assert f"you are in {room}2" in done.stderr
    file.write_text("nick = 'anna'\nnik = 'bob'\n")
    done = chat()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"chat-client: '{file}', line 2: there is no setting 'nik'\n"
    )
    assert chat("--config", "/dev/null", f"{host}:{port}").returncode == 0
