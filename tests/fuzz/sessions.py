"""Good sessions, recorded: what is mutated has to get far into the server at first.

``record`` plays them against a live server by the tests' own client, which checks each
answer, and returns what went over the wire.  Secrets are blanked, since the server
makes them anew at each start: see ``TOKEN``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.peer import Peer

TOKEN = b"a-session-is-put-here."
"""Stands for the secret of a session; as long as one."""
OPERATOR_KEY = "the key of who oversees"
"""What makes an operator, at every server."""
NICK = b"nick-of-the-case"
"""Stands for the nick of who plays it."""


@dataclass(frozen=True)
class Session:
    """What one client sent, frame by frame."""

    name: str
    frames: tuple[bytes, ...]


class Recorder(Peer):
    """A peer that notes what it sends."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address)
        self.sent: list[bytes] = []

    def send_raw(self, data: bytes) -> None:
        """Send these bytes, one frame."""
        self.sent.append(data)
        super().send_raw(data)

    def recorded(self, name: str, token: str = "") -> Session:
        """End it; return what was sent, without the secret *token*."""
        self.close()
        blank = token.encode() or TOKEN
        assert len(blank) == len(TOKEN)
        return Session(name, tuple(frame.replace(blank, TOKEN) for frame in self.sent))


def record(address: tuple[str, int], password: str | None = None) -> list[Session]:
    """Play all sessions against the server at *address*; return them."""
    given: dict[str, object] = {} if password is None else {"password": password}
    found = []
    for name, play in _PLAYS.items():
        with Recorder(address) as peer:
            token = play(peer, given)
            found.append(peer.recorded(name, token or ""))
    return found


def _talk(peer: Recorder, given: dict[str, object]) -> None:
    peer.hello(NICK.decode(), **given)
    for number, text in enumerate(
        ("good morning", "is anybody here?", "中文 😀 é\n\tb")
    ):
        peer.say(text, ref=f"r{number}")
        peer.expect("message", text=text)
    peer.say("no ref")
    peer.expect("message")
    peer.say("!leave")
    peer.expect("kick", reason="leave")


def _whisper(peer: Recorder, given: dict[str, object]) -> None:
    peer.hello(NICK.decode(), room="tea", **given)
    peer.send("whisper", to=NICK.decode(), text="to myself", ref="w1")
    peer.expect("whisper")
    peer.send("whisper", to="nobody-of-that-name", text="psst")
    peer.expect_error("no-such-nick")


def _wander(peer: Recorder, given: dict[str, object]) -> None:
    peer.hello(NICK.decode(), **given)
    for room in ("tea", "coffee-1", "tea", "lobby"):
        peer.send("join", room=room)
        peer.expect("room", room=room)
    peer.send("nick", nick=NICK.decode() + ".b")
    peer.expect("renamed")
    peer.send("nick", nick=NICK.decode())
    peer.expect("renamed")
    peer.send("join", room="No Room")
    peer.expect_error("room-invalid")
    peer.send("leave")
    peer.expect("kick")


def _ask(peer: Recorder, given: dict[str, object]) -> None:
    peer.hello(**given)
    peer.send("who")
    peer.expect("members")
    peer.send("who", after="m")
    peer.expect("members")
    peer.send("rooms")
    peer.expect("rooms")
    peer.send("rooms", after="l")
    peer.expect("rooms")
    peer.history()
    peer.history(after=1, limit=200)
    peer.history(before=3, limit=1)
    peer.send("ping", data="x" * 64)
    peer.expect("pong")
    peer.send("pong")
    peer.send("op", do="kick", nick="x")
    peer.expect_error("not-allowed")


def _shout(peer: Recorder, given: dict[str, object]) -> None:
    peer.hello(NICK.decode(), **given)
    strikes = 0
    while not strikes:
        peer.say("ALL CAPITALS", ref="s")
        frame = peer.recv()
        assert frame.type in ("warning", "kick")
        strikes = frame.type == "kick"


def _come_back(peer: Recorder, given: dict[str, object]) -> str:
    with Peer(peer.sock.getpeername()) as before:
        before.hello("again", **given)
        token = before.session
    peer.hello("again-2", session=token, room="tea", **given)
    peer.say("back again", ref="b")
    peer.expect("message")
    return token


def _clumsy(peer: Recorder, given: dict[str, object]) -> None:
    for nick in ("-", "x" * 33):
        peer.send("hello", version=1, nick=nick, **given)
        peer.expect_error("nick-invalid")
    peer.send("hello", version=1, room="X", **given)
    peer.expect_error("room-invalid")
    peer.hello(**given)
    peer.send("hello", version=1)
    peer.expect_error("already-joined")
    for text in ("", " \n", "a\0b", "a\u202eb", "x" * 4001):
        peer.say(text)
        assert peer.recv()["code"] in ("text-invalid", "text-too-long")
    peer.say("x" * 4000)
    peer.expect("message")


def _paste(peer: Recorder, given: dict[str, object]) -> None:
    peer.hello(NICK.decode(), **given)
    for number in range(9):
        peer.say(f"line {number} of a paste", ref=f"p{number}")
    for _ in range(9):
        peer.expect("message")


def _oversee(peer: Recorder, given: dict[str, object]) -> None:
    """Do what operators do to ann, to some of those who play, and to the room.

    For a second each, as others are to get far; a lock is the watchdog's to try.
    """
    peer.hello(NICK.decode(), room="tea", **given)
    log_in(peer)
    for do in ("mute", "unmute", "ban", "unban", "ban"):
        peer.send("op", do=do, nick="ann", seconds=1, reason="why not?")
        peer.expect("op", do=do)
    for do in ("kick", "pardon"):
        peer.send("op", do=do, nick="nobody", reason="x")
        peer.expect_error("no-such-nick")
    peer.send("op", do="ban", address="::ffff:127.0.1.64/124", seconds=1)
    peer.expect("op", do="ban")
    peer.send("op", do="bans", after="ann")
    peer.expect("op", do="bans")
    for topic in ("tea time", ""):
        peer.send("op", do="topic", topic=topic)
        peer.expect("topic", topic=topic)
        peer.expect("op", do="topic")
    peer.send("op", do="kick", nick="ann")
    peer.expect_error("no-such-nick")


def log_in(peer: Peer) -> None:
    """Have *peer* show the key."""
    peer.send("op", do="login", key=OPERATOR_KEY)
    peer.expect("op", do="login")


_PLAYS = {
    "talk": _talk,
    "whisper": _whisper,
    "wander": _wander,
    "ask": _ask,
    "shout": _shout,
    "come back": _come_back,
    "clumsy": _clumsy,
    "paste": _paste,
    "oversee": _oversee,
}
