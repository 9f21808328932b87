"""The files of docs/deploy are held to the program: options, paths, times, sizes."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chatroom.config import (
    MAX_CLOSING,
    MAX_UNFINISHED,
    RESERVED_DESCRIPTORS,
    STOP_GRACE,
    TAKEOVER_GRACE,
    CommandLine,
    Settings,
)
from chatroom.net.listener import BACKLOG, SEND_BUFFER
from tests.support.server import Server

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "docs" / "deploy"
HOME = "/opt/chatroom/"
PAGE = (DEPLOY / "README.md").read_text(encoding="utf-8")

Unit = dict[str, list[str]]
"""The values of each name, in their order; names are of one section each."""


def unit(name: str) -> Unit:
    """Read a file of systemd."""
    found: Unit = {}
    for line in (DEPLOY / name).read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


SERVICE = unit("chatroom.service")
SOCKET = unit("chatroom.socket")


def one(of: Unit, key: str) -> str:
    """Return the only value of a name."""
    (value,) = of[key]
    return value


def settings(words: list[str], tmp_path: Path) -> Settings:
    """Return what a server of this command goes by, with the file that we ship."""
    program, *options = words
    assert program == f"{HOME}bin/chat-server"
    toml = tmp_path / "chatroom.toml"
    shutil.copy(ROOT / "docs" / "chatroom.toml", toml)
    shipped = {"/etc/chatroom/chatroom.toml": str(toml)}
    return CommandLine([shipped.get(word, word) for word in options]).read()


# -- the service -----------------------------------------------------------------


def test_service_starts_the_server_with_options_that_there_are(tmp_path: Path) -> None:
    found = settings(shlex.split(one(SERVICE, "ExecStart")), tmp_path)
    folder = f"/var/lib/{one(SERVICE, 'StateDirectory')}"
    assert found == replace(Settings(), history=f"{folder}/history.db")
    assert one(SERVICE, "WorkingDirectory") == folder
    assert one(SERVICE, "StateDirectoryMode") == "0700"


def test_reload_looks_at_the_same_settings_and_then_sends_the_signal() -> None:
    check, signal = SERVICE["ExecReload"]
    assert check == f"{one(SERVICE, 'ExecStart')} --check"
    assert signal == "/bin/kill -HUP $MAINPID"


def test_service_waits_for_what_the_server_says() -> None:
    assert one(SERVICE, "Type") == "notify"
    assert one(SERVICE, "NotifyAccess") == "main"
    assert float(one(SERVICE, "WatchdogSec")) >= 10


def test_service_gives_the_server_time_to_stop() -> None:
    assert one(SERVICE, "KillSignal") == "SIGTERM"
    longest = STOP_GRACE + TAKEOVER_GRACE
    assert float(one(SERVICE, "TimeoutStopSec")) >= 2 * longest
    assert "KillMode" not in SERVICE


def test_what_a_start_cannot_mend_is_not_tried_again() -> None:
    assert one(SERVICE, "Restart") == "on-failure"
    assert one(SERVICE, "RestartPreventExitStatus") == "2", "usage"


def test_descriptors_are_enough_for_all_members() -> None:
    spare = RESERVED_DESCRIPTORS + MAX_UNFINISHED + MAX_CLOSING
    assert int(one(SERVICE, "LimitNOFILE")) >= Settings().max_clients + spare


def test_service_has_no_network_but_that_of_the_socket() -> None:
    assert one(SERVICE, "Requires") == "chatroom.socket"
    assert one(SERVICE, "Also") == "chatroom.socket"
    assert one(SERVICE, "PrivateNetwork") == "yes"
    assert one(SERVICE, "RestrictAddressFamilies") == "AF_UNIX"


def test_user_is_the_one_that_is_made() -> None:
    lines = (DEPLOY / "sysusers.conf").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line and line[0] != "#")
    kind, name, *_, home = shlex.split(line)
    assert kind == "u"
    assert name == one(SERVICE, "User") == one(SERVICE, "Group")
    assert home == one(SERVICE, "WorkingDirectory")


# -- the socket ------------------------------------------------------------------


def test_socket_is_where_the_server_would_listen_by_itself() -> None:
    (host,) = Settings().host
    assert one(SOCKET, "ListenStream") == f"{host}:{Settings().port}"
    assert "Accept" not in SOCKET


def test_socket_has_the_options_that_the_server_sets() -> None:
    assert one(SOCKET, "NoDelay") == "yes"
    assert one(SOCKET, "SendBuffer") == f"{SEND_BUFFER // 1024}K"
    assert int(one(SOCKET, "Backlog")) >= BACKLOG


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """Where there is one to ask; on this machine the program is somewhere else."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    names = ("chatroom.service", "chatroom.socket")
    for name in names:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(HOME, f"{ROOT}/"), encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert complaints == []


