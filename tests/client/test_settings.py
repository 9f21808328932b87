"""The user's settings file: where it is, what it may hold, what is over it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.options import Options, read_options
from chatroom.client.settings import lines_file, settings_file
from chatroom.config import MAX_SETTINGS_FILE, options_of
from chatroom.errors import UsageError

DIGEST = "0aF9" * 16


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings are to be."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "chatroom" / "client.toml"
    path.parent.mkdir()
    return path


def complaint(*argv: str) -> str:
    """What is said where something is wrong."""
    with pytest.raises(UsageError) as caught:
        read_options(argv)
    assert str(caught.value).isprintable()
    return str(caught.value)


# -- places -----------------------------------------------------------------------


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A home that nobody has furnished."""
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", "/home/ann")
    yield monkeypatch


def test_places_at_home(home: pytest.MonkeyPatch) -> None:
    assert settings_file() == "/home/ann/.config/chatroom/client.toml"
    assert lines_file() == "/home/ann/.local/state/chatroom/lines"


@pytest.mark.parametrize("value", ["", ".", "etc", "~/etc", "../etc"])
def test_a_place_that_is_not_absolute_is_ignored(
    home: pytest.MonkeyPatch, value: str
) -> None:
    home.setenv("XDG_CONFIG_HOME", value)
    home.setenv("XDG_STATE_HOME", value)
    assert settings_file() == "/home/ann/.config/chatroom/client.toml"
    assert lines_file() == "/home/ann/.local/state/chatroom/lines"


def test_places_that_are_named(home: pytest.MonkeyPatch) -> None:
    home.setenv("XDG_CONFIG_HOME", "/a")
    home.setenv("XDG_STATE_HOME", "/b")
    assert settings_file() == "/a/chatroom/client.toml"
    assert lines_file() == "/b/chatroom/lines"


def test_nobody_is_at_home(home: pytest.MonkeyPatch) -> None:
    home.setattr(os.path, "expanduser", lambda path: path)  # As for a user unknown.
    assert settings_file() is lines_file() is None
    assert read_options([]) == Options()


# -- what it holds ----------------------------------------------------------------


SETTINGS = f"""\
# All that there is.
server = "chats://example.org:99/tea"
nick = "e\u0301va"
room = 'den'
json = true
json-in = true
give-up = 1.5
plain = true
bell = "off"
no-hints = true
ignore = [
    "bob",  # he knows why
    "eve",
]
no-line-history = true
tls = true
tls-fingerprint = "{DIGEST}"
password-file = "secret"
"""


def test_everything_has_a_place(file: Path) -> None:
    file.write_text(SETTINGS, encoding="utf-8")
    everything = Options(
        host="example.org",
        port=99,
        nick="éva",
        room="den",
        json=True,
        json_in=True,
        give_up=1.5,
        plain=True,
        bell="off",
        hints=False,
        ignored=("bob", "eve"),
        line_history=None,
        tls=True,
        tls_fingerprint=bytes.fromhex(DIGEST),
        password_file="secret",
    )
    assert read_options([]) == everything
    file.write_text(SETTINGS.replace("\n", "\r\n"), encoding="utf-8")
    assert read_options([]) == everything
    # There is room for one of the two that tell whom to trust.
    assert [name for name in options_of(Options) if name not in SETTINGS] == ["tls-ca"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# nothing\n\n", {}),
        ("give-up = 5", {"give_up": 5.0}),
        ('give-up = "5m"', {"give_up": 300.0}),
        ('ignore = "bob"', {"ignored": ("bob",)}),
        ("ignore = []", {}),
        ("hints = false", {"hints": False}),
        ("hints = true\nno-json = true\nno-tls = true", {}),
        ("no-hints = false", {}),
        ('"nick" = "ann"', {"nick": "ann"}),
        ('"\\u006eick" = """\nann"""', {"nick": "ann"}),
        ('server = "::1"', {"host": "::1"}),
        ('server = "chat://h/tea"', {"host": "h", "room": "tea"}),
        ('server = "chat://h/tea"\nroom = "den"', {"host": "h", "room": "den"}),
        ('server = "chats://h"', {"host": "h", "tls": True}),
        (f'tls-fingerprint = "{DIGEST}"', {"tls": True}),
    ],
)
def test_settings(file: Path, text: str, expected: dict[str, object]) -> None:
    file.write_text(text, encoding="utf-8")
    found = read_options([])
    defaults = {f.name: f.default for f in fields(Options) if f.default is not MISSING}
    defaults |= {"line_history": lines_file(), "tls_fingerprint": found.tls_fingerprint}
    assert {f.name: getattr(found, f.name) for f in fields(found)} == (
        defaults | expected
    )


