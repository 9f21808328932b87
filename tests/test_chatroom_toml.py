"""docs/chatroom.toml: every option of the server with its default, and no other."""

import re
import tomllib
from dataclasses import Field, fields
from pathlib import Path

import pytest

from chatroom.config import CommandLine, Settings, file_name
from chatroom.server.reload import AT_START
from tests.test_docs import options_in_help

PATH = Path(__file__).resolve().parent.parent / "docs" / "chatroom.toml"
TEXT = PATH.read_text(encoding="utf-8")
OF_THE_COMMAND_LINE = {"--config", "--check", "--version"}
"""What asks for the file, or for something else than a server."""
SET = re.findall(r"^([a-z-]+) = ", TEXT, re.MULTILINE)
UNSET = re.findall(r"^#([a-z-]+) = ", TEXT, re.MULTILINE)
"""Those without a default: a line shows what they could be."""


def test_it_has_every_option_of_help_and_no_other() -> None:
    options = set(options_in_help("chat-server")) - OF_THE_COMMAND_LINE
    assert {f"--{name}" for name in SET + UNSET} == options
    assert len(SET + UNSET) == len(options)


def test_the_page_on_operating_says_what_waits() -> None:
    page = (PATH.parent / "operations.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `warning reload`, .*$", page, re.MULTILINE)
    assert set(re.findall("`([a-z-]+)`", row)) == AT_START


def test_it_sets_exactly_the_defaults() -> None:
    line = CommandLine(["--config", str(PATH)])
    assert line.read() == Settings()
    assert set(SET) == {
        file_name(f) for f in fields(Settings) if line.source(f.name) == str(PATH)
    }


def test_a_default_is_written_as_help_writes_it() -> None:
    """Not 4194304, and no other number that comes to the same."""
    shown = options_in_help("chat-server")
    for name, value in tomllib.loads(TEXT).items():
        if type(value) is bool:
            assert value is False
        else:
            first = value[0] if isinstance(value, list) else value
            assert str(first) == shown[f"--{name}"]


def test_those_without_a_default_are_understood_when_they_are_set(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chatroom.toml"
    path.write_text(re.sub(r"^#([a-z-]+ = )", r"\1", TEXT, flags=re.MULTILINE))
    settings = CommandLine(["--config", str(path)]).read()
    at_default = [f for f in fields(Settings) if f.name not in settings_of(UNSET)]
    assert all(getattr(settings, f.name) == f.default for f in at_default)
    for name in settings_of(UNSET):
        assert getattr(settings, name)


def settings_of(names: list[str]) -> set[str]:
    """Return the fields of the options *names*."""
    return {f.name for f in fields(Settings) if file_name(f) in names}


def about(name: str) -> str:
    """Return what the file says of the option *name*: the words above it."""
    before = re.split(rf"^#?{name} = ", TEXT, flags=re.MULTILINE)[0]
    *_, paragraph = before.split("\n\n")
    return paragraph


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_each_is_explained_and_says_whether_it_waits(field: Field[object]) -> None:
    words = about(file_name(field))
    assert len(words.split()) >= 8, words
    waits = re.search(r"Waits\s+(?:# )?for\s+(?:# )?a\s+(?:# )?restart", words)
    assert bool(waits) == (field.name in AT_START)
