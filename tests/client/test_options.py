"""The client's command line."""

import pytest

from chatroom.client.options import Options, parse_address, read_options
from chatroom.errors import UsageError


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


def test_defaults() -> None:
    expected = Options("127.0.0.1", 2428, None, "lobby", False, 60)
    assert read_options([]) == expected == Options()


def test_all_options() -> None:
    argv = "h:1 --nick e\u0301va --room tea --json --give-up 1.5".split()
    assert read_options(argv) == Options("h", 1, "éva", "tea", True, 1.5)


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
    assert read_options(argv) == expected


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
