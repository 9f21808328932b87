"""The commands: exit codes, one line for what is wrong, and odd ways to be started."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chatroom import __version__, cli
from chatroom.errors import BadPeer, ChatroomError, ConnectError, StartError, UsageError

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0


def run(
    *args: str, command: tuple[str, ...] = ("-m", "chatroom"), shell: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; *shell* is what a shell does to its files first."""
    words = [sys.executable, *command, *args]
    if shell:
        words = ["sh", "-c", f'exec "$@" {shell}', "sh", *words]
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


# -- the version -----------------------------------------------------------------


def test_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(
        rf"chatroom {re.escape(__version__)} \(Python 3\.\d+\.\d+\)\n", done.stdout
    )
    assert done.stderr == ""


def test_help_names_every_option() -> None:
    done = run("--help")
    assert done.returncode == 0
    from dataclasses import fields

    from chatroom.config import Settings, option_name

    for field in fields(Settings):
        taken_back = "no-" if field.default is True else ""
        assert f"--{taken_back}{option_name(field.name)} " in done.stdout


# -- exit codes ------------------------------------------------------------------


def fail_with(error: BaseException) -> Callable[[], int]:
    """Return something to run that raises *error*."""

    def call() -> int:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no such option"), 2),
        (StartError("the port is taken"), 1),
        (ConnectError("nobody there"), 1),
        (BadPeer("that is no chat"), 1),
        (ChatroomError("something else"), 1),
    ],
)
def test_each_error_has_its_exit_code_and_is_one_line(
    error: ChatroomError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._guarded("chat-x", fail_with(error)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"chat-x: {error}\n"


def test_an_interrupt_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._guarded("chat-x", fail_with(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == ""


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        cli._guarded("chat-x", fail_with(ZeroDivisionError()))


def test_what_a_command_returns_is_passed_on() -> None:
    assert cli._guarded("chat-x", lambda: 3) == 3


class Full(io.StringIO):
    """A stderr that takes nothing."""

    def write(self, text: str) -> int:
        raise OSError("No space left on device")


def test_where_nobody_reads_the_complaint_the_code_still_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    assert cli._guarded("chat-x", fail_with(UsageError("no"))) == 2


BAD = [
    ["--no-such-option"],
    ["extra"],
    ["--port", "65536"],
    ["--port", "-1"],
    ["--port", "0x10"],
    ["--port", "1_0"],
    ["--port", "\u0663"],
    ["--port", ""],
    ["--port"],
    ["--strikes", "0"],
    ["--rate", "nan"],
    ["--rate", "inf"],
    ["--rate", "-1"],
    ["--max-output", "1 X"],
    ["--hello-timeout", "1e999"],
    ["--log-level", "loud"],
    ["--log-format", "xml\nand more"],
    ["--max-clients", "9" * 30],
    ["--por", "1"],
]


@pytest.mark.parametrize("argv", BAD, ids=" ".join)
def test_bad_options_are_one_line_and_exit_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.server(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("chat-server: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert err[:-1].isprintable()


def test_a_port_in_use_is_one_line_and_exit_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"chat-server: port {port} is in use")


def test_a_log_file_that_cannot_be_is_one_line_and_exit_1(tmp_path: Path) -> None:
    done = run("--port", "0", "--log-file", str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("chat-server: cannot write the log file")


def test_the_client_without_a_server_is_one_line_and_exit_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = run(f"127.0.0.1:{port}", command=("bin/chat-client",), shell="< /dev/null")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


# -- standard files --------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "<&- 2>&-"])
def test_closed_standard_files_keep_the_exit_code(closed: str) -> None:
    done = run("--port", "no", shell=closed)
    assert done.returncode == 2
    assert done.stdout == ""
    if "2>" not in closed:
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_with_closed_standard_files_the_version_is_no_failure(closed: str) -> None:
    done = run("--version", shell=closed)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_socket_never_gets_the_number_of_a_standard_file(
    closed: str, tmp_path: Path
) -> None:
    # What is written to stdout or stderr would be sent to a client.
    probe = tmp_path / "probe.py"
    note = tmp_path / "note"
    probe.write_text(
        "import os, socket, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from chatroom import cli\n"
        "def look():\n"
        "    with socket.socket() as sock:\n"
        "        open(sys.argv[2], 'w').write(str(sock.fileno()))\n"
        "    return 0\n"
        "sys.exit(cli._guarded('x', look))\n"
    )
    done = run(str(ROOT), str(note), command=(str(probe),), shell=closed)
    assert done.returncode == 0
    assert int(note.read_text()) > 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "> /dev/full"])
def test_a_server_with_closed_files_serves_and_stops(
    closed: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    words = [sys.executable, "-m", "chatroom", "--port", "0", "--log-file", str(log)]
    read, write = os.pipe()
    server = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=write,
    )
    os.close(write)
    try:
        with os.fdopen(read) as stderr:
            start = stderr.readline()
            found = re.search(r"listening=127\.0\.0\.1:(\d+)", start)
            assert found, start
            with socket.create_connection(("127.0.0.1", int(found[1]))) as sock:
                sock.settimeout(PATIENCE)
                sock.sendall(b'\0\0\0\x0f{"type":"ping"}')
                assert b"hello-expected" in sock.recv(1000)
            server.terminate()
            rest = stderr.read()
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()
        server.wait()
    assert "Traceback" not in rest
    assert "Exception ignored" not in rest
    assert " stop " in log.read_text()