@pytest.mark.parametrize(
    ("text", "number", "why"),
    [
        ('x = 1\nnick = "ann"', 1, "there is no setting 'x'"),
        ('nick = "ann"\n\n# x = 1\nx = 1', 4, "there is no setting 'x'"),
        ('nick = "ann"\r\n\r\nx = 1\r\n', 3, "there is no setting 'x'"),
        ("ignore = [\n'x',\n]\nx = 1", 4, "there is no setting 'x'"),
        ("'''\n'''=1", 1, "expected '=' after a key in a key/value pair"),
        ("\n'Nick' = 'ann'", 2, "there is no setting 'Nick'"),
        ("'a\\nb' = 1", 1, "there is no setting 'a\\\\nb'"),
        ('"\\u001b" = 1', 1, "there is no setting '\\x1b'"),
        ("host = 'h'", 1, "there is no setting 'host'"),
        ("config = 'f'", 1, "there is no setting 'config'"),
        ("no-nick = true", 1, "there is no setting 'no-nick'"),
        ("\npassword = 'sesame'", 2, "a password does not stand in here: see password"),
        ("[nick]\nx = 1", 1, "nick has to be a string"),
        ("json = true\n[client]\nnick = 'ann'", 2, "there is no setting 'client'"),
        ("nick.x = 1", 1, "nick has to be a string"),
        ("nick = 5", 1, "nick has to be a string"),
        ("nick = true", 1, "nick has to be a string"),
        ("nick = ['ann']", 1, "nick has to be a string"),
        ("nick = 2026-01-01", 1, "nick has to be a string"),
        ("nick = 'two words'", 1, "nick: 'two words' is not a nick: "),
        ("nick = '''\ntwo\nwords'''", 1, "nick: 'two\\nwords' is not a nick: "),
        ("room = 'Tea'", 1, "room: 'Tea' is not a room: "),
        ("json = 1", 1, "json has to be true or false"),
        ("no-hints = 'yes'", 1, "no-hints has to be true or false"),
        ("give-up = true", 1, "give-up has to be a number or a string"),
        ("give-up = -1", 1, "give-up: '-1' is not a time in seconds"),
        ("give-up = nan", 1, "give-up: 'nan' is not a time in seconds"),
        ("give-up = 'soon'", 1, "give-up: 'soon' is not a time in seconds"),
        ("bell = 'loud'", 1, "bell: 'loud' is not one of off, mention, all"),
        ("ignore = ['bob',\n'two words']", 1, "ignore: 'two words' is not a nick: "),
        ("ignore = ['bob', 5]", 1, "ignore has to be a string"),
        ("server = 'chat://h?x'", 1, "server: 'chat://h?x' is not a link like chat"),
        ("tls-ca = ''", 1, "tls-ca: '' is not "),
        ("json = true\nnick", 2, "expected '='"),
        ("nick = 'ann'\nnick = 'bob'\n\n", 2, "cannot overwrite a value"),
        ("\n\nnick = ann\n", 3, "invalid value"),
        ("nick = 'ann' 'bob'\n", 1, "expected newline or end of document"),
        ("\n\x00", 2, "invalid statement"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_number(
    file: Path, text: str, number: int, why: str
) -> None:
    file.write_text(text, encoding="utf-8", newline="")
    told = complaint()
    assert told.startswith(f"'{file}', line {number}: {why}")
    assert "sesame" not in told


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"json = true\n# \xff\n", ", line 2: it is not UTF-8"),
        (b"#" * (MAX_SETTINGS_FILE + 1), " is larger than 65536 bytes"),
        (b"give-up = " + b"9" * 5000, " holds something that is too large"),
        (b"nick = " + b"[" * 30000, " holds something that is too large"),
    ],
)
def test_what_cannot_be_read(file: Path, data: bytes, why: str) -> None:
    file.write_bytes(data)
    assert complaint() == f"'{file}'{why}"


def test_what_contradicts_itself(file: Path) -> None:
    file.write_text(f"tls-ca = 'f'\ntls-fingerprint = '{DIGEST}'")
    assert "tls-ca does not go with tls-fingerprint" in complaint()
    file.write_text("server = 'chats://h'\ntls = false")
    assert "no-tls does not go with what needs TLS" in complaint()


@given(st.text(max_size=80) | st.binary(max_size=80))
def test_whatever_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "whatever.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="replace"))
    try:
        read_options(["--config", str(path)])
    except UsageError as wrong:
        assert str(wrong).isprintable()


