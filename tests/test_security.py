"""The page on security: each fault has its row, and each row a test that exists."""

import re
from pathlib import Path

import pytest

from chatroom.config import CommandLine, Settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([A-Z]\d.*?) \| (.*) \|$", PAGE, re.MULTILINE)
NUMBERS = {"N": 16, "P": 14, "R": 10, "U": 12, "T": 10, "W": 14, "C": 9}
"""How many faults there are of each kind."""


def test_every_fault_has_its_row() -> None:
    assert [name for name, _ in ROWS] == [
        f"{kind}{n + 1}" for kind in NUMBERS for n in range(NUMBERS[kind])
    ]


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[name for name, _ in ROWS])
def test_tests_of_a_row_exist(name: str, row: str) -> None:
    """Named by file and function, and by class where there is one."""
    fault, outcome, tests = row.split(" | ")
    assert fault and outcome
    named = re.findall(r"`([\w/]+\.py)((?:::\w+)+)`", tests)
    assert named
    assert tests.count("`") == 2 * len(named)
    for file, path in named:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        *classes, function = path.split("::")[1:]
        for cls in classes:
            _, found, source = source.partition(f"\nclass {cls}")
            assert found, (file, cls)
        indent = "    " if classes else ""
        assert f"\n{indent}def {function}(" in source, (file, function)


def test_the_server_of_the_page_can_be_started_so() -> None:
    """The options of its command line are understood."""
    (line,) = re.findall(r"^\$ bin/chat-server (.*)$", PAGE, re.MULTILINE)
    settings = CommandLine(line.split()).read()
    assert settings.tls_only and settings.password_file
    assert settings != Settings()
