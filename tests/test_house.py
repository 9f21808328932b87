"""The rules of the house: who may import what, and what a checkout looks like.

The import table is the one in docs/architecture.md. A layer that reaches past it
is found here, lazy imports inside functions included.
"""

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "chatroom"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "bin").iterdir())

# What each part may import of this project. `__init__` stands for the names of
# chatroom/__init__.py itself, such as the version; it imports nothing.
EVERYTHING = frozenset(
    "core wire net store server client cli config errors __init__".split()
)
PROJECT: dict[str, frozenset[str]] = {
    "core": frozenset({"errors"}),
    "wire": frozenset({"core", "errors"}),
    "net": frozenset({"errors"}),
    "store": frozenset({"core", "errors"}),
    "client": frozenset({"core", "wire", "net", "config", "errors", "__init__"}),
    "server": EVERYTHING - {"client", "cli"},
    "config": frozenset({"errors", "__init__"}),
    "errors": frozenset(),
    "__init__": frozenset(),
    "cli": EVERYTHING,
    "__main__": frozenset({"cli"}),
}

# The pure layers take time, tokens and bytes as arguments. A list of what cannot
# do I/O is safer than a list of what can; a new entry is a decision.
PURE_LAYERS = frozenset({"core", "wire"})
PURE_LIBRARY = frozenset(
    """
    __future__ abc base64 binascii bisect codecs.utf_8_decode collections contextlib
    copy dataclasses email.utils enum functools hashlib heapq hmac ipaddress itertools
    json math operator re string struct types typing unicodedata
    """.split()
)
PURE_BUILTINS_BANNED = frozenset({"open", "print", "input", "exec", "eval"})

# Elsewhere a list of what is banned is enough.
ONE_THREAD = frozenset(
    "asyncio threading _thread multiprocessing concurrent socketserver".split()
)
BANNED: dict[str, frozenset[str]] = {
    "net": frozenset({"sqlite3"}),
    "store": frozenset({"socket", "selectors", "select"}),
}

# What may lie at the top of the repository beside dot-files.
TOP = frozenset(
    "chatroom bin tests docs Makefile README.md pyproject.toml LICENSE".split()
)
LEFT_BY_TOOLS = re.compile(r"build|dist|__pycache__|.*\.egg-info")


class Import(NamedTuple):
    """One import: its whole dotted name, and where it stands."""

    name: str
    line: int


def part_of(path: Path) -> str:
    """Tell the row of the table that a module stands under."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports_of(source: str, package: str) -> Iterator[Import]:
    """Walk a whole module: imports in functions count as those at its top do.

    `package` is the dotted name that relative imports start from.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                upper = package.split(".")
                upper = upper[: len(upper) - node.level + 1]
                base = ".".join([*upper, base]).rstrip(".")
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno)


