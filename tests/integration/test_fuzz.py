"""The long hunt, a little of it; and that it would find what is wrong.

`python -m tests.fuzz.run` goes on for ten minutes, and judges by the clock too.
"""

import socket
from pathlib import Path

import pytest

from tests.fuzz.load import Chat
from tests.fuzz.mutate import Case, Target, make_case
from tests.fuzz.play import Player
from tests.fuzz.run import fuzz
from tests.fuzz.sessions import NICK, Session
from tests.integration.conftest import Start
from tests.support.peer import encode, pack
from tests.support.tls import trusting

SEED = 2026
CASES = 250
SESSIONS = [Session("one", (encode("hello", version=1, nick=NICK.decode()),))]


def test_damaged_sessions_do_no_harm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against three servers, each with a watchdog."""
    tally, _, field = fuzz(SEED, 60.0, CASES, (), tmp_path, by_clock=False)
    assert not field.findings
    assert tally.cases == CASES
    assert tally.welcomed > CASES / 10
    assert "plain" in capsys.readouterr().out


def test_a_case_is_made_again_by_its_number() -> None:
    targets = [Target("plain"), Target("secured", tls=True, password="secret")]
    first = [make_case(SEED, number, SESSIONS, targets) for number in range(200)]
    again = [make_case(SEED, number, SESSIONS, targets) for number in range(200)]
    other = [make_case(SEED + 1, number, SESSIONS, targets) for number in range(200)]
    assert first == again != other
    assert {case.target for case in first} == {0, 1}
    assert {case.end for case in first} == {"close", "reset", "half", "stay"}
    assert any(case.damage for case in first if case.tls)


def play_against(answer: bytes, **given: object) -> list[str]:
    """Play a case against a server that answers so; return what was found."""
    case = Case(7, 0, [encode("hello", version=1)], "stay", **given)  # type: ignore[arg-type]
    case.source = "127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        player = Player(SEED, [listener.getsockname()], trusting())
        try:
            player._start(case)
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
                player.run(iter(()), 0.0)
        finally:
            player.close()
    return player.tally.findings


GOOD = pack(b'{"type":"pong","data":"x"}')


@pytest.mark.parametrize(
    "answer",
    [
        b"\0\0\0\0",
        b"\0\1\0\1{}",
        b"\0\0\0\5{}",
        GOOD + GOOD[:-1],
        GOOD[:2],
        pack(b"{"),
        pack(b"[]"),
        pack(b'{"type":"pong", "data":"x"}'),
        pack(b'{"type":"pong","data":7}'),
        pack(b'{"data":"x","type":"pong"}'),
        pack(b'{"type":"nonsense"}'),
        pack(b'{"type":"pong","data":"\xff"}'),
        pack(b'{"type":"error","code":"internal","text":"x"}'),
        b"Traceback (most recent call last):\n",
        GOOD + b"Traceback",
    ],
)
def test_an_answer_that_is_wrong_is_found(answer: bytes) -> None:
    (found,) = play_against(answer)
    assert found.startswith("case 7: ")


PAGE = b"HTTP/1.1 200 OK\r\n\r\n" + b"a page " * 20_000


@pytest.mark.parametrize(
    "answer", [b"", GOOD, GOOD * 3, b"HTTP/1.1 400 Bad Request", PAGE]
)
def test_an_answer_that_is_right_is_not(answer: bytes) -> None:
    assert not play_against(answer)


def test_who_chats_beside_others_is_held_to_one_order(start: Start) -> None:
    """The measuring stick of the hostile load is itself one that complains."""
    chat = Chat(start("--rate", "0").address, 4, rate=200.0, stalled=2)
    try:
        chat.run(0.3)
        assert len(chat.late) == 4 * chat.said > 0
        for number in (0, 999):
            chat.members[2].received[:] = b'"text":"no %08d"' % number
            with pytest.raises(AssertionError, match=f"^{number} came"):
                chat._hear(chat.members[2], 0.0)
    finally:
        chat.close()
