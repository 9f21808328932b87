"""SIGHUP from outside: a good file, which nobody notices, and a broken one."""

import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.peer import ids, texts
from tests.support.server import Server
from tests.support.tls import CERT, KEY, OTHER_CERT, OTHER_KEY, trusting
from tests.support.waiting import fresh, wait_for
from tests.support.web import WebPeer

TRUST = trusting()


class Config:
    """A settings file, and the certificate and password that it names."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "chat.toml"
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.password = folder / "password"
        self.log = folder / "chat.log"
        self.put_pair(CERT, KEY)
        self.put_password("sesame")
        self.lines = {
            "rate": "0",
            "tls-cert": f"'{self.cert}'",
            "tls-key": f"'{self.key}'",
            "password-file": f"'{self.password}'",
            "log-file": f"'{self.log}'",
        }
        self.write()

    def put_pair(self, cert: str, key: str) -> None:
        """Put another pair in the place of the one before."""
        shutil.copy(cert, self.cert)
        shutil.copy(key, self.key)
        self.key.chmod(0o600)

    def put_password(self, password: str) -> None:
        """Ask for another password."""
        self.password.write_text(f"{password}\n", encoding="utf-8")
        self.password.chmod(0o600)

    def write(self, **changes: str) -> None:
        """Write the file with these settings changed."""
        self.lines |= {name.replace("_", "-"): v for name, v in changes.items()}
        lines = (f"{name} = {value}\n" for name, value in self.lines.items())
        self.path.write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A settings file that is good."""
    return Config(tmp_path)


@pytest.fixture
def server(start: Start, config: Config) -> Server:
    """A server that goes by it."""
    return start("--config", str(config.path))


def hang_up(server: Server, *words: str) -> str:
    """Send SIGHUP, and return the line of the log that follows and holds *words*."""
    before = len(server.log_lines())
    server.send_signal(signal.SIGHUP)
    found: list[str] = []

    def look() -> bool:
        found[:] = [
            line
            for line in server.log_lines()[before:]
            if "reload" in line and all(word in line for word in words)
        ]
        return bool(found)

    wait_for(look, f"a line about a reload with {words}")
    return found[0]


def test_with_a_good_file_nobody_notices(server: Server, config: Config) -> None:
    room = fresh("room")
    anna = server.member("anna", room=room, password="sesame")
    bob = server.member("bob", room=room, password="sesame", tls=TRUST)
    carl = WebPeer(server.address)
    server.peers.append(carl)
    carl.hello(fresh("carl"), room=room, password="sesame")
    for peer in (anna, bob, carl):
        peer.sync()
    config.put_pair(OTHER_CERT, OTHER_KEY)
    config.put_password("barley")
    config.log.rename(config.log.with_suffix(".1"))
    config.write(strikes="9", max_clients="1", keep="2", no_web="true", history="'h'")
    line = hang_up(server, "strikes 2 -> 9")
    for change in ("max-clients", "keep 10000 -> 2", "web true -> false", "password="):
        assert change in line
    server.wait_log(" warning reload ", "waits for a restart: history none -> h")
    server.wait_log(" info certificate ", "loaded anew")
    for number, peer in enumerate((anna, bob, carl)):
        peer.say(f"line {number}")
        for other in (anna, bob, carl):
            other.expect("message", text=f"line {number}")
    for strike in range(1, 9):
        anna.say("LOUD")
        anna.expect("warning", strikes=strike, limit=9)
    assert "line 2" in config.log.read_text()
    assert "line 2" not in config.log.with_suffix(".1").read_text()
    late = server.peer(tls=trusting(OTHER_CERT))
    late.send("hello", version=1, password="barley")
    late.expect_error("full", closes=True)
    config.write(max_clients="10")
    hang_up(server, "max-clients 1 -> 10")
    late = server.peer(tls=trusting(OTHER_CERT))
    late.hello(fresh("late"), password="barley")


