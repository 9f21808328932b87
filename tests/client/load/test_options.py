"""What the load test's command line takes, and what it refuses."""

import pytest

from chatroom.client.load.options import Options, read_options
from chatroom.errors import UsageError


def test_nothing_given_is_a_steady_run_against_a_server_of_its_own() -> None:
    """The defaults of the help are those of the class."""
    assert read_options([]) == Options()


def test_options_are_read() -> None:
    """Units are those of the server's options, words those of a shell."""
    options = read_options(
        ["--scenario", "flat-out", "--clients", "50", "--talkers", "5"]
        + ["--duration", "1m", "--size", "1KiB", "--in-flight", "9", "--json"]
        + ["--server-args", "--strikes 3 --log-level info"]
    )
    assert (options.clients, options.talkers, options.in_flight) == (50, 5, 9)
    assert (options.duration, options.size, options.json) == (60.0, 1024, True)
    assert options.server_args == ("--strikes", "3", "--log-level", "info")


@pytest.mark.parametrize(
    ("argv", "rooms", "talkers"),
    [
        ("--scenario rooms", 20, 20),
        ("--scenario rooms --rooms 50", 50, 50),
        ("--scenario rooms --clients 4", 4, 4),
        ("--clients 4", 1, 4),
        ("--rooms 3", 3, 10),
    ],
)
def test_rooms_and_talkers_follow_from_the_rest(
    argv: str, rooms: int, talkers: int
) -> None:
    """Somebody talks in each of many rooms; nobody talks who is not there."""
    options = read_options(argv.split())
    assert (options.rooms, options.talkers) == (rooms, talkers)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--scenario dance", "--scenario"),
        ("--clients 0", "1 or more"),
        ("--clients 5 --talkers 6", "6 talkers"),
        ("--clients 5 --rooms 6", "6 rooms"),
        ("--messages 5 --duration 6", "two ends"),
        ("--size 5", "12 to 4000"),
        ("--size 5000", "12 to 4000"),
        ("--rate 0", "above 0"),
        ("--slow-share 1", "below 1"),
        ("--slow-share x", "below 1"),
        ("--pid 1", "--pid"),
        ("localhost --server-args x", "not started"),
        ("localhost:0", "1 to 65535"),
        ("--duration soon", "a time"),
        ("--in-flight -1", "--in-flight"),
        ("--unknown", "--unknown"),
        ("one two", "two"),
    ],
)
def test_what_cannot_be_is_refused(argv: str, words: str) -> None:
    """One line that names it."""
    with pytest.raises(UsageError, match=words):
        read_options(argv.split())


def test_server_args_are_words_of_a_shell() -> None:
    """A quote that is not closed is no words."""
    with pytest.raises(UsageError, match="as a shell"):
        read_options(["--server-args", "'"])
