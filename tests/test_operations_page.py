"""docs/operations.md is held to the code: events, texts, figures, sizes.

That its commands run is in ``integration/test_operations.py``.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from chatroom.config import (
    MAX_CLOSING,
    MAX_UNFINISHED,
    RESERVED_DESCRIPTORS,
    CommandLine,
)
from chatroom.server.eventlog import EventLog, Sink
from chatroom.server.parts import memory_line

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TREES = [
    ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "chatroom").rglob("*.py"))
]
FUNCTIONS = [
    node
    for tree in TREES
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef)
]
OF_A_CONNECTION = {"address", "nick"}
"""Fields that ``Connection.note`` adds."""


def section(title: str) -> str:
    """Cut one section out of the page, of whatever depth."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", PAGE, re.MULTILINE)
    assert found, title
    return re.split(rf"^#{{1,{len(found[1])}}} ", PAGE[found.end() :], flags=re.M)[0]


# -- the lines of the log ----------------------------------------------------------


def words(node: ast.expr, function: ast.FunctionDef) -> set[str]:
    """Return what *node* can be; nothing where whoever calls *function* says it."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.IfExp):
        return words(node.body, function) | words(node.orelse, function)
    assert isinstance(node, ast.Name), ast.dump(node)
    found = set[str]()
    for inner in ast.walk(function):
        if isinstance(inner, ast.Assign) and node.id in names(inner.targets):
            found |= words(inner.value, function)
        elif isinstance(inner, ast.For) and isinstance(inner.target, ast.Tuple):
            place = names(inner.target.elts)
            if node.id in place:
                found |= yielded(inner.iter, place.index(node.id))
    return found


def names(nodes: list[ast.expr]) -> list[str]:
    """Return the names among *nodes*."""
    return [node.id if isinstance(node, ast.Name) else "" for node in nodes]


def yielded(call: ast.expr, place: int) -> set[str]:
    """Return the words at a *place* of what the function of *call* yields."""
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    return {
        word
        for function in FUNCTIONS
        if function.name == call.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)
        for word in words(node.value.elts[place], function)
    }


def spread(name: str) -> set[str]:
    """Return the keys of the one dictionary that is called *name*."""
    (found,) = (
        node.value
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and name in names(node.targets)
        and isinstance(node.value, ast.Dict)
    )
    return {str(key.value) for key in found.keys if isinstance(key, ast.Constant)}


def calls() -> Iterator[tuple[ast.Call, ast.FunctionDef]]:
    """Go through all calls that note an event, each with the function it is in."""
    for function in FUNCTIONS:
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or not isinstance(
                node.func, ast.Attribute
            ):
                continue
            if node.func.attr in ("event", "note") and len(node.args) == 2:
                yield node, function


def lines_of_the_code() -> dict[str, set[str]]:
    """Return the fields of each line that the log can have, by its level and name."""
    found = {"info message": fields_of_a_message()}
    for call, function in calls():
        fields = set[str]()
        levels, events = (words(node, function) for node in call.args)
        if not events:
            continue  # Connection.note itself.
        for keyword in call.keywords:
            if keyword.arg is not None:
                fields.add(keyword.arg)
            else:
                assert isinstance(keyword.value, ast.Name)
                fields |= spread(keyword.value.id)
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr == "note":
            fields |= OF_A_CONNECTION
        for level in levels:
            for event in events:
                found.setdefault(f"{level} {event}", set()).update(fields)
    return found


def fields_of_a_message() -> set[str]:
    """Return the fields of the one line that has a method of its own."""
    reader, writer = os.pipe()
    log = EventLog()
    log.add_sink(Sink(writer))
    log.message("192.0.2.7:1", "ann", "lobby", 1, "hi")
    log.close()
    with os.fdopen(reader) as pipe:
        line = pipe.read()
    assert " info message " in line
    return set(re.findall(r" (\w+)=", line))


LINES = lines_of_the_code()


def test_every_line_of_the_log_is_on_the_page() -> None:
    """What asks for something is told with what to do, all else with its fields."""
    asking = re.findall(
        r"^\| `(\w+ \w+)` \| [^|]+ \| [^|]+ \|$",
        section("Every line that asks for something"),
        re.MULTILINE,
    )
    others = re.findall(
        r"^\| `(\w+ \w+)` \| ([^|]+) \| [^|]+ \|$", section("The others"), re.MULTILINE
    )
    assert sorted(asking + [line for line, _ in others]) == sorted(LINES)
    assert {line.split()[0] for line in asking} == {"warning", "error"}
    for line, fields in others:
        assert set(re.findall(r"`(\w+)`", fields)) == LINES[line], line


def test_lines_that_the_page_shows_are_lines_of_the_log() -> None:
    shown = re.findall(
        r"^(?:\S+Z )?((?:debug|info|warning|error) \w+)( \w+=.*)$", PAGE, re.MULTILINE
    )
    assert len(shown) >= 8
    for line, rest in shown:
        named = re.findall(r" (\w+)=", re.sub(r'"[^"]*"', "", rest))
        assert set(named) <= LINES[line], line


# -- texts -------------------------------------------------------------------------


def texts() -> str:
    """Return all that the program can say, the parts of each text in one piece."""
    found = []
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(map(part, node.values)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def part(node: ast.expr) -> str:
    """Return what is fixed of a part of a text."""
    return str(node.value) if isinstance(node, ast.Constant) else "..."


OF_OTHERS = {"unrecognized arguments", "Connection refused"}
"""What the libraries below us say."""


def test_what_the_page_has_the_program_say_is_said() -> None:
    said = texts().replace("port ... is", "port 2428 is")
    tables = section("It does not start"), section("They cannot get in")
    quoted = [
        text
        for table in tables
        for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
        for text in re.findall(r"`([^`]+)`", cell)
    ]
    full = section("It is full")
    quoted += re.findall(r'^\| [^|]*?"([^"]+)"', full, re.MULTILINE)
    assert len(quoted) >= 35
    missing = [text for text in quoted if text not in said and text not in OF_OTHERS]
    assert missing == []


def test_the_page_names_codes_that_there_are() -> None:
    said = texts().splitlines()
    codes = set(re.findall(r"code=([a-z-]+)", PAGE))
    assert len(codes) >= 8
    assert codes <= set(said)


# -- sizes -------------------------------------------------------------------------


def test_the_page_tells_how_much_memory_there_can_be() -> None:
    rows = re.findall(
        r"^\| (?:`(--[^`]+)`|the defaults[^|]*) \| (\d+) MiB \| (\d+) MiB \|$",
        section("How big a machine"),
        re.MULTILINE,
    )
    assert len(rows) == 4
    for options, plain, sealed in rows:
        settings = CommandLine(options.split()).read()
        secured = replace(settings, tls_cert="cert.pem")
        assert memory_line(settings) == f"at most {plain} MiB"
        assert memory_line(secured) == f"at most {sealed} MiB"


def test_the_page_tells_how_many_descriptors_are_needed() -> None:
    spare = RESERVED_DESCRIPTORS + MAX_UNFINISHED + MAX_CLOSING
    assert PAGE.count(f"One a member, and {spare}") == 2


# -- rules for Prometheus ----------------------------------------------------------


def test_the_rules_are_about_figures_that_there_are(tmp_path: Path) -> None:
    (rules,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    kinds = dict(re.findall(r"^\| `(chatroom_\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
    samples = {name for name, kind in kinds.items() if kind == "gauge"}
    for name, kind in kinds.items():
        if kind == "counter":
            samples.add(f"{name}_total")
        elif kind == "histogram":
            samples |= {f"{name}_{what}" for what in ("bucket", "count", "sum")}
    named = set(re.findall(r"chatroom_\w+", rules))
    assert len(named) >= 7
    assert named <= samples
    promtool = shutil.which("promtool")
    if promtool is not None:
        path = tmp_path / "rules.yml"
        path.write_text(rules, encoding="utf-8")
        subprocess.run([promtool, "check", "rules", str(path)], check=True)