BROKEN = {
    "no toml": ("port =", ", line 1: "),
    "unknown": ("# a remark\nprot = 1", ", line 2: there is no setting 'prot'"),
    "wrong type": ("strikes = '5'\nrate = true", ", line 2: rate has to be"),
    "wrong value": ("strikes = 0", ", line 1: strikes: '0' is not"),
    "half a pair": ("tls-key = 'k'", " sets tls-key, but "),
    "no password": ("strikes = 5\npassword-file = 'none'", "cannot read 'none'"),
    "no pair": (f"tls-cert = '{CERT}'\ntls-key = '{OTHER_KEY}'", "are no pair"),
    "no place for a log": ("strikes = 5\nlog-file = '/none/log'", "/none/log"),
    "gone": (None, "No such file"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_changes_nothing_and_says_so(
    server: Server, config: Config, how: str
) -> None:
    anna = server.member("anna", password="sesame")
    text, told = BROKEN[how]
    good = config.path.read_text(encoding="utf-8")
    if text is None:
        config.path.unlink()
    else:
        config.path.write_text(text, encoding="utf-8")
    line = hang_up(server, " error reload ", told)
    assert line.endswith('nothing has changed"')
    anna.say("LOUD")
    anna.expect("warning", limit=2)
    assert sum("reload" in one for one in server.log_lines()) == 1
    server.member("bob", password="sesame", tls=TRUST)
    config.path.write_text(good, encoding="utf-8")
    config.write(strikes="7")
    hang_up(server, " info reload ", "strikes 2 -> 7")
    anna.say("LOUD")
    anna.expect("warning", skip=["joined"], strikes=2, limit=7)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(
    server: Server, config: Config
) -> None:
    config.password.unlink()
    os.mkfifo(config.password)
    hang_up(server, " info reload ")
    server.member("anna", password="sesame")
    config.path.unlink()
    os.mkfifo(config.path)
    hang_up(server, " info reload ")
    server.member("bob", password="sesame")


def test_before_it_listens_it_waits(tmp_path: Path) -> None:
    """A start may be long, and who rotates its log does not know of it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    server = Server("--config", str(path), log=tmp_path / "log")
    with contextlib.ExitStack() as stack:
        stack.callback(server.kill)
        server.launch()
        pipe: list[int] = []

        def is_read() -> bool:
            with contextlib.suppress(OSError):
                pipe.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            return bool(pipe)

        wait_for(is_read, "it reads its settings")
        server.send_signal(signal.SIGHUP)
        os.close(pipe[0])
        server.await_listening()
        server.wait_log(" info reload ", "no setting")
        server.member("anna").sync()
        server.finish()


def test_at_the_end_it_kills_nobody(server: Server) -> None:
    server.send_signal(signal.SIGTERM)
    while server.alive:
        server.send_signal(signal.SIGHUP)
    assert server.wait() == 0


def test_again_and_again_while_they_chat(server: Server, config: Config) -> None:
    """Nothing is lost or doubled, and nothing is left open."""
    room = fresh("room")
    anna, bob = (
        server.member(nick, room=room, password="sesame") for nick in ("anna", "bob")
    )
    anna.expect("joined")
    for number in range(40):
        config.write(
            rate=("0", "500")[number % 2],
            keep=str(number + 5),
            log_format=("'text'", "'json'")[number % 2],
            no_web=("true", "false")[number % 2],
        )
        anna.say(f"line {number}")
        server.send_signal(signal.SIGHUP)
        bob.say(f"and {number}")
    heard = [
        peer.recv_until(lambda frame: frame.get("id") == 80) for peer in (anna, bob)
    ]
    assert ids(heard[0]) == ids(heard[1]) == list(range(1, 81))
    assert sorted(texts(heard[0])) == sorted(
        text for n in range(40) for text in (f"line {n}", f"and {n}")
    )
    assert "error" not in re.sub(r"text=.*", "", server.log())


def test_without_a_file_the_command_line_holds(start: Start, tmp_path: Path) -> None:
    config = Config(tmp_path)
    server = start(
        "--password-file", str(config.password), "--log-file", str(config.log),
        "--tls-cert", str(config.cert), "--tls-key", str(config.key),
    )  # fmt: skip
    anna = server.member("anna", password="sesame")
    config.put_password("barley")
    config.put_pair(OTHER_CERT, OTHER_KEY)
    config.log.unlink()
    line = hang_up(server, " info reload ")
    assert 'changed="no setting" password="another one"' in line
    bob = server.member("bob", password="barley", tls=trusting(OTHER_CERT))
    wait_for(lambda: bob.nick in config.log.read_text(), "bob in the new file")
    anna.say("still here")
    anna.expect("message", skip=["joined"], text="still here")
