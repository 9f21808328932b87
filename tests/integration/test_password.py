"""The password from outside: who gets in, who waits, and where it never shows."""

import signal
import socket
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.server import Server, run
from tests.support.tls import CERT, KEY, trusting
from tests.support.waiting import fresh, wait_for

SECRET = "open sésame, please"
GUESS = "sésame, open"
PAIR = ("--tls-cert", CERT, "--tls-key", KEY)
TRUST = trusting()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file that holds the password."""
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\nnot this\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def server(start: Start, file: Path) -> Server:
    """A server that asks for it, over TLS and on this machine in plain text too."""
    return start(*PAIR, "--password-file", str(file), "--log-level", "debug")


def test_who_knows_it_comes_in(server: Server) -> None:
    anna = server.member("anna", password=SECRET)
    bob = server.member("bob", tls=TRUST, password=SECRET)
    anna.expect("joined", nick=bob.nick)
    wrong = [server.peer() for _ in range(2)]
    for peer, password in zip(wrong, ("", SECRET + " "), strict=True):
        peer.send("hello", version=1, password=password)
    for peer in wrong:
        peer.expect_error("password", closes=True)
    without = server.peer()
    without.send("hello", version=1)
    without.expect_error("password", closes=True)
    anna.expect_nothing()


def test_the_right_one_gets_through_others_who_guess(server: Server) -> None:
    """It waits until those before it are judged, and no longer."""
    crowd = [server.peer() for _ in range(2)]
    for number, peer in enumerate(crowd):
        peer.send("hello", version=1, password=f"{GUESS} {number}")
    server.wait_log("connect", f":{crowd[-1].local[1]}")
    with pytest.raises(AssertionError, match="nothing came"):
        crowd[-1].recv(timeout=0.05)
    anna = server.member("anna", password=SECRET)
    anna.say("in")
    anna.expect("message")
    for peer in crowd:
        peer.expect_error("password", closes=True)


def test_who_is_here_notices_nothing_of_guesses(server: Server) -> None:
    anna = server.member("anna", password=SECRET)
    guesses = [server.peer() for _ in range(3)]
    for peer in guesses:
        peer.send("hello", version=1, password=GUESS)
        anna.say("undisturbed")
        anna.expect("message")
    server.expect_rest()
    for peer in guesses[::2]:
        peer.reset()


def own_address() -> str | None:
    """Give an address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return None
        host = str(sock.getsockname()[0])
    return None if host.startswith("127.") else host


def test_from_elsewhere_it_is_taken_over_tls_only(start: Start, file: Path) -> None:
    host = own_address()
    if host is None:
        pytest.skip("this machine has no address but the loopback's")
    server = start("--host", host, *PAIR, "--password-file", str(file))
    for password in (SECRET, GUESS, None):
        peer = server.peer()
        given = {} if password is None else {"password": password}
        peer.send("hello", version=1, **given)
        assert "TLS" in peer.expect_error("password", closes=True)["text"]
    server.member("anna", tls=TRUST, password=SECRET)


def test_it_never_shows(start: Start, file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = start(
        *PAIR, "--password-file", str(file), "--log-level", "debug",
        "--log-file", str(log),
    )  # fmt: skip
    server.member("anna", password=SECRET)
    for tls in (None, TRUST):
        peer = server.peer(tls=tls)
        peer.send("hello", version=1, password=GUESS)
        peer.expect_error("password", closes=True)
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload")
    proc = Path(f"/proc/{server.pid}")
    shown = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    shown += server.log().encode() + log.read_bytes()
    for secret in (SECRET, GUESS):
        for form in (secret.encode(), ascii(secret)[1:-1].encode()):
            assert form not in shown
    assert "sesame" not in server.log()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "No such file"),
        (b"", "no password"),
        (b"\nbelow\n", "no password"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b"x" * 5000, "at most"),
        ("folder", "directory"),
    ],
    ids=["missing", "empty", "blank", "not UTF-8", "long", "folder"],
)
def test_a_file_without_a_password_is_one_line(
    tmp_path: Path, data: bytes | str | None, why: str
) -> None:
    path = tmp_path / "password"
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data:
        path.mkdir()
    done = run("--port", "0", "--password-file", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    assert why in done.stderr


def test_a_file_that_everybody_can_read_is_warned_of(start: Start, file: Path) -> None:
    file.chmod(0o644)
    server = start("--password-file", str(file))
    assert str(file) in server.wait_log(" warning secret ")


def test_a_file_that_a_group_can_read_is_warned_of(start: Start, file: Path) -> None:
    file.chmod(0o640)
    server = start("--password-file", str(file))
    assert str(file) in server.wait_log(" warning secret ")


def test_a_file_of_ones_own_is_not_warned_of(server: Server) -> None:
    server.member("anna", password=SECRET)
    assert " warning " not in server.log()


def test_strikes_and_sessions_are_as_ever(server: Server) -> None:
    room = fresh("room")
    anna = server.member("anna", tls=TRUST, password=SECRET, room=room)
    anna.say("LOUD")
    anna.expect("warning")
    anna.close()
    wait_for(lambda: f"nick={anna.nick} reason=lost" in server.log(), "its end")
    again = server.peer(tls=TRUST)
    again.send("hello", version=1, session=anna.session)
    again.expect_error("password", closes=True)
    again = server.peer(tls=TRUST)
    welcome, _ = again.hello(session=anna.session, password=SECRET)
    assert (welcome["nick"], welcome["strikes"]) == (anna.nick, 1)
