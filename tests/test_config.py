"""Settings: each option with its parser, its default, its complaint in one line."""

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom import __version__, config
from chatroom.config import (
    CommandLine,
    Settings,
    is_open_to_others,
    option_name,
    read_lines,
    read_secret,
)
from chatroom.errors import StartError, UsageError

DEFAULTS = {
    "host": "127.0.0.1",
    "port": "2428",
    "strikes": "2",
    "shout-min-letters": "1",
    "strike-lapse": "0",
    "rate": "10",
    "burst": "50",
    "rate-bytes": "16KiB",
    "burst-bytes": "64KiB",
    "max-clients": "10000",
    "max-clients-per-ip": "256",
    "max-rooms": "1000",
    "hello-timeout": "10",
    "frame-timeout": "30",
    "ping-interval": "30",
    "idle-timeout": "90",
    "max-output": "4MiB",
    "max-output-soft": "1MiB",
    "max-output-total": "128MiB",
    "stall-timeout": "30",
    "keep": "10000",
    "keep-bytes": "16MiB",
    "history": "memory",
    "history-keep": "0",
    "presence-limit": "500",
    "tls-cert": "none",
    "tls-key": "none",
    "tls-only": "",
    "password-file": "none",
    "operator-file": "none",
    "web": "",
    "web-host": "none",
    "metrics-public": "",
    "log-level": "info",
    "log-format": "text",
    "log-file": "none",
}
"""Every option and its default, as one would write it."""
WORDS = (
    *("history", "tls-cert", "tls-key", "tls-only", "password-file", "log-file"),
    *("operator-file", "web", "web-host", "metrics-public"),
)
"""Those without a default that could be written."""
ON = ("web",)
"""Those that are on, and shown by what turns them off."""


def read_settings(argv: Sequence[str]) -> Settings:
    """Return the settings that the command line *argv* asks for."""
    return CommandLine(argv).read()


def complaint(*argv: str) -> str:
    """Return what is said about a command line that is wrong."""
    with pytest.raises(UsageError) as caught:
        read_settings(argv)
    return str(caught.value)


def test_without_options_everything_is_at_its_default() -> None:
    settings = read_settings([])
    assert settings == Settings()


def test_the_options_are_these() -> None:
    assert [option_name(f.name) for f in fields(Settings)] == list(DEFAULTS)


@pytest.mark.parametrize("name", [n for n in DEFAULTS if n not in WORDS])
def test_the_default_as_it_is_shown_is_the_default(name: str) -> None:
    assert read_settings([f"--{name}", DEFAULTS[name]]) == Settings()