def part_imported(name: str) -> str:
    """Tell which part of the project `chatroom.x.y` belongs to.

    `from chatroom import x` is a part where there is one of that name, and else
    a name of chatroom/__init__.py.
    """
    part = [*name.split("."), ""][1]
    known = (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()
    return part if part and known else "__init__"


def breaches(part: str, source: str, package: str = "chatroom") -> list[str]:
    """List what a module of `part` imports or calls that its row forbids."""
    found = []
    for name, line in imports_of(source, package):
        top = name.split(".")[0]
        if top == "chatroom":
            other = part_imported(name)
            if other != part and other not in PROJECT[part]:
                found.append(f"{line}: {part} imports {other}")
        elif top not in sys.stdlib_module_names:
            found.append(f"{line}: {name} is not in the standard library")
        elif top in ONE_THREAD | BANNED.get(part, frozenset()):
            found.append(f"{line}: {part} imports {top}")
        elif part in PURE_LAYERS and not is_pure(name):
            found.append(f"{line}: {part} is pure and imports {name}")
    if part in PURE_LAYERS:
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in PURE_BUILTINS_BANNED:
                    found.append(f"{node.lineno}: {part} is pure and calls {name}")
    return found


def is_pure(name: str) -> bool:
    """Tell whether a name, or a package that it is in, is on the list."""
    upper = accumulate(name.split("."), "{}.{}".format)
    return not PURE_LIBRARY.isdisjoint(upper)


def package_of(path: Path) -> str:
    """Tell the dotted name that relative imports in this file start from."""
    return ".".join(path.relative_to(ROOT).parent.parts)


def name_of(path: Path) -> str:
    """Name a test by its file."""
    return str(path.relative_to(ROOT))


# --- the import table -------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_keeps_to_the_import_table(path: Path) -> None:
    """Layers look down only, and the pure ones do no I/O."""
    source = path.read_text(encoding="utf-8")
    assert breaches(part_of(path), source, package_of(path)) == []


def test_every_part_has_a_row_in_the_import_table() -> None:
    """A new package is a decision about what it may know."""
    assert {part_of(path) for path in MODULES} <= set(PROJECT)


def test_table_in_the_documents_is_this_one() -> None:
    """What the architecture page promises is what is tested here."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", page, re.MULTILINE))
    assert rows.pop("server") == "all of these but `client`"
    listed = {part: set(re.findall(r"`(\w+)`", row)) for part, row in rows.items()}
    packages = ("core", "wire", "net", "store", "client")
    assert listed == {part: PROJECT[part] - {"__init__"} for part in packages}


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("core", "import time"),
        ("core", "from os import path"),
        ("core", "def f():\n    import socket"),
        ("core", "from chatroom.wire import codec"),
        ("core", "from chatroom import config"),
        ("core", "print('x')"),
        ("core", "import email"),
        ("wire", "from chatroom import net"),
        ("wire", "open('x')"),
        ("net", "import chatroom.core.room"),
        ("net", "import sqlite3"),
        ("net", "from ..core import room"),
        ("store", "from selectors import DefaultSelector"),
        ("client", "import chatroom.server"),
        ("server", "from chatroom.client import app"),
        ("server", "import threading"),
        ("server", "from concurrent.futures import ThreadPoolExecutor"),
        ("cli", "import asyncio"),
        ("server", "import requests"),
        ("errors", "from chatroom import core"),
    ],
)
def test_breach_of_the_import_table_is_seen(part: str, source: str) -> None:
    """The checker itself is checked: each of these is one breach."""
    assert len(breaches(part, source, f"chatroom.{part}")) == 1


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("core", "import re, json\nfrom collections.abc import Iterator"),
        ("core", "from email.utils import formatdate"),
        ("core", "from .moderation import step"),
        ("wire", "from chatroom.core.messages import Say"),
        ("wire", "from ..errors import ChatError"),
        ("server", "from chatroom import __version__"),
        ("cli", "def f():\n    from chatroom.server import app"),
    ],
)
def test_allowed_import_is_no_breach(part: str, source: str) -> None:
    """The checker lets through what the table allows."""
    assert breaches(part, source, f"chatroom.{part}") == []


# --- the modules ------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_opens_with_a_docstring(path: Path) -> None:
    """Who opens a file reads first what it is for."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_package_is_marked_as_typed() -> None:
    """Type checkers of others look for this file."""
    assert (PACKAGE / "py.typed").is_file()


# --- the checkout -----------------------------------------------------------


def top_level() -> set[str]:
    """List the names at the top that are, or would be, in the repository."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if listing.returncode == 0:  # it is not for a checkout of another user
            files = listing.stdout.splitlines()
            return {name.split("/")[0] for name in files if (ROOT / name).exists()}
    names = {path.name for path in ROOT.iterdir()}
    return {name for name in names if not LEFT_BY_TOOLS.fullmatch(name)}


def test_nothing_unexpected_lies_at_the_top() -> None:
    """The top of the repository is its table of contents."""
    names = {name for name in top_level() if not name.startswith(".")}
    assert names == TOP


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script_is_executable_and_short(path: Path) -> None:
    """A script finds the package and calls one function of chatroom/cli.py."""
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_mode & stat.S_IXUSR
    assert text.startswith("#!/usr/bin/env python3\n")
    assert len(text.splitlines()) <= 20


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script_asks_for_a_newer_python_in_one_line(path: Path) -> None:
    """On an old Python: what is needed, on stderr, exit 1, and no traceback."""
    pretend = (
        "import runpy, sys\n"
        "sys.version_info = (3, 10, 4, 'final', 0)\n"
        "sys.version = '3.10.4 (main)'\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", pretend, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    expected = f"{path.name} needs Python 3.11 or newer, not 3.10.4"
    assert done.stderr.splitlines() == [expected]


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script_parses_on_an_old_python(path: Path) -> None:
    """Else the line about the version would be a SyntaxError instead."""
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 4))


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script_runs_through_a_link_from_any_folder(path: Path, tmp_path: Path) -> None:
    """People link scripts into ~/bin; the package is still found.

    -S hides what is installed beside this Python, where the package may be too.
    """
    link = tmp_path / "linked"
    link.symlink_to(path)
    done = subprocess.run(
        [sys.executable, "-S", "-E", link, "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+\.\d+\.\d+", done.stdout)


def test_each_script_is_an_installed_command_too() -> None:
    """`pip install .` gives the commands that bin/ has."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["scripts"]) == {path.name for path in SCRIPTS}
    assert project["dependencies"] == []


# --- the Makefile -----------------------------------------------------------

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*args: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run make as from a terminal, not as a child of the `make test` around us."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "ARGS"}
    }
    return subprocess.run(
        ["make", *args],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


def targets() -> set[str]:
    """Read the targets that the Makefile declares as commands."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony
    return set(phony[1].split())


@needs_make
def test_make_alone_lists_every_target_with_a_note() -> None:
    """Who types `make` is told what there is."""
    done = make()
    assert done.returncode == 0
    listed = re.findall(r"^make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert set(listed) == targets()
    assert len(listed) == len(done.stdout.splitlines())


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Give a folder with the Makefile and what it reads, and no environment yet."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


def fake_python(folder: Path, *, fails_on: str) -> Path:
    """Make a python that fails where its arguments hold these words."""
    fake = folder / "fake-python"
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *"{fails_on}"*) exit 1;; esac\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    fake.chmod(0o755)
    return fake


@needs_make
@pytest.mark.parametrize("target", ["test", "lint"])
@pytest.mark.parametrize(
    ("fails_on", "remedy"),
    [("import venv, ensurepip", "apt install python3-venv"), ("version_info", "3.11")],
)
def test_make_says_in_one_line_what_is_missing(
    bare: Path, target: str, fails_on: str, remedy: str
) -> None:
    """Debian ships Python without venv; the remedy is named and nothing is made."""
    fake = fake_python(bare, fails_on=fails_on)
    done = make(target, f"PYTHON={fake}", folder=bare)
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(ours) == 1
    assert remedy in ours[0]
    assert not list(bare.glob(".venv*"))


@needs_make
def test_run_server_passes_its_words_on_and_keeps_the_log(bare: Path) -> None:
    """HOST, PORT and ARGS become options; an exported HOST of the shell does not."""
    (bare / "bin").mkdir()
    (bare / "bin" / "chat-server").write_text("import sys; print(sys.argv[1:])")
    words = [f"PYTHON={sys.executable}", "HOST=::1", "PORT=0", "ARGS=--strikes 3"]
    note, argv = make("run-server", *words, folder=bare).stdout.splitlines()
    assert "history and log are kept in .chatroom/" in note
    assert ast.literal_eval(argv) == (
        ["--host", "::1", "--port", "0"]
        + ["--history", ".chatroom/history.db"]
        + ["--log-file", ".chatroom/server.log", "--strikes", "3"]
    )
    assert (bare / ".chatroom").is_dir()


@needs_make
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["NICK=ann"], ["--nick", "ann"]),
        (["HOST=example.org", "PORT=99"], ["example.org:99"]),
        (["PORT=99", "ARGS=--room tea"], ["--room", "tea", ":99"]),
        (["HOST=::1", "PORT=99"], ["[::1]:99"]),
        (["HOST=example.org"], ["example.org"]),
    ],
)
def test_run_client_passes_its_words_on(
    bare: Path, words: list[str], expected: list[str]
) -> None:
    """HOST and PORT become the one address that the client takes."""
    (bare / "bin").mkdir()
    (bare / "bin" / "chat-client").write_text("import sys; print(sys.argv[1:])")
    done = make("run-client", f"PYTHON={sys.executable}", *words, folder=bare)
    assert ast.literal_eval(done.stdout) == expected


@needs_make
@pytest.mark.parametrize(("code", "made"), [(0, 0), (1, 2), (3, 0)])
def test_run_client_takes_a_kick_for_an_ordinary_end(
    bare: Path, code: int, made: int
) -> None:
    """Exit 3 is a kick: make does not call it an error. A lost connection is one."""
    (bare / "bin").mkdir()
    (bare / "bin" / "chat-client").write_text(f"raise SystemExit({code})")
    done = make("run-client", f"PYTHON={sys.executable}", folder=bare)
    assert done.returncode == made
