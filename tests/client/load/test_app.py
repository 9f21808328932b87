"""The load test as a command: what it finds right and wrong, and what it says."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatroom.client.load.app import main
from chatroom.errors import ConnectError, StartError
from tests.support.server import Server

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "bin" / "chat-load"
FEW = ["--clients", "5", "--talkers", "2", "--patience", "2"]


def load(*argv: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, PROGRAM, *argv],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_run_against_its_own_server_is_right() -> None:
    """It starts a server, checks it, reports, and stops it."""
    done = load(*FEW, "--messages", "50", "--rate", "1000")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("checked +50 messages, 250 deliveries", done.stdout)
    assert "latency     p50" in done.stdout
    assert "this tool" in done.stdout


@pytest.mark.parametrize("argv", [["--clients", "none"], ["--messages"], ["a", "b"]])
def test_usage_error_is_one_line_and_exit_2(argv: list[str]) -> None:
    """Nothing is started for what is not understood."""
    done = load(*argv)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["--scenario", "flat-out", "--messages", "500"],
        ["--scenario", "flat-out", "--messages", "50", "--in-flight", "1"],
        ["--scenario", "rooms", "--rooms", "4", "--clients", "12"]
        + ["--talkers", "4", "--messages", "200"],
        ["--scenario", "churn", "--clients", "30", "--duration", "0.5"],
        ["--scenario", "join-storm", "--clients", "40"],
        ["--scenario", "idle", "--duration", "0.5"]
        + ["--server-args", "--ping-interval 0.1"],
        ["--scenario", "slow-readers", "--slow-share", "0.4", "--rate", "2000"]
        + ["--duration", "0.3", "--size", "1000"],
    ],
    ids=lambda argv: " ".join(argv[1:3]),
)
def test_every_scenario_is_right(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In each, everybody gets everything that is said while he is there."""
    assert main([*FEW, *argv, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["scenario"] == argv[1]
    if argv[1] == "idle":
        assert value["pings"] >= 5
    else:
        assert value["deliveries"] >= value["messages"] > 0
    if argv[1] == "churn":
        assert value["changes"] >= 1
    if Path("/proc/self/stat").exists():
        assert value["server_cpu"] is not None
        assert value["memory_joined"] >= value["memory_empty"] > 1 << 20


def test_slow_reader_whom_the_server_lets_go_is_no_violation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """That is how a server protects the others."""
    argv = ["--scenario", "slow-readers", "--slow-share", "0.2", "--rate", "3000"]
    # Far more than others may leave unread where this machine has much to do.
    limits = "--max-output 3MiB --max-output-soft 0"
    size = ["--size", "4000", "--duration", "1", "--server-args", limits]
    assert main([*FEW, *argv, *size, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cut_off"] == 1


def faulty(fault: str) -> str:
    """The command of a server that does one thing wrong."""
    return f"{sys.executable} -m tests.client.load.faulty_server {fault}"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("drop", "client 2 .* got message 7 .* missing"),
        ("reorder", "client 2 .* got message 7 .* missing"),
        ("double", "client 2 .* got message 6 .* before"),
        ("alter", "client 2 .*(6|it was not said like this)"),
        ("gap", "message 7 is missing: the ids have a gap"),
        ("cut", "client 2 .*: (it was disconnected|its connection broke)"),
    ],
)
def test_fault_of_a_server_is_found(
    fault: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, and one line that says who got what."""
    argv = [*FEW, "--messages", "20", "--rate", "2000", "--server", faulty(fault)]
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("chat-load: violation: ")
    assert re.search(words, captured.err)


def test_last_message_that_one_does_not_get_is_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing comes behind it, so patience has to end."""
    argv = [*FEW, "--messages", "5", "--rate", "2000", "--patience", "0.3", "--json"]
    assert main([*argv, "--server", faulty("drop")]) == 1
    captured = capsys.readouterr()
    assert "client 2 (guest-2) in lobby never got message 6" in captured.err
    assert "never got message 6" in json.loads(captured.out)["violation"]


def test_server_with_its_usual_limits_is_right_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is there already, whose rate limit slows us down; in a room apart."""
    log = tmp_path / "log"
    with Server("--burst", "5", "--rate", "100", log=log) as server:
        host, port = server.address
        argv = [f"{host}:{port}", *FEW, "--messages", "30", "--rate", "1000"]
        assert main([*argv, "--pid", str(server.pid)]) == 0
        assert "room=load-" in server.log()
    assert "server   " in capsys.readouterr().out


def test_nobody_there_is_one_line() -> None:
    """A port that nobody listens on."""
    with pytest.raises(ConnectError, match=r"cannot connect to 127\.0\.0\.1:1: "):
        main(["127.0.0.1:1"])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/no/such/program", "cannot start /no/such/program: No such file"),
        (f"{sys.executable} -c 'print(1)'", "did not start: 1"),
        (f"{sys.executable} -m chatroom --port x", "did not start: .* a whole number"),
    ],
)
def test_server_that_does_not_start_is_one_error(command: str, words: str) -> None:
    """What it said is in it."""
    with pytest.raises(StartError, match=words):
        main(["--server", command])


def test_too_many_clients_for_this_machine_are_refused_at_once() -> None:
    """Rather than after thousands of them."""
    with pytest.raises(StartError, match="descriptors"):
        main(["--clients", "999999999"])


def test_interrupt_stops_its_server_too(tmp_path: Path) -> None:
    """Ctrl-C leaves nothing behind."""
    mark = f"--log-file {tmp_path}/server.log"
    with subprocess.Popen(
        [sys.executable, PROGRAM, "--duration", "30", "--server-args", mark],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 10
        while not (tmp_path / "server.log").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started = children.read_text().split() if children.exists() else []
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
    for child in started:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)