def test_help_shows_every_option_with_its_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(["--help"])
    assert caught.value.code == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    for field_ in fields(Settings):
        name, about = option_name(field_.name), field_.metadata
        entry = f"--{'no-' * (name in ON)}{name} {about['help']}"
        if about["parse"] is not None:
            entry = f"--{name} {about['metavar']} {about['help']} (default: "
            entry += DEFAULTS[name] + ")"
        assert entry in shown
        assert about["help"]
    assert "0 is no limit" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(["--version"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown == config.version_line() + "\n"
    assert shown.startswith(f"chatroom {__version__} (Python 3.")


def test_a_flag_can_be_taken_back() -> None:
    tls = ["--tls-cert", "c", "--tls-key", "k"]
    assert not read_settings([*tls, "--tls-only", "--no-tls-only"]).tls_only
    assert not read_settings(["--no-web"]).web
    assert read_settings(["--no-web", "--web"]).web


def test_names_of_the_host_for_browsers() -> None:
    given_ = ["--web-host", "Chat.Example.org.", "--web-host", "chat"]
    assert read_settings(given_).web_host == ("chat.example.org", "chat")
    for wrong in ("", "chat:80", "http://chat", "a b", "chat/", "*", "d\u00e9", "a..b"):
        assert "is not the name of a host" in complaint("--web-host", wrong)


def test_a_settings_file_holds_what_the_table_has(tmp_path: Path) -> None:
    """Every option, numbers as numbers, and the one that comes several times."""
    path = tmp_path / "server.toml"

    def read(text: str) -> dict[str, object]:
        path.write_text(text, encoding="utf-8")
        return config.read_settings_file(str(path), Settings, {}, required=True)

    for name, value in DEFAULTS.items():
        if name not in WORDS:
            ((field_name, found),) = read(f"{name} = '{value}'").items()
            assert found == getattr(Settings(), field_name)
    assert read("host = ['::1', '0.0.0.0']\nport = 99\nrate = 0.5") == {
        "host": ("::1", "0.0.0.0"),
        "port": 99,
        "rate": 0.5,
    }
    assert read("tls-only = true\nmax-output = 5") == {
        "tls_only": True,
        "max_output": 5,
    }
    for wrong in ("port = 1.0", "port = 65536", "host = 1", "log-level = 'loud'"):
        with pytest.raises(UsageError, match="line 1: "):
            read(wrong)


def test_host_may_be_repeated() -> None:
    settings = read_settings(["--host", "::1", "--host=0.0.0.0"])
    assert settings.host == ("::1", "0.0.0.0")
    assert read_settings(["--host", "::1"]).host == ("::1",)


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--port", "0"], "port", 0),
        (["--port", "65535"], "port", 65535),
        (["--strikes", "1"], "strikes", 1),
        (["--shout-min-letters", "0"], "shout_min_letters", 0),
        (["--strike-lapse", "10m"], "strike_lapse", 600.0),
        (["--hello-timeout", "250ms"], "hello_timeout", 0.25),
        (["--idle-timeout", "1.5h"], "idle_timeout", 5400.0),
        (["--frame-timeout", "7"], "frame_timeout", 7.0),
        (["--ping-interval", "7 s"], "ping_interval", 7.0),
        (["--rate", "0.5"], "rate", 0.5),
        (["--rate-bytes", "1.5KiB"], "rate_bytes", 1536),
        (["--keep-bytes", "2g"], "keep_bytes", 2**31),
        (["--max-output", "100b"], "max_output", 100),
        (["--max-output", "3 M"], "max_output", 3 * 2**20),
        (["--max-output", "5k"], "max_output", 5120),
        (["--max-output", "0"], "max_output", 0),
        (["--log-level", "debug"], "log_level", "debug"),
        (["--log-format", "json"], "log_format", "json"),
        (["--log-file", "a b.log"], "log_file", "a b.log"),
    ],
)
def test_good_values(argv: list[str], name: str, value: object) -> None:
    found = getattr(read_settings(argv), name)
    assert found == value
    assert type(found) is type(value)
    assert read_settings([argv[0] + "=" + argv[1]]) == read_settings(argv)


BAD = {
    "port": ["-1", "65536", "x", "", "1.0", "٣", "1_0", " 1", "1" * 30],
    "strikes": ["0", "-1", "x", "", "1.5"],
    "shout-min-letters": ["-1", "x", "1.5"],
    "strike-lapse": ["-1", "x", "", "s", "1d", "inf", "nan", "1e999", "1_0", "1 2"],
    "rate": ["-1", "x", "10s", "nan", "inf", "", "1e999"],
    "burst": ["-1", "1.5", "50KiB", ""],
    "rate-bytes": ["-1", "x", "KiB", "1 TiB", "1e308KiB", "٣", "0x10"],
    "hello-timeout": ["-1", "ten", "-", "1hh"],
    "log-level": ["", "INFO", "loud"],
    "log-format": ["xml", "Text", ""],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in BAD for value in BAD[name]]
)
def test_bad_values_are_one_line(name: str, value: str) -> None:
    told = complaint(f"--{name}={value}")
    assert told.isprintable()
    assert f"--{name}" in told
    assert "see chat-server --help" in told
    assert f"{value!a} is not " in told