# -- the container ---------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Read the Containerfile: the word of each instruction, and the rest of it."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", "").splitlines()
    return [(word, rest.strip()) for word, _, rest in (s.partition(" ") for s in lines)]


CONTAINER = [pair for pair in instructions() if pair[0]]


def rest_of(word: str) -> str:
    """Return the rest of the only instruction of this word."""
    (rest,) = (rest for other, rest in CONTAINER if other == word)
    return rest


def health_check() -> list[str]:
    """Return the command that looks whether it is well."""
    options, _, argv = rest_of("HEALTHCHECK").partition(" CMD ")
    assert "--interval" in options
    command: list[str] = json.loads(argv)
    return command


def test_container_copies_what_there_is_to_where_it_is_started() -> None:
    copied = [rest.split() for word, rest in CONTAINER if word == "COPY"]
    assert copied == [[name, f"{HOME}{name}"] for name in ("chatroom", "bin")]
    assert all((ROOT / name).is_dir() for name, _ in copied)


def test_container_starts_the_server_with_options_that_there_are(
    tmp_path: Path,
) -> None:
    found = settings(json.loads(rest_of("ENTRYPOINT")), tmp_path)
    history = f"{rest_of('VOLUME')}/history.db"
    assert found == replace(Settings(), host=("0.0.0.0",), history=history)
    assert rest_of("EXPOSE") == str(found.port)
    assert rest_of("STOPSIGNAL") == "SIGTERM"


def test_container_runs_as_somebody_who_owns_the_volume_and_nothing_else() -> None:
    user, _, group = rest_of("USER").partition(":")
    assert int(user) and int(group)
    words = [word for word, _ in CONTAINER]
    assert words.index("USER") > max(i for i, w in enumerate(words) if w == "RUN")
    made = ["install", "-d", "-o", user, "-g", group, "-m", "0700", rest_of("VOLUME")]
    assert made in [json.loads(rest) for word, rest in CONTAINER if word == "RUN"]


def test_container_needs_no_shell() -> None:
    for word, rest in CONTAINER:
        if word in ("RUN", "ENTRYPOINT", "CMD"):
            argv = json.loads(rest)
            assert argv[0] not in ("sh", "bash", "/bin/sh")
    assert health_check()[0] == "python3"


def test_health_check_tells_who_is_well(tmp_path: Path) -> None:
    """The same words, with the port of a server of this test."""
    _, option, code = health_check()
    assert code.count("2428") == 1

    def check(port: int) -> int:
        argv = [sys.executable, option, code.replace("2428", str(port))]
        return subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode

    with Server(log=tmp_path / "log") as server:
        port = server.address[1]
        assert check(port) == 0
    assert check(port) != 0
    with Server("--no-web", log=tmp_path / "log") as server:
        assert check(server.address[1]) != 0


# -- the page about them ---------------------------------------------------------


def test_page_tells_of_every_file() -> None:
    files = {path.name for path in DEPLOY.iterdir()} - {"README.md"}
    assert set(re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE)) == files


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_times_that_are_told_are_those_of_the_program(path: Path) -> None:
    """How long a stop takes at most."""
    text = path.read_text(encoding="utf-8")
    longest = max(STOP_GRACE, TAKEOVER_GRACE) + 1
    for told in re.findall(r"(\d+) seconds at most|within (\d+) seconds", text):
        assert int(max(told)) == longest
