"""The client's command line."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.options import (
    Options,
    Server,
    parse_address,
    parse_server,
    read_options,
)
from chatroom.client.settings import lines_file
from chatroom.errors import UsageError


def options(*argv: str) -> Options:
    """What the command line asks for; where lines are kept is told elsewhere."""
    found = read_options(argv)
    assert found.line_history in (None, lines_file())
    return replace(found, line_history=None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("example.org", ("example.org", 2428)),
        ("example.org:99", ("example.org", 99)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("[::1]:99", ("::1", 99)),
        ("[::1]", ("::1", 2428)),
        ("::1", ("::1", 2428)),
        ("fe80::1%eth0", ("fe80::1%eth0", 2428)),
        (":99", ("127.0.0.1", 99)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address
    assert (read_options([text]).host, read_options([text]).port) == address


@pytest.mark.parametrize(
    "text",
    ["", "a:", "a:x", "a:0", "a:65536", "a:-1", "a:+1", "a:١", "[::1", "[::1]99", "[]"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        read_options([text])


LINKS = {
    "chat://example.org": Server("example.org", 2428),
    "chat://example.org/": Server("example.org", 2428),
    "chat://example.org:99/tea": Server("example.org", 99, "tea"),
    "chats://example.org": Server("example.org", 2428, None, True),
    "chats://10.0.0.1:99/a-b_c9": Server("10.0.0.1", 99, "a-b_c9", True),
    "chat://[::1]": Server("::1", 2428),
    "chat://[::1]:99/tea": Server("::1", 99, "tea"),
    "CHATS://Example.org/tea": Server("Example.org", 2428, "tea", True),
}


@pytest.mark.parametrize("link", LINKS)
def test_links(link: str) -> None:
    server = LINKS[link]
    assert parse_server(link) == server
    found = options(link)
    assert (found.host, found.port, found.tls) == (*server[:2], server.tls)
    assert found.room == (server.room or "lobby")


@pytest.mark.parametrize(
    "link",
    [
        *("chat://", "chats:///tea", "chat://:99", "chat://::1", "chat://[::1", "://h"),
        *("http://h", "irc://h/tea", "chat ://h", "chat://ann@h", "chat://ann:pw@h:99"),
        *("chat://h?x", "chat://h#x", "chat://[::1]x:9", "chat://h:1:2", "chat://h]"),
    ],
)
def test_what_is_no_link(link: str) -> None:
    with pytest.raises(UsageError, match=r"is not a link like chat://HOST\[:PORT\]"):
        read_options([link])


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("chat://h:0", "is not an address with a port"),
        ("chat://h:x/tea", "is not an address with a port"),
        ("chat://[]:1", "is not an address like"),
        *(
            (f"chat://h/{room}", "is not a room: ")
            for room in ("Tea", "a/b", "tea/", "/", "a?b", "a#b", "a%20b", "-a", "ä")
        ),
    ],
)
def test_parts_of_links_that_are_wrong(link: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        read_options([link])
    assert str(caught.value).isprintable()


@given(st.text(max_size=20), st.sampled_from(["", "chat://", "chats://h", "chat://h/"]))
def test_whatever_a_server_is_called(text: str, start: str) -> None:
    try:
        server = parse_server(start + text)
    except ValueError as wrong:
        assert str(wrong).isprintable()
    else:
        assert server.host and 0 < server.port < 65536
        assert server.room != ""


@pytest.mark.parametrize("argv", ["--room a chat://h/b", "chat://h/b --room a"])
def test_the_option_is_over_the_link(argv: str) -> None:
    assert options(*argv.split()).room == "a"
    assert options(*argv.split(), "--tls").tls


def test_defaults() -> None:
    expected = Options("127.0.0.1", 2428, None, "lobby", False, give_up=60)
    assert options() == expected == Options()
    assert read_options([]).line_history == lines_file()
    assert read_options(["--no-line-history"]).line_history is None


def test_all_options() -> None:
    argv = "h:1 --nick e\u0301va --room tea --json --give-up 1.5".split()
    assert options(*argv) == Options("h", 1, "éva", "tea", True, give_up=1.5)
    more = "--json-in --plain --bell all --no-hints --ignore bob --ignore=e\u0301va"
    assert options(*more.split()) == Options(
        json_in=True, plain=True, bell="all", hints=False, ignored=("bob", "éva")
    )


@pytest.mark.parametrize("name", ["json", "json-in", "plain", "tls"])
def test_flags_can_be_taken_back(name: str) -> None:
    assert options(f"--{name}", f"--no-{name}") == Options()
    assert options(f"--no-{name}", f"--{name}") != Options()


def test_what_is_on_can_be_taken_back() -> None:
    assert options("--no-hints", "--hints") == Options()
    lines = read_options(["--no-line-history", "--line-history"]).line_history
    assert lines == lines_file()


DIGEST = "0aF9" * 16


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--tls"], Options(tls=True)),
        (["--tls-ca", "f"], Options(tls=True, tls_ca="f")),
        (
            ["--tls-fingerprint", DIGEST],
            Options(tls=True, tls_fingerprint=bytes.fromhex(DIGEST)),
        ),
        (
            ["--tls", "--tls-fingerprint", ":".join(DIGEST.upper())],
            Options(tls=True, tls_fingerprint=bytes.fromhex(DIGEST)),
        ),
        (["--password-file", "f"], Options(password_file="f")),
    ],
)
def test_secrets(argv: list[str], expected: Options) -> None:
    assert options(*argv) == expected


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--tls-fingerprint", DIGEST[1:]], "64 hexadecimal digits"),
        (["--tls-fingerprint", DIGEST + "00"], "64 hexadecimal digits"),
        (["--tls-fingerprint", "x" + DIGEST[1:]], "64 hexadecimal digits"),
        (["--tls-fingerprint", "١" * 64], "64 hexadecimal digits"),
        (["--tls-fingerprint=--"], "--tls-fingerprint"),
        (["--tls-fingerprint", DIGEST, "--tls-ca", "f"], "--tls-ca"),
        (["--tls-ca", ""], "--tls-ca"),
        (["--tls-ca=--"], "--tls-ca"),
        (["--password-file", ""], "--password-file"),
        (["--nick", "two words"], "nick"),
        (["--nick", "\ud800"], "nick"),
        (["--nick", ""], "nick"),
        (["--room", "Tea"], "room"),
        (["--room", ""], "room"),
        (["--give-up", "-1"], "--give-up"),
        (["--give-up", "soon"], "--give-up"),
        (["--bell", "loud"], "one of off, mention, all"),
        (["--ignore", "two words"], "nick"),
        (["--ignore=--"], "--ignore"),
        (["--config", ""], "--config"),
        (["--plain=yes"], "--plain"),
        (["--no-tls", "--tls-ca", "f"], "--no-tls"),
        (["--no-tls", "chats://h"], "--no-tls"),
        (["--no-nick"], "--no-nick"),
        (["--what"], "--what"),
        (["a", "b"], "b"),
        (["--ro", "tea"], "--ro"),
    ],
)
def test_what_is_wrong_is_one_line(argv: list[str], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_options(argv)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--version", ["chatroom ", "Python "]),
        ("--help", ["HOST[:PORT]", "exit codes"]),
    ],
)
def test_what_only_prints(
    option: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read_options([option])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in words)