@pytest.mark.parametrize(
    "argv",
    [
        ["--no-such-option"],
        ["--no-such-option", "1"],
        ["--max-room", "5"],
        ["--hos", "::1"],
        ["lobby"],
        ["--port"],
        ["--port", "--strikes", "2"],
        ["-p", "1"],
        ["--port", "1\n2"],
        ["--log-level", "\x1b[31mred"],
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(argv: list[str]) -> None:
    told = complaint(*argv)
    assert told.isprintable()
    assert "chat-server --help" in told


@pytest.mark.parametrize("name", ["host", "port", "hello-timeout", "log-level"])
def test_two_dashes_are_no_value(name: str) -> None:
    """Some versions of argparse take them out and leave an empty list."""
    assert complaint(f"--{name}=--").isprintable()


@pytest.mark.parametrize("argv", [["a\nb"], ["--x\ny"], ["\x1b[2J"]])
def test_the_complaint_is_one_line_whatever_it_is_about(argv: list[str]) -> None:
    assert complaint(*argv).isprintable()


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--tls-cert", "c"], "--tls-key"),
        (["--tls-key", "k"], "--tls-cert"),
        (["--tls-only"], "--tls-cert"),
        (["--tls-only", "--tls-key", "k"], "--tls-cert"),
        (["--tls-only=yes", "--tls-cert", "c", "--tls-key", "k"], "--tls-only"),
        (["--tls-cert", "", "--tls-key", "k"], "--tls-cert"),
        (["--password-file", ""], "--password-file"),
    ],
)
def test_options_that_do_not_go_alone(argv: list[str], named: str) -> None:
    assert named in complaint(*argv)


def test_tls_takes_two_files() -> None:
    settings = read_settings(["--tls-cert", "c", "--tls-key", "k", "--tls-only"])
    assert (settings.tls_cert, settings.tls_key, settings.tls_only) == ("c", "k", True)


# -- the file of --config ---------------------------------------------------------


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Where the settings file is to be."""
    return tmp_path / "chat.toml"


def read_both(file: Path, text: str, *argv: str) -> Settings:
    """Return the settings of a file that holds *text*, and of *argv*."""
    file.write_text(text, encoding="utf-8")
    return read_settings(["--config", str(file), *argv])


def complaint_of_both(file: Path, text: str, *argv: str) -> str:
    """Return what is said about them, one line."""
    with pytest.raises(UsageError) as caught:
        read_both(file, text, *argv)
    told = str(caught.value)
    assert told.isprintable()
    return told


def test_the_command_line_is_over_the_file(config_file: Path) -> None:
    text = "port = 99\nstrikes = 3\nhost = ['::1', '::2']\nweb-host = ['a', 'b']\n"
    found = read_both(config_file, text)
    assert (found.port, found.strikes, found.rate) == (99, 3, 10)
    assert (found.host, found.web_host) == (("::1", "::2"), ("a", "b"))
    found = read_both(config_file, text, "--strikes", "4", "--host", "h", "--port=0")
    assert (found.port, found.strikes) == (0, 4)
    assert (found.host, found.web_host) == (("h",), ("a", "b"))
    found = read_both(config_file, "no-web = true\nmetrics-public = true", "--web")
    assert (found.web, found.metrics_public) == (True, True)


def test_an_empty_file_sets_nothing(config_file: Path) -> None:
    assert read_both(config_file, "") == Settings()
    assert read_settings(["--config", "/dev/null"]) == Settings()


def test_a_file_of_an_editor_that_marks_it(config_file: Path) -> None:
    """A byte order mark and other ends of lines, which nobody sees."""
    assert read_both(config_file, "\ufeffport = 99\r\nstrikes = 3\r\n").strikes == 3
    told = complaint_of_both(config_file, "\ufeffport = 99\r\nstrikes = 0\r\n")
    assert ", line 2: strikes" in told


def test_the_line_behind_a_long_list_is_found_at_once(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that reads its file anew stands still for as long as it takes."""
    loads, looked_at = tomllib.loads, 0

    def count(text: str) -> dict[str, Any]:
        nonlocal looked_at
        looked_at += 1
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", count)
    names = '"a.example",\n' * 4000
    told = complaint_of_both(config_file, f"web-host = [\n{names}]\nprot = 1\n")
    assert ", line 4003: " in told
    assert looked_at < 10


