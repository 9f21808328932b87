"""What the documents say is so: examples run, names exist, options are listed."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from chatroom.client.options import read_options
from chatroom.core import messages, requests
from chatroom.core.chat import SESSION_ENDS
from tests.support.server import Server

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    """Name a test by its file."""
    return str(path.relative_to(ROOT))


def section(title: str) -> str:
    """Cut one section out of the protocol page."""
    _, _, rest = PROTOCOL.partition(f"\n## {title}\n")
    assert rest, title
    return rest.split("\n## ")[0]


def blocks(language: str, text: str) -> list[str]:
    """Find the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def first_column(text: str) -> list[str]:
    """Read the names in the first column of the tables in a section."""
    return re.findall(r"^\| `([a-z-]+)` \|(?! fields| why)", text, re.MULTILINE)


# --- the protocol page ------------------------------------------------------


def test_hex_example_is_a_frame() -> None:
    """The header says how long the payload is, and the payload is what it says."""
    (block,) = blocks("hex", PROTOCOL)
    header, payload = (
        bytes.fromhex(line.split("  ")[0]) for line in block.splitlines()
    )
    assert int.from_bytes(header, "big") == len(payload)
    assert payload.decode() == block.splitlines()[1].split()[-1]
    assert f"the {len(header + payload)} bytes of a `ping`" in PROTOCOL


def test_json_examples_are_json() -> None:
    """Each line of an example is a frame of a type that the page has in a table."""
    lines = "".join(blocks("json", PROTOCOL)).splitlines()
    known = {
        *first_column(section("3. What a client sends")),
        *first_column(section("4. What the server sends")),
    }
    assert len(lines) >= 8
    assert {json.loads(line)["type"] for line in lines} <= known


def test_every_type_that_the_server_sends_is_in_the_table() -> None:
    """The nouns of the core and the table are one list; a page of history has none."""
    nouns = {noun.type for noun in get_args(messages.Tellable)}
    table, _, _ = section("4. What the server sends").partition("### ")
    assert set(first_column(table)) == nouns | {"history"}


def test_every_request_is_in_the_table() -> None:
    """As many rows as requests; `Invalid` and `Nothing` are the lack of one."""
    rows = first_column(section("3. What a client sends"))
    assert len(set(rows)) == len(get_args(requests.Request)) - 2


def test_errors_and_kicks_of_the_rules_are_in_the_tables() -> None:
    """A code or reason that the code names is explained to whoever may get it."""
    tables = section("4. What the server sends")
    codes = set(first_column(tables.partition("### Errors")[2]))
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "chatroom").rglob("*.py")
    )
    named = set(
        re.findall(
            r"(?:Refused|TryAgain|Error|Invalid|refuse|kick|Kick)"
            r'\(\s*(?:\w+, )?"([a-z-]+)"',
            source,
        )
    )
    assert named >= {"version", "password", "nick-taken", "muted", "no-such-nick"}
    assert named <= codes
    assert set(SESSION_ENDS) <= codes


def test_sections_that_the_code_points_to_exist() -> None:
    """The modules say where on the page their rule stands; the numbers must hold."""
    numbers = set(re.findall(r"^## (\d)\. ", PROTOCOL, re.MULTILINE))
    for path in (ROOT / "chatroom").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        named = set(re.findall(r"protocol\.md,\s+(?:section\s+)?(\d)", source))
        assert named <= numbers, path


