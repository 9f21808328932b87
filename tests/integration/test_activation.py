"""Under a service manager: on sockets that it holds, telling it how things stand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.manager import Manager
from tests.support.peer import Peer
from tests.support.server import ROOT, START, command, hand_over


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """One that holds a port of this machine."""
    with Manager(tmp_path) as one:
        yield one


# -- sockets ---------------------------------------------------------------------


def test_it_listens_where_it_is_told(manager: Manager) -> None:
    """And nowhere else, whatever its options say."""
    server = manager.start("--port", "1", "--host", "192.0.2.1")
    assert server.addresses == [manager.address]
    anna, bob = server.crew("anna", "bob")
    anna.say("hello")
    bob.expect("message")
    server.wait_log("start", f"listening={manager.address[0]}:{manager.address[1]}")


def test_it_listens_to_all_that_it_is_handed(tmp_path: Path) -> None:
    with Manager(tmp_path, "127.0.0.1", "127.0.0.2") as manager:
        server = manager.start()
        assert [host for host, _ in server.addresses] == ["127.0.0.1", "127.0.0.2"]
        anna, bob = server.peer(listener=0), server.peer(listener=1)
        anna.hello()
        bob.hello()
        anna.expect("joined", nick=bob.nick)


def test_what_is_meant_for_another_is_ignored(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_FDS", "5")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    server = start()
    server.crew("anna", "bob")


def test_its_own_descriptors_are_in_the_way_of_none(manager: Manager) -> None:
    """Started without stdin, it opens that before it looks for its sockets."""
    numbers = [sock.fileno() for sock in manager.sockets]
    argv = hand_over(manager.sockets, command())
    with subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=numbers,
    ) as process:
        assert process.stdout is not None
        host, port = manager.address
        assert process.stdout.readline() == f"listening on {host}:{port}\n".encode()
        with Peer(manager.address) as peer:
            peer.hello()
        process.terminate()
        assert process.wait(9) == 0


def test_what_is_no_listening_socket_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        done = subprocess.run(
            hand_over([silent], command("--history", str(tmp_path / "history.db"))),
            pass_fds=[silent.fileno()],
            capture_output=True,
            text=True,
            timeout=START,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "chat-server: descriptor 3 (LISTEN_FDS) is not a listening TCP socket\n"
    )


# -- from one server to the next -------------------------------------------------


def test_who_comes_while_none_runs_is_let_in_by_the_next(manager: Manager) -> None:
    with Peer(manager.address) as early:
        early.send("hello", version=1, nick="early")
        first = manager.start()
        early.expect("welcome")
        (anna,) = first.crew("anna", room="lobby")
        first.send_signal(signal.SIGTERM)
        anna.expect("kick", skip=["left"], reason="shutdown")
        # It stands in the queue of the port while the first one still stops.
        with Peer(manager.address) as late:
            late.send("hello", version=1, nick="late")
            early.close()
            first.close_peers()
            assert first.wait() == 0
            second = manager.start()
            late.expect("welcome")
            late.expect("room")
            late.say("here I am")
            late.expect("message")
        assert second.alive


def test_a_client_that_comes_meanwhile_notices_nothing(manager: Manager) -> None:
    first = manager.start()
    assert first.stop() == 0
    host, port = manager.address
    with subprocess.Popen(
        [sys.executable, str(ROOT / "bin" / "chat-client"), f"{host}:{port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        manager.start()
        out, err = client.communicate("good morning\n", timeout=START)
    assert "good morning" in out
    assert "lost" not in err
    assert client.returncode == 0


def test_who_has_just_connected_is_not_turned_away(manager: Manager) -> None:
    """It has a session by then, and comes back with it."""
    first = manager.start("--history", str(manager.folder / "history.db"))
    (anna,) = first.crew("anna")
    late = first.peer()
    first.wait_log("connect", f":{late.sock.getsockname()[1]}")
    first.send_signal(signal.SIGTERM)
    anna.expect("kick", skip=["left"], reason="shutdown")
    welcome, _ = late.hello("late")
    late.expect("kick", reason="shutdown")
    late.expect_closed()
    first.close_peers()
    assert first.wait() == 0
    second = manager.start("--history", str(manager.folder / "history.db"))
    again, _ = second.peer().hello("late", session=welcome["session"])
    assert again["session"] == welcome["session"]


# -- what the manager hears ------------------------------------------------------


def test_the_manager_hears_how_it_goes(manager: Manager) -> None:
    server = manager.start()
    assert "STATUS=members: 0" in manager.hear("READY=1")
    server.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in manager.hear("RELOADING=1")
    manager.hear("READY=1")
    assert server.stop() == 0
    manager.hear("STOPPING=1")
    assert not manager.has_news()


def test_a_server_that_hangs_gives_no_sign_of_life(tmp_path: Path) -> None:
    with Manager(tmp_path, watchdog=0.4) as manager:
        server = manager.start()
        for _ in range(5):
            manager.hear("WATCHDOG=1", timeout=2)
        server.send_signal(signal.SIGSTOP)
        while manager.has_news(0.1):
            manager.hear("")
        assert not manager.has_news(1.0)
        server.send_signal(signal.SIGCONT)
        manager.hear("WATCHDOG=1")


def test_a_manager_that_is_gone_disturbs_nobody(manager: Manager) -> None:
    manager.environ["NOTIFY_SOCKET"] = str(manager.folder / "nobody")
    server = manager.start()
    server.wait_log("warning", "manager", "cannot be told")
    anna, bob = server.crew("anna", "bob")
    anna.say("hello")
    bob.expect("message")
    server.expect_rest()