def test_where_a_value_comes_from(config_file: Path) -> None:
    config_file.write_text("port = 99\nstrikes = 3", encoding="utf-8")
    line = CommandLine(["--config", str(config_file), "--strikes", "4"])
    line.read()
    assert line.source("port") == str(config_file)
    assert line.source("strikes") == "command line"
    assert line.source("rate") == "default"


def test_the_file_is_read_each_time(config_file: Path) -> None:
    config_file.write_text("port = 99\nstrikes = 3", encoding="utf-8")
    line = CommandLine(["--config", str(config_file), "--strikes", "4"])
    assert line.read().port == 99
    config_file.write_text("rate = 20", encoding="utf-8")
    again = line.read()
    assert (again.port, again.rate, again.strikes) == (2428, 20, 4)
    config_file.write_text("rate = x", encoding="utf-8")
    with pytest.raises(UsageError, match="line 1"):
        line.read()


def test_a_file_that_comes_through_a_pipe_is_read_once() -> None:
    """Whoever read it again would find nothing, or wait for ever."""
    reader, writer = os.pipe()
    os.write(writer, b"strikes = 3\n")
    os.close(writer)
    line = CommandLine(["--config", f"/dev/fd/{reader}"])
    assert [line.read().strikes for _ in range(3)] == [3, 3, 3]
    os.close(reader)


@pytest.mark.parametrize(
    ("text", "number", "named"),
    [
        ("\nprot = 1", 2, "'prot'"),
        ("port = 1\nport = 2", 2, ""),
        ("port = true", 1, "port"),
        ("rate = []", 1, "rate"),
        ("strikes = 0", 1, "strikes"),
        ("log-level = 3", 1, "log-level"),
        ("log_level = 'info'", 1, "'log_level'"),
        ("history = ''", 1, "history"),
        ("x = 1\n[server]\nport = 1", 1, "'x'"),
        ("[server]\nport = 1", 1, "'server'"),
        ("host = []", 1, "host"),
        ("host = ['a', 1]", 1, "host"),
        ("host = [\n'a',\n''\n]", 1, "host"),
        ("tls-only = 'yes'", 1, "tls-only"),
        ("web = true\nno-web = true", 2, "no-web"),
        ("config = 'other.toml'", 1, "'config'"),
        ("check = true", 1, "'check'"),
        ("password = 'sesame'", 1, "password-file"),
        ('password-file = "a\\u0000b"', 1, "U+0000"),
        ("port =", 1, ""),
        ("\n\nport 99", 3, ""),
        ("port = 9" + "9" * 5000, None, "too large"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line(
    config_file: Path, text: str, number: int | None, named: str
) -> None:
    told = complaint_of_both(config_file, text)
    assert told.startswith(ascii(str(config_file)))
    if number is not None:
        assert f", line {number}: " in told
    assert named in told
    assert "sesame" not in told


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        assert f"cannot read '{path}': " in complaint("--config", str(path))
        assert why in complaint("--config", str(path))
    assert "--config" in complaint("--config", "")
    assert "--config" in complaint("--config")


@pytest.mark.parametrize(
    ("text", "argv", "told"),
    [
        ("tls-cert = 'c'", [], "{} sets tls-cert, but tls-cert and tls-key go"),
        ("tls-key = 'k'", [], "{} sets tls-key, but tls-cert and tls-key go"),
        ("tls-only = true", [], "{} sets tls-only, but tls-only needs tls-cert and"),
        ("tls-only = true", ["--tls-key", "k"], "{} sets tls-only, but tls-cert and"),
        ("", ["--tls-key", "k"], "--tls-cert and --tls-key go together; see"),
        ("", ["--tls-only"], "--tls-only needs --tls-cert and --tls-key; see"),
    ],
)
def test_what_does_not_go_together_is_told_by_where_it_stands(
    config_file: Path, text: str, argv: list[str], told: str
) -> None:
    expected = told.format(ascii(str(config_file)))
    assert complaint_of_both(config_file, text, *argv).startswith(expected)


def test_both_together_are_enough(config_file: Path) -> None:
    found = read_both(config_file, "tls-cert = 'c'\ntls-only = true", "--tls-key", "k")
    assert (found.tls_cert, found.tls_key, found.tls_only) == ("c", "k", True)
    assert not read_both(config_file, "tls-only = true", "--no-tls-only").tls_only


# -- secrets ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (b"open sesame\n", "open sesame"),
        (b"open sesame", "open sesame"),
        (b"sesame\r\nsecond line\n", "sesame"),
        (b" blanks stay \n", " blanks stay "),
        ("sésame\n".encode(), "sésame"),
        (b"\xef\xbb\xbfsesame\r\n", "sesame"),
        (b"\xef\xbb\xbf" + b"x" * config.MAX_SECRET, "x" * config.MAX_SECRET),
        (b"x" * config.MAX_SECRET, "x" * config.MAX_SECRET),
    ],
)
def test_a_password_is_the_first_line(
    tmp_path: Path, data: bytes, password: str
) -> None:
    path = tmp_path / "password"
    path.write_bytes(data)
    assert read_secret(str(path)) == password


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no password"),
        (b"\nsecond line\n", "no password"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b"x" * (config.MAX_SECRET + 1), "at most"),
        (b"x" * 100_000, "at most"),
        (b"\xef\xbb\xbf\n", "no password"),
        (b"\xef\xbb\xbf" + b"x" * (config.MAX_SECRET + 1), "at most"),
    ],
)
def test_a_file_without_a_password(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(data)
    with pytest.raises(StartError, match=why) as caught:
        read_secret(str(path))
    assert "sesame" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo")
    assert read_lines(str(path)) == ["one", "", "two"]


def test_a_file_that_others_can_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "password"
    path.write_text("sesame", encoding="utf-8")
    for mode, open_ in ((0o600, False), (0o640, True), (0o644, True), (0o604, True)):
        path.chmod(mode)
        assert is_open_to_others(str(path)) is open_
    assert not is_open_to_others(str(tmp_path / "none"))
    # Of another owner: the group is how we read it ourselves.
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    for mode, open_ in ((0o600, False), (0o640, False), (0o644, True)):
        path.chmod(mode)
        assert is_open_to_others(str(path)) is open_


# -- the parsers ------------------------------------------------------------------


@given(st.integers(0, 10**15 - 1))
def test_whole_numbers(value: int) -> None:
    assert config.number(str(value)) == value
    if value:
        assert config.positive(str(value)) == value
    if value <= 65535:
        assert config.port_number(str(value)) == value
    assert config.size(str(min(value, 2**53))) == min(value, 2**53)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "MS", "H", ""]))