NAMES = st.sampled_from([*options_of(Options), "server", "no-json", "x", "password"])
VALUES = st.recursive(
    st.sampled_from(["true", "false", "1", "-1.5", "inf", "''", "'ann'", "1979-05-27"]),
    lambda values: st.lists(values, max_size=3).map(
        lambda v: "[\n" + ",\n".join(v) + "]"
    ),
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_whatever_is_set(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    """What is refused is named with the line that it begins in."""
    path = tmp_path_factory.getbasetemp() / "values.toml"
    statements = [f"{name} = {value}\n" for name, value in values.items()]
    path.write_text("".join(statements))
    try:
        read_options(["--config", str(path)])
    except UsageError as wrong:
        told = str(wrong)
        assert told.isprintable()
        if ", line " not in told:
            assert "does not go with" in told
            return
        number = int(told.partition(", line ")[2].partition(":")[0])
        line = "".join(statements).split("\n")[number - 1]
        named = line.partition(" = ")[0]
        assert named in told
        assert line.startswith(named + " = ")


# -- where it is not, or somewhere else -------------------------------------------


def test_no_file_and_an_empty_one(file: Path, tmp_path: Path) -> None:
    nothing = read_options([])
    file.touch()
    assert read_options([]) == nothing
    file.write_text("json = true")
    assert read_options(["--config", "/dev/null"]) == nothing
    other = tmp_path / "other"
    other.write_text("plain = true")
    found = read_options(["--config", str(other)])
    assert (found.json, found.plain) == (False, True)


def test_a_file_that_was_asked_for_has_to_be_there(tmp_path: Path) -> None:
    name = str(tmp_path / "none")
    assert complaint("--config", name) == (
        f"cannot read '{name}': No such file or directory"
    )


def test_a_place_that_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert read_options([]).nick is None


def test_a_folder(file: Path) -> None:
    file.mkdir()
    assert complaint() == f"cannot read '{file}': Is a directory"


def test_a_file_that_may_not_be_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("json = true")
    file.chmod(0)
    if os.access(file, os.R_OK):  # Whoever runs this may read everything.
        file.unlink()
        file.symlink_to(file)
        assert complaint() == (
            f"cannot read '{file}': Too many levels of symbolic links"
        )
    else:
        assert complaint() == f"cannot read '{file}': Permission denied"
        file.chmod(stat.S_IRUSR)


def test_help_comes_whatever_is_in_it(file: Path) -> None:
    file.write_text("x")
    with pytest.raises(SystemExit) as caught:
        read_options(["--help"])
    assert caught.value.code == 0


# -- what is over it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ("example.org", 99, "den", True)),
        (["--room", "a"], ("example.org", 99, "a", True)),
        (["chat://h"], ("h", 2428, "den", True)),
        (["chat://h/b"], ("h", 2428, "b", True)),
        (["chat://h/b", "--room", "a"], ("h", 2428, "a", True)),
        (["--no-tls"], ("example.org", 99, "den", False)),
        (["--tls-ca", "f"], ("example.org", 99, "den", True)),
    ],
)
def test_the_command_line_is_over_it(
    file: Path, argv: list[str], expected: tuple[str, int, str, bool]
) -> None:
    file.write_text(SETTINGS, encoding="utf-8")
    found = read_options(argv)
    assert (found.host, found.port, found.room, found.tls) == expected
    pinned = found.tls_fingerprint is not None
    assert pinned == (found.tls and found.tls_ca is None)


def test_the_command_line_is_over_all_of_it(file: Path) -> None:
    file.write_text(SETTINGS, encoding="utf-8")
    found = read_options(
        "--nick ann --no-json --no-json-in --give-up 7 --no-plain --bell all --hints "
        "--ignore ann --line-history --password-file other".split()
    )
    assert (found.nick, found.json, found.json_in, found.give_up) == (
        ("ann", False, False, 7.0)
    )
    assert (found.plain, found.bell, found.hints) == (False, "all", True)
    assert found.ignored == ("ann",)
    assert found.line_history == lines_file()
    assert found.password_file == "other"


@pytest.mark.parametrize(
    ("server", "argv", "file_is_taken"),
    [
        ("h", [], True),
        ("h", ["h"], True),
        ("h", ["chats://h:2428/tea"], True),
        ("h", ["other"], False),
        ("h", ["h:1"], False),
        ("127.0.0.1", [":2428"], True),
        (None, [], True),
        (None, ["127.0.0.1"], True),
        (None, ["h"], False),
    ],
)
def test_a_password_is_for_its_own_server(
    file: Path, server: str | None, argv: list[str], file_is_taken: bool
) -> None:
    """A link that somebody was sent does not get the password that lies ready."""
    text = "password-file = 'secret'\n"
    file.write_text(text + (f"server = '{server}'" if server else ""))
    found = read_options(argv)
    assert found.password_file == ("secret" if file_is_taken else None)
    argv = [*argv, "--password-file", "mine"]
    assert read_options(argv).password_file == "mine"
