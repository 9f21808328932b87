"""The client over TLS, and how it comes by a password: the real programs.

A person's terminal is a pseudo-terminal; what it shows is everything that was written
to it, the echo of the terminal included.
"""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.integration.test_client import Piped, Typist, heard, run
from tests.support.server import ROOT, Server
from tests.support.tls import CERT, KEY, OTHER_CERT, trusting
from tests.support.waiting import fresh

SECRET = "open sésame, please"
GUESS = "let me in"
PAIR = ("--tls-cert", CERT, "--tls-key", KEY)
CA = ("--tls-ca", CERT)


def digest(path: str) -> str:
    """The fingerprint of a certificate, as tools write it."""
    der = ssl.PEM_cert_to_DER_cert(Path(path).read_text(encoding="ascii"))
    return sha256(der).digest().hex(":").upper()


@pytest.fixture(scope="module")
def password(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that holds the password."""
    path = tmp_path_factory.mktemp("secret") / "password"
    path.write_text(f"{SECRET}\nnot this\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes TLS and plain text."""
    with Server(*PAIR, log=tmp_path_factory.mktemp("both") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory, password: Path
) -> Iterator[Server]:
    """A server that takes TLS only, and asks for the password."""
    options = (*PAIR, "--tls-only", "--password-file", str(password))
    log = tmp_path_factory.mktemp("strict") / "log"
    with Server(*options, "--log-level", "debug", log=log) as server:
        yield server


def complaint(server: Server | tuple[str, int], *options: str) -> str:
    """Run a client that does not come in; give the line that says why."""
    done = run(server, *options, said="never said\n")
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    return line


# -- who the server is ----------------------------------------------------------


@pytest.mark.parametrize(
    "trust",
    [CA, ("--tls", *CA), ("--tls-fingerprint", digest(CERT))],
    ids=["authority", "both options", "fingerprint"],
)
def test_what_is_said_over_tls_comes_out(both: Server, trust: tuple[str, ...]) -> None:
    nick = fresh("anna")
    done = run(both, *trust, "--nick", nick, said="one\n" + "x" * 4000 + "\n")
    assert done.returncode == 0, done.stderr.decode()
    assert heard(done) == [f">{nick}< one", f">{nick}< " + "x" * 4000]


def test_a_name_is_what_the_certificate_has_to_be_for(both: Server) -> None:
    named = ("localhost", both.address[1])
    assert run(named, *CA).returncode == 0
    # All of 127/8 is this machine, and the certificate names the first of it alone.
    with socket.create_server(("127.0.0.2", 0)) as sock:
        other = ("127.0.0.2", sock.getsockname()[1])
    with Server(
        *PAIR, "--host", other[0], log=both.log_path.with_name("other")
    ) as server:
        line = complaint(server, *CA)
        assert re.search("not to be trusted: .*127.0.0.2.*; see --tls-ca", line)
        pinned = run(server, "--tls-fingerprint", digest(CERT))
        assert pinned.returncode == 0


@pytest.mark.parametrize(
    ("trust", "why"),
    [
        (("--tls",), "not to be trusted: .*; see --tls-ca and --tls-fingerprint"),
        (("--tls-ca", OTHER_CERT), "not to be trusted: .*; see --tls-ca and "),
        (
            ("--tls-fingerprint", digest(OTHER_CERT)),
            f"another one, .*{digest(CERT).replace(':', '').lower()}",
        ),
    ],
    ids=["unknown", "of another authority", "another fingerprint"],
)
def test_a_server_that_is_not_trusted(
    both: Server, trust: tuple[str, ...], why: str
) -> None:
    line = complaint(both, *trust)
    host, port = both.address
    assert line.startswith(f"chat-client: cannot connect to {host}:{port}: ")
    assert re.search(why, line)


def test_a_server_of_plain_text_is_not_talked_to(start: Start) -> None:
    server = start()
    assert "does not seem to speak TLS" in complaint(server, *CA)
    assert "hello" not in server.log()


def test_a_server_that_takes_tls_only_says_so(strict: Server) -> None:
    assert complaint(strict).endswith("takes TLS only (chat-client --tls)")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    nobody = ("127.0.0.1", 1)
    (tmp_path / "empty").touch()
    for name, why in (("missing", "No such file"), ("empty", "")):
        path = str(tmp_path / name)
        assert f"cannot use '{path}': {why}" in complaint(nobody, "--tls-ca", path)
        assert f"'{path}'" in complaint(nobody, "--password-file", path)


def test_it_comes_back_over_tls(start: Start) -> None:
    server = start(*PAIR)
    nick, room = fresh("anna"), fresh("room")
    with Piped(server, *CA, "--nick", nick, "--room", room) as anna:
        server.wait_log("join", nick)
        server.stopped = True
        server.kill()
        server = start(*PAIR, "--port", str(server.address[1]), "--tls-only")
        server.wait_log("join", nick)
        bob = server.member("bob", tls=trusting(), room=room)
        bob.say("welcome back")
        assert anna.process.stdout is not None
        assert b"welcome back" in anna.process.stdout.readline()
        assert anna.process.stdin is not None
        anna.process.stdin.write(b"thank you\n")
        anna.process.stdin.flush()
        bob.expect("message", text="welcome back")
        bob.expect("message", text="thank you")
        anna.end_input()
        code, notices = anna.finish()
    assert code == 0, notices


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_make_cert_prints_two_commands_that_work(tmp_path: Path, host: str) -> None:
    """As they stand, each in a shell: the server is where the client looks for it."""
    if shutil.which("make") is None or shutil.which("openssl") is None:
        pytest.skip("needs make and openssl")
    for name in ("Makefile", "bin", "chatroom"):
        (tmp_path / name).symlink_to(ROOT / name)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as sock:
        port = sock.getsockname()[1]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    clean |= {"PYTHON": sys.executable}
    words = [f"HOST={host}", f"PORT={port}"]

    def run_line(line: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=clean,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    for _ in range(2):  # What was made once is kept.
        made = subprocess.check_output(
            ["make", "cert", *words], cwd=tmp_path, env=clean
        )
    lines = made.decode().splitlines()
    assert [line.split(": ")[0] for line in lines] == ["server", "client"]
    server, client = (line.split(": ", 1)[1] for line in lines)
    assert (tmp_path / ".chatroom" / "key.pem").stat().st_mode & 0o077 == 0
    with run_line(server) as one:
        try:
            assert one.stdout is not None
            assert any(b"listening on" in line for line in one.stdout)
            with run_line(client) as anna:
                said, _ = anna.communicate(b"over TLS\n", timeout=20)
            assert (anna.returncode, said.count(b"over TLS")) == (0, 1)
            log = (tmp_path / ".chatroom" / "server.log").read_text()
            assert "tls-cert" in log and " warning " not in log
        finally:
            os.killpg(one.pid, signal.SIGTERM)
            one.communicate(timeout=20)


# -- the password ---------------------------------------------------------------


def test_a_password_from_a_file(strict: Server, password: Path) -> None:
    nick = fresh("anna")
    options = (*CA, "--nick", nick, "--password-file", str(password))
    done = run(strict, *options, said="hello\n")
    assert (done.returncode, heard(done)) == (0, [f">{nick}< hello"])
    assert SECRET.encode() not in done.stderr


def test_without_it_or_with_a_wrong_one_nobody_comes_in(
    strict: Server, tmp_path: Path
) -> None:
    path = tmp_path / "guess"
    path.write_text(GUESS + "\n")
    assert complaint(strict, *CA).endswith("this room has a password")
    line = complaint(strict, *CA, "--password-file", str(path))
    assert line.endswith("that is not the password")


def test_it_is_not_sent_in_the_open(password: Path) -> None:
    line = complaint(("192.0.2.1", 2428), "--password-file", str(password))
    assert line.endswith("would go over the network in plain text: use --tls")


TERMS = pytest.mark.parametrize("term", ["xterm", "dumb"])


@TERMS
def test_a_person_is_asked_and_nothing_of_it_shows(strict: Server, term: str) -> None:
    nick = fresh("anna")
    with Typist(strict, *CA, "--nick", nick, term=term) as anna:
        anna.see("this room has a password", "password: ")
        anna.type(GUESS + "\r")
        anna.see("that is not the password", "password: ")
        anna.type(SECRET + "\r")
        anna.see("/help tells what you can do")
        if term == "dumb":
            assert anna.settings == anna.before
        anna.type("hello, all\r")
        anna.look(f">{nick}< hello, all")
        anna.type("!leave\r")
        assert anna.wait() == 0
        shown = anna.screen + strict.log()
    # A part of it would be seen as well, and whatever stands between its letters.
    shown = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\s", "", shown)
    for word in ("open", "sésame", "please", "let", "mein"):
        assert word not in shown


@TERMS
@pytest.mark.parametrize("end", ["key", signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_the_question_gives_the_terminal_back(
    strict: Server, term: str, end: str | signal.Signals
) -> None:
    with Typist(strict, *CA, term=term) as anna:
        anna.see("password: ")
        assert anna.settings != anna.before
        if isinstance(end, signal.Signals):
            # Keys reach a terminal in their own time: not before they have is it given
            # back.  A dumb one echoes the end of a line, the other wakes the client.
            slept = anna.slept
            anna.type("half of it" + "\r" * (term == "dumb"))
            anna.read_until(lambda seen: seen or anna.slept > slept)
            os.kill(anna.process.pid, end)
            assert anna.wait() == 128 + end
        else:
            anna.type("\x04")
            assert anna.wait() == 1
            assert "you have not joined the chat" in anna.screen
        assert "half" not in anna.screen