# --- the client in the page -------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, str]]:
    """Start the server as a user would; give the host and port that it prints."""
    command = [sys.executable, str(ROOT / "bin" / "chat-server"), "--port", "0"]
    quick = ["--ping-interval", "0.2", "--idle-timeout", "0.6"]
    with subprocess.Popen(
        [*command, *quick],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        words = process.stdout.readline().split()
        assert words[:2] == ["listening", "on"]
        host, _, port = words[2].rpartition(":")
        yield host, port
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Save the client as the page says."""
    (code,) = blocks("python", section("A whole client"))
    assert len(code.splitlines()) <= 26
    path = tmp_path / "talk.py"
    path.write_text(code, encoding="utf-8")
    return path


def start(talk: Path, server: tuple[str, str], nick: str) -> "subprocess.Popen[str]":
    """Run the client of the page."""
    return subprocess.Popen(
        [sys.executable, str(talk), *server, nick],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_client_of_the_page_chats_is_warned_and_kicked(
    talk: Path, server: tuple[str, str]
) -> None:
    """Lines are said; a shout is warned, the next one ends it."""
    with start(talk, server, "ann") as ann:
        out, err = ann.communicate("hello all\n\nLOUD\nsorry\nLOUDER\nnever\n", 20)
    said, warned, sorry, kicked = out.splitlines()
    assert (said, sorry) == ("<ann> hello all", "<ann> sorry")
    assert warned.startswith("*** ")
    assert kicked.startswith("*** ")
    assert (err, ann.returncode) == ("", 0)


def test_client_of_the_page_answers_pings_and_hears_others(
    talk: Path, server: tuple[str, str]
) -> None:
    """Silent for much longer than the idle timeout, it is still there to hear."""
    with start(talk, server, "ann") as ann:
        assert ann.stdin and ann.stdout
        ann.stdin.write("first\n")
        ann.stdin.flush()
        assert ann.stdout.readline() == "<ann> first\n"
        with pytest.raises(subprocess.TimeoutExpired):
            ann.wait(2)  # three idle timeouts
        with start(talk, server, "bob") as bob:
            out, _ = bob.communicate("hello ann\n", 20)
        assert out.startswith("<bob> hello ann\n*** ")
        assert ann.stdout.readline() == "<bob> hello ann\n"
        out, err = ann.communicate(None, 20)  # end of input: it leaves
    assert out.startswith("*** ")
    assert (err, ann.returncode) == ("", 0)


# --- the session in the README ----------------------------------------------


def test_session_of_the_readme_is_what_happens(tmp_path: Path) -> None:
    """Played again, it gives the same log and the same words, times and ports aside."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    with Server(log=tmp_path / "log") as server:
        ann, bob = server.peer(), server.peer()
        ann.hello("ann")
        bob.hello("bob")
        told = []
        for peer, text in (
            (ann, "Hello Bob."),
            (bob, "Hello Ann! Tea?"),
            (bob, "YES OR NO"),
            (bob, "Sorry. The kettle is on."),
            (ann, "On my way."),
        ):
            peer.say(text)
            told += peer.recv_until(lambda frame: frame["type"] != "joined")
            other = bob if peer is ann else ann
            if text != text.upper():
                other.recv_until(lambda frame: frame["type"] == "message")
        bob.say("AT LAST")
        told += bob.rest()
        ann.say("!leave")
        ann.rest()
        server.wait_log(" leave ", "nick=ann")
        log = events(server.log())
    words = [frame["text"] for frame in told if frame["type"] in ("warning", "kick")]
    assert len(words) == 2
    # A screen wraps them.
    shown = " ".join(readme.split())
    assert [text for text in words if text not in shown] == []
    assert len(log) >= 11
    assert events(readme) == log


def events(text: str) -> list[str]:
    """Find the lines of a log between start and stop, each without time and port."""
    lines = re.findall(r"\dZ \w+ (?!start|stop)(\w+ .*)", text)
    return sorted(re.sub(r"(address=[\d.]+):\d+", r"\1", line) for line in lines)


# --- all pages --------------------------------------------------------------


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_files_that_a_page_names_exist(path: Path) -> None:
    """A file that was moved or renamed has to be so in the documents too."""
    text = path.read_text(encoding="utf-8")
    ours = r"(?<![\w./])(?:chatroom|bin|tests|docs)/(?!\d)[\w./-]*\w"
    named = set(re.findall(ours, text))
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_links_of_a_page_lead_somewhere(path: Path) -> None:
    """Links between pages, and to headings, are followed."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        if anchor:
            assert anchor in anchors(page), target


def test_names_of_the_architecture_page_exist() -> None:
    """Classes, methods and constants that the page names are in the code."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    spans = re.findall(r"`([A-Za-z_]+(?:\.[A-Za-z_]+)?)`", page)
    named = {
        word for span in spans if re.search(r"[A-Z_]", span) for word in span.split(".")
    }
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "chatroom").rglob("*.py")
    )
    assert len(named) >= 20
    assert named <= set(re.findall(r"\w+", source))


def test_each_module_of_the_client_has_its_place_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    part = page.partition("\n## The client\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+\.py)`", part))
    modules = {path.name for path in (ROOT / "chatroom" / "client").glob("[a-z]*.py")}
    assert named == modules


def anchors(page: Path) -> set[str]:
    """Make the anchors of a page's headings, as the usual viewers do."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def options_in_readme(script: str) -> dict[str, str]:
    """Read the table of a command: its options and their defaults."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition(f"\n### {script}\n")
    row = r"^\| `(--[a-z-]+)[^`]*` \| ([^|]*?) ?\|"
    return dict(re.findall(row, rest.split("\n#")[0], re.MULTILINE))


def options_in_help(script: str) -> dict[str, str]:
    """Read what the command itself tells of its options and their defaults."""
    done = subprocess.run(
        [sys.executable, ROOT / "bin" / script, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for entry in re.split(r"\n  (?=-)", done.stdout)[1:]:
        names = re.findall(r"--[a-z][a-z-]+", entry.split("  ")[0])
        default = re.search(r"\(default: ([^)]+)\)", " ".join(entry.split()))
        found[names[-1]] = default[1] if default else ""
    del found["--help"]
    return found


def test_settings_of_the_readme_are_understood(tmp_path: Path) -> None:
    """Whoever copies the example has a file that the client takes."""
    (example,) = blocks("toml", (ROOT / "README.md").read_text(encoding="utf-8"))
    path = tmp_path / "client.toml"
    path.write_text(example, encoding="utf-8")
    found = read_options(["--config", str(path)])
    assert (found.nick, found.room, found.ignored) == ("ann", "tea", ("bob", "eve"))


@pytest.mark.parametrize("script", ["chat-server", "chat-client"])
def test_options_of_the_readme_are_those_of_help(script: str) -> None:
    """Every option and default that --help lists, and nothing that is not there."""
    assert options_in_readme(script) == options_in_help(script)
