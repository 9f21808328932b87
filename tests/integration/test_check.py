"""``--check``: what would hold, or what is wrong; and nothing is done."""

import os
import re
import stat
from pathlib import Path

import pytest

from chatroom.config import CommandLine, Settings
from tests.integration.conftest import Start
from tests.support.server import run
from tests.support.tls import CERT, EXPIRED_CERT, KEY, OTHER_KEY

ODD = 'caf\u00e9 "\\\t\U0001f600'
"""A name that has to be written with care."""


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return what is in *folder*, with times and bytes."""
    return {
        str(path): (
            path.stat().st_mtime_ns,
            path.read_bytes() if stat.S_ISREG(path.stat().st_mode) else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def check(*options: str) -> list[str]:
    """Return the lines that ``--check`` tells of *options*, which are good."""
    done = run("--check", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    return done.stdout.splitlines()


def refused(code: int, *options: str) -> str:
    """Return the one line about *options*; a start says the same."""
    told = []
    for more in (("--check",), ()):
        done = run(*more, *options)
        assert (done.returncode, done.stdout) == (code, "")
        (line,) = done.stderr.splitlines()
        told.append(line)
    assert told[0] == told[1]
    return told[0]


def test_every_setting_with_its_value_and_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "chat.toml"
    path.write_text("port = 99\nstrikes = 3\n", encoding="utf-8")
    lines = check("--config", str(path), "--strikes", "4")
    told = {line.split()[0]: line for line in lines}
    assert re.fullmatch(rf"port = 99 +# {path}", told["port"])
    assert re.fullmatch(r"strikes = 4 +# command line", told["strikes"])
    assert re.fullmatch(r"max-output = \"4MiB\" +# default", told["max-output"])
    assert re.fullmatch(r"#history: memory +# default", told["#history:"])
    assert re.fullmatch(r"# memory: at most \d+ MiB", lines[-1])


def test_without_a_bound_it_says_so() -> None:
    assert "# memory: without a bound" in check("--max-rooms", "0")


def test_what_it_tells_is_a_settings_file(tmp_path: Path) -> None:
    odd = tmp_path / ODD
    odd.write_text("sesame\n", encoding="utf-8")
    odd.chmod(0o600)
    options = [
        *("--host", "127.0.0.1", "--host", "::1", "--port", "0", "--rate", "0.001"),
        *("--strike-lapse", "90.5", "--max-output", "1000", "--keep-bytes", "3g"),
        *("--password-file", str(odd), "--no-web", "--metrics-public"),
        *("--tls-cert", CERT, "--tls-key", KEY, "--tls-only", "--web-host", "a.b"),
        *("--history", str(tmp_path / "h.db"), "--log-file", str(tmp_path / "log")),
        *("--log-level", "debug", "--log-format", "json", "--max-clients", "7"),
    ]
    path = tmp_path / "told.toml"
    path.write_text("\n".join(check(*options)), encoding="utf-8")
    found = CommandLine(["--config", str(path)]).read()
    assert found == CommandLine(options).read() != Settings()


def test_nothing_is_made_or_changed(tmp_path: Path) -> None:
    before = listing(tmp_path)
    check("--history", str(tmp_path / "h.db"), "--log-file", str(tmp_path / "log"))
    assert listing(tmp_path) == before == {}


def test_it_is_in_no_servers_way(start: Start, tmp_path: Path) -> None:
    """Which has the history, the log and the port."""
    history, log = tmp_path / "h.db", tmp_path / "log"
    options = ("--history", str(history), "--log-file", str(log))
    server = start(*options)
    ann = server.member("ann")
    ann.say("hello")
    ann.sync()
    server.wait_log("message")
    before = listing(tmp_path)
    check(*options, "--port", str(server.address[1]))
    after = listing(tmp_path)
    for path in set(before) | set(after):
        if not path.endswith("-shm"):
            assert after[path] == before[path], path
    ann.say("still here")
    ann.expect("message", text="still here")


def test_what_a_start_would_refuse(tmp_path: Path) -> None:
    missing, empty = str(tmp_path / "none" / "x"), tmp_path / "empty"
    empty.touch()
    other = tmp_path / "other.toml"
    other.write_text("x", encoding="utf-8")
    assert "prot" in refused(2, "--prot", "1")
    assert "line 1" in refused(2, "--config", str(other))
    assert missing in refused(2, "--config", missing)
    assert "--tls-key" in refused(2, "--tls-cert", CERT)
    assert missing in refused(1, "--password-file", missing)
    assert str(empty) in refused(1, "--password-file", str(empty))
    assert "no pair" in refused(1, "--tls-cert", CERT, "--tls-key", OTHER_KEY)
    assert missing in refused(1, "--log-file", missing)
    assert "no folder" in refused(1, "--history", missing)
    assert "not a history" in refused(1, "--history", str(other), "--port", "0")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fifo = str(tmp_path / "fifo")
    assert "not a file" in refused(1, "--tls-cert", fifo, "--tls-key", KEY)
    assert "not a file" in refused(1, "--history", fifo)


def test_what_is_doubtful_is_told(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("sesame\n", encoding="utf-8")
    path.chmod(0o644)
    lines = check(
        *("--password-file", str(path), "--tls-cert", EXPIRED_CERT, "--tls-key", KEY)
    )
    warnings = [line for line in lines if line.startswith("# warning: ")]
    assert len(warnings) == 2
    assert str(path) in warnings[0] and "chmod 600" in warnings[0]
    assert "expired" in warnings[1]
    assert not any("sesame" in line for line in lines)


def test_what_the_descriptors_allow_is_what_holds() -> None:
    lines = check("--max-clients", "100000000")
    (set_,) = (line for line in lines if line.startswith("max-clients = "))
    assert "100000000" not in set_
    assert "100000000 members asked for" in lines[-1]


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_is_more(option: str) -> None:
    done = run("--check", option)
    assert done.returncode == 0
    assert "# default" not in done.stdout
