"""The command itself: starting, what it prints, its exit codes, and how it stops."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.peer import encode, types
from tests.support.server import ROOT, START, Server, run
from tests.support.waiting import wait_for

# Stopping


@pytest.fixture(scope="module", autouse=True)
def held_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that was told to stop while somebody does not read.

    That takes five seconds; it is started before the other tests of this module and
    looked at behind them.
    """
    with Server("--rate", "0", log=tmp_path_factory.mktemp("held-up") / "log") as one:
        anna = one.member("anna")
        one.member("stalled", rcvbuf=4096)
        anna.expect("joined")
        for _ in range(200):
            anna.say("x" * 4000)
        anna.sync()
        one.send_signal(signal.SIGTERM)
        anna.expect("kick", skip=["left"], reason="shutdown")
        yield one


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_says_so_to_all(start: Start, number: signal.Signals) -> None:
    server = start()
    members = server.crew("anna", "bob", "carl")
    unborn = server.peer()
    server.send_signal(number)
    for peer in members:
        kick = peer.expect("kick", skip=["left"], reason="shutdown")
        assert kick["text"].strip()
        peer.expect_closed()
    unborn.sock.settimeout(5)
    while unborn.sock.recv(4096):
        pass
    server.close_peers()
    assert server.wait() == 0


def test_stopping_with_nobody_there(start: Start) -> None:
    server = start()
    assert server.stop() == 0


def test_what_was_said_before_comes_before_the_end(start: Start) -> None:
    server = start("--rate", "0")
    anna, bob = server.crew("anna", "bob")
    anna.send_all(*(encode("say", text="x" * 1000) for _ in range(500)))
    anna.sync()
    server.send_signal(signal.SIGTERM)
    frames = bob.rest()
    assert types(frames[:500]) == ["message"] * 500
    assert set(types(frames[500:-1])) <= {"left"}
    assert frames[-1].type == "kick"
    assert frames[-1]["reason"] == "shutdown"
    anna.expect("kick", skip=["left"], reason="shutdown")
    anna.expect_closed()
    server.close_peers()
    assert server.wait() == 0


def test_no_new_connection_while_it_stops(start: Start) -> None:
    server = start()
    (anna,) = server.crew("anna")
    server.send_signal(signal.SIGTERM)
    anna.expect("kick", skip=["left"], reason="shutdown")
    anna.expect_closed()
    # Still open on this side, so the server may still be there for some time.
    with pytest.raises((OSError, EOFError)):
        late = server.peer()
        late.send("hello", version=1)
        late.recv()
    server.close_peers()
    assert server.wait() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_it_at_once(
    start: Start, second: signal.Signals
) -> None:
    server = start("--rate", "0")
    anna = server.member("anna")
    stalled = server.member("stalled", rcvbuf=4096)
    anna.expect("joined")
    for _ in range(200):
        anna.say("x" * 4000)
    anna.sync()
    server.send_signal(signal.SIGTERM)
    anna.expect("kick", skip=["left"], reason="shutdown")
    assert server.alive, "it waits for the one who does not read"
    stalled.half_close()
    server.expect_rest(timeout=2)
    server.send_signal(second)
    server.wait(timeout=2)
    stalled.close()


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGHUP,
        signal.SIGPIPE,
        signal.SIGWINCH,
        signal.SIGCONT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGXFSZ,
    ],
)
def test_signals_that_end_nothing(start: Start, number: signal.Signals) -> None:
    server = start()
    anna, bob = server.crew("anna", "bob")
    server.send_signal(number)
    anna.say("still here")
    bob.expect("message")
    server.expect_rest()


def test_stopped_and_continued(start: Start) -> None:
    server = start("--ping-interval", "0.2", "--idle-timeout", "0.6")
    anna = server.member("anna")
    server.send_signal(signal.SIGSTOP)
    with pytest.raises(AssertionError, match="nothing came"):
        anna.recv(timeout=1.0)
    server.send_signal(signal.SIGCONT)
    anna.send("pong")
    anna.say("was I away?")
    anna.expect("message", skip=["ping"])


# Starting


def one_line(result: subprocess.CompletedProcess[str], code: int) -> str:
    """Hold a failed start to its exit code and one line on stderr; give that."""
    assert result.returncode == code, result
    assert result.stdout == ""
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = one_line(run("--port", str(port)), 1)
    assert str(port) in line


def test_nothing_is_announced_where_one_of_two_is_in_use() -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = str(other.getsockname()[1])
        one_line(run("--host", "127.0.0.1", "--host", "127.0.0.2", "--port", port), 1)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "::zz"])
def test_a_host_that_cannot_be(host: str) -> None:
    result = run("--host", host, "--port", "0")
    assert result.returncode in (1, 2)
    one_line(result, result.returncode)