def test_times(value: int, unit: str) -> None:
    factor = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}[unit.lower()]
    for space in ("", " "):
        assert config.seconds(f"{value}{space}{unit}") == pytest.approx(value * factor)


@given(
    st.integers(0, 10**6),
    st.sampled_from(["B", "K", "KiB", "M", "MiB", "G", "GiB", "kib", "mIb", ""]),
)
def test_sizes(value: int, unit: str) -> None:
    power = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3}[unit[:1].lower()]
    assert config.size(f"{value}{unit}") == value * 1024**power


@given(st.text(max_size=8))
def test_whatever_is_written_is_understood_or_refused(text: str) -> None:
    parsers = (
        config.number,
        config.positive,
        config.port_number,
        config.seconds,
        config.rate,
        config.size,
        config.one_of("a", "b"),
    )
    for parse in parsers:
        try:
            value = parse(text)
        except ValueError as wrong:
            assert str(wrong).isprintable()
        else:
            assert value in ("a", "b") or float(value) >= 0


def test_no_limit_has_a_default_of_nothing() -> None:
    """Each number that bounds something does bound it, unless one asks for 0."""
    unbounded = {"strike_lapse", "history_keep"}
    for field_ in fields(Settings):
        default: object = field_.default
        if isinstance(default, bool) or field_.name in unbounded:
            continue
        if isinstance(default, int | float):
            assert default > 0