@pytest.mark.parametrize(
    "options",
    [
        ("--no-such-option",),
        ("stray",),
        ("--port",),
        ("--port", "banana"),
        ("--port", "-1"),
        ("--port", "65536"),
        ("--strikes", "0"),
        ("--strikes", "two"),
        ("--shout-min-letters", "-1"),
        ("--strike-lapse", "nan"),
        ("--rate", "-1"),
        ("--rate", "nan"),
        ("--max-clients", "many"),
        ("--hello-timeout", "-1"),
        ("--idle-timeout", "-0.5"),
        ("--max-output", "lots"),
        ("--keep", "-1"),
        ("--log-level", "loud"),
        ("--log-format", "xml"),
    ],
    ids=" ".join,
)
def test_a_bad_option(options: tuple[str, ...]) -> None:
    line = one_line(run(*options), 2)
    assert options[0] in line, "the line names the option"


def test_version() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", result.stdout)
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""


def test_version_is_the_one_in_welcome(start: Start) -> None:
    found = re.search(r"\d+\.\d+\.\d+\S*", run("--version").stdout)
    assert found
    welcome, _ = start().peer().hello()
    assert welcome["server"] == f"chatroom/{found[0]}"


def test_help_names_the_options() -> None:
    result = run("--help")
    assert result.returncode == 0
    for option in (
        "--host", "--port", "--strikes", "--shout-min-letters", "--strike-lapse",
        "--rate", "--burst", "--rate-bytes", "--burst-bytes", "--max-clients",
        "--max-clients-per-ip", "--max-rooms", "--hello-timeout", "--frame-timeout",
        "--ping-interval", "--idle-timeout", "--max-output", "--max-output-soft",
        "--max-output-total", "--stall-timeout", "--keep", "--keep-bytes",
        "--presence-limit", "--log-level", "--log-format", "--log-file",
    ):  # fmt: skip
        assert re.search(rf"{option}\b(?!-)", result.stdout), option


def test_zero_is_no_limit(start: Start) -> None:
    server = start(
        "--rate", "0", "--max-clients", "0", "--max-clients-per-ip", "0",
        "--max-rooms", "0", "--hello-timeout", "0", "--frame-timeout", "0",
        "--ping-interval", "0", "--idle-timeout", "0", "--max-output", "0",
        "--max-output-soft", "0", "--max-output-total", "0", "--stall-timeout", "0",
        "--keep", "0", "--keep-bytes", "0", "--presence-limit", "0",
        "--strike-lapse", "0",
    )  # fmt: skip
    early = server.peer()
    anna, bob = server.crew("anna", "bob")
    half = encode("say", text="hello")
    anna.send_raw(half[:10])
    bob.say("one")
    anna.expect("message", id=1)
    anna.send_raw(half[10:])
    bob.expect("message", id=1)
    bob.expect("message", id=2, text="hello")
    assert len(bob.history()["messages"]) == 2
    anna.expect("message", id=2)
    anna.expect_nothing()
    early.hello()


def test_stdout_holds_that_line_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "stdout"
    with out.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "bin" / "chat-server"), "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: out.read_bytes().endswith(b"\n"), "a line", START)
            process.terminate()
            assert process.wait(9) == 0
        finally:
            process.kill()
            process.wait(5)
    assert re.fullmatch(rb"listening on 127\.0\.0\.1:\d+\n", out.read_bytes())


def test_two_ports_of_its_own_choice(start: Start) -> None:
    assert start().address != start().address


def test_several_hosts(start: Start) -> None:
    server = start("--host", "127.0.0.1", "--host", "127.0.0.2")
    assert [host for host, _ in server.addresses] == ["127.0.0.1", "127.0.0.2"]
    anna, bob = server.peer(listener=0), server.peer(listener=1)
    anna.hello()
    bob.hello()
    anna.expect("joined", nick=bob.nick)
    bob.say("from the other side")
    anna.expect("message")


def test_an_ipv6_host(start: Start) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    server = start("--host", "::1")
    peer = server.peer()
    peer.hello()
    server.wait_log("connect", "::1")


@pytest.mark.parametrize(
    "argv",
    [
        [sys.executable, "bin/chat-server"],
        [str(ROOT / "bin" / "chat-server")],
    ],
    ids=["python", "direct"],
)
def test_how_it_can_be_called(argv: list[str]) -> None:
    result = subprocess.run(
        [*argv, "--version"],
        capture_output=True,
        timeout=START,
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
        check=False,
    )
    assert result.returncode == 0


def test_from_another_directory_with_stdin_closed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        f"exec '{sys.executable}' '{ROOT}/bin/chat-server' --port 0 <&-",
        shell=True,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(b"listening on ")
        process.terminate()
        assert process.wait(9) == 0
    finally:
        process.kill()
        process.wait(5)
        if process.stdout is not None:
            process.stdout.close()


def test_who_does_not_read_holds_the_end_up_for_a_bounded_time(held_up: Server) -> None:
    assert held_up.wait(timeout=9) == 0
