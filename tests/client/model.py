"""A server as the protocol describes it, in as few lines as it takes.

It judges frames one by one and puts its answers on the wire; who plays with it decides
when frames arrive, and which never do.  Written from the protocol alone: nothing of the
client or of the server is used.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]
PAGE = 3
"""Messages of a page, few enough that there are often several pages."""
FULL = "full"
"""The room that nobody gets into."""
TAKEN = "taken"
"""The name that somebody else has."""
TAG = "tag"
"""A field of the tests' own: an answer has that of its question."""


@dataclass
class Seat:
    """A session."""

    token: str
    nick: str
    last_ref: str | None = None
    strikes: int = 0
    operator: bool = False


@dataclass
class Log:
    """What was said in a room."""

    messages: list[Frame] = field(default_factory=list)
    oldest: int = 1

    @property
    def last(self) -> int:
        return len(self.messages)


class ModelServer:
    """One server, and at most one member beside those that ``others_say``."""

    def __init__(self) -> None:
        self.numbering = "log1"
        self.logs: dict[str, Log] = {}
        self.others: dict[str, list[str]] = {}
        """Who else is in each room."""
        self.sessions: dict[str, Seat] = {}
        self.seat: Seat | None = None
        self.room = ""
        self.wire: list[Frame] = []
        """What is on its way to the member."""
        self.in_trouble = False
        """Whether the next page of history cannot be read."""
        self.said: list[tuple[str, str]] = []
        """Every text of the member that was ever kept, with the log that keeps it."""
        self.shouts: Counter[str] = Counter()
        self.whispers: Counter[str] = Counter()
        self.orders: Counter[str] = Counter()
        """Whom the member wanted to have kicked, an operator or not."""
        self.falls = 0
        """How often the member was told that he is no operator any more."""
        self._tokens = 0

    def log(self, room: str) -> Log:
        return self.logs.setdefault(room, Log())

    # -- what happens to it -----------------------------------------------------

    def cut(self) -> None:
        """The connection is over."""
        self.seat = None
        self.wire.clear()

    def forget(self) -> None:
        """Sessions are gone."""
        self.cut()
        self.sessions.clear()

    def start_anew(self) -> None:
        """It kept all in memory, and was started again."""
        self.forget()
        self.logs.clear()
        self.numbering += "+"

    def trim(self, room: str, number: int) -> None:
        log = self.log(room)
        log.oldest = min(log.oldest + number, log.last + 1)

    def others_say(self, room: str, text: str, sender: str = "bob") -> None:
        self._say(room, sender, text, {})

    def somebody_whispers(self, sender: str, text: str) -> None:
        if self.seat is not None:
            whisper = {"type": "whisper", "from": sender, "to": self.seat.nick}
            self.wire.append(whisper | {"text": text, "at": 0})

    def somebody_joins(self, room: str, nick: str) -> None:
        self.others.setdefault(room, []).append(nick)
        self._tell(room, {"type": "joined", "room": room, "nick": nick})

    def somebody_leaves(self, room: str, number: int) -> None:
        if here := self.others.get(room):
            nick = here.pop(number % len(here))
            left = {"type": "left", "room": room, "nick": nick, "reason": "lost"}
            self._tell(room, left)

    def somebody_is_renamed(self, room: str, number: int, new: str) -> None:
        if here := self.others.get(room):
            old = here[number % len(here)]
            here[number % len(here)] = new
            self._tell(room, {"type": "renamed", "room": room, "old": old, "new": new})

    def somebody_mutes(self) -> None:
        """An operator mutes the member, who is told so."""
        if self.seat is not None:
            self.wire.append({"type": "error", "code": "muted", "text": ""})

    def take_key(self) -> None:
        """The member's key is none any more."""
        if self.seat is not None and self.seat.operator:
            self.seat.operator = False
            self.falls += 1
            self.wire.append({"type": "error", "code": "not-allowed", "text": ""})

    def _tell(self, room: str, frame: Frame) -> None:
        if self.seat is not None and self.room == room:
            self.wire.append(frame)

    def members(self) -> list[str]:
        """Who is in the member's room."""
        assert self.seat is not None
        return sorted([self.seat.nick, *self.others.get(self.room, ())])

    def _say(self, room: str, sender: str, text: str, ref: Frame) -> None:
        log = self.log(room)
        message = {"type": "message", "id": log.last + 1, "room": room, "from": sender}
        message |= {"text": text, "at": 0} | ref
        log.messages.append(message)
        if self.seat is not None and self.room == room:
            self.wire.append(message)

    # -- what it is sent ----------------------------------------------------------

    def judge(self, frame: Frame) -> None:
        """Judge the next frame of the member."""
        if frame["type"] == "hello":
            self._hello(frame)
        elif self.seat is not None:
            getattr(self, "_judge_" + frame["type"])(self.seat, frame)

    def _hello(self, frame: Frame) -> None:
        seat = self.sessions.get(frame.get("session", ""))
        if seat is None:
            self._tokens += 1
            seat = Seat(f"token{self._tokens}", frame["nick"])
            self.sessions[seat.token] = seat
        self.seat, self.room = seat, frame["room"]
        welcome = {"type": "welcome", "version": 1, "server": "model", "limits": {}}
        welcome |= {"nick": seat.nick, "session": seat.token, "strikes": seat.strikes}
        if seat.last_ref is not None:
            welcome["last_ref"] = seat.last_ref
        self.wire.append(welcome)
        self._tell_room()

    def _tell_room(self) -> None:
        log = self.log(self.room)
        self.wire.append(
            {
                "type": "room",
                "room": self.room,
                "log": self.numbering,
                "last_id": log.last,
                "oldest_id": log.oldest,
                "count": len(self.members()),
            }
        )

    def _judge_say(self, seat: Seat, frame: Frame) -> None:
        seat.last_ref = frame["ref"]
        if frame["text"].isupper():
            seat.strikes += 1
            self.shouts[frame["text"]] += 1
            warning = {"type": "warning", "reason": "shouting", "limit": 0, "text": ""}
            warning |= {"strikes": seat.strikes, "ref": frame["ref"]}
            self.wire.append(warning)
            return
        self.said.append((self.numbering, frame["text"]))
        self._say(self.room, seat.nick, frame["text"], {"ref": frame["ref"]})

    def _judge_whisper(self, seat: Seat, frame: Frame) -> None:
        seat.last_ref = frame["ref"]
        self.whispers[frame["text"]] += 1
        self.wire.append(frame | {"from": seat.nick, "at": 0})

    def _judge_nick(self, seat: Seat, frame: Frame) -> None:
        if frame["nick"] == TAKEN:
            self.wire.append({"type": "error", "code": "nick-taken", "text": ""})
        elif frame["nick"] != seat.nick:
            renamed = {"type": "renamed", "room": self.room, "old": seat.nick}
            self.wire.append(renamed | {"new": frame["nick"]})
            seat.nick = frame["nick"]

    def _judge_join(self, seat: Seat, frame: Frame) -> None:
        if frame["room"] == FULL:
            self.wire.append({"type": "error", "code": "full", "text": ""})
            return
        self.room = frame["room"]
        self._tell_room()

    def _judge_history(self, seat: Seat, frame: Frame) -> None:
        if self.in_trouble:
            self.in_trouble = False
            self.wire.append({"type": "error", "code": "internal", "text": ""})
            return
        log = self.log(self.room)
        if "after" in frame:
            begin = max(frame["after"] + 1, log.oldest)
            end = min(begin - 1 + PAGE, log.last)
            more = end < log.last
        else:
            end = min(frame.get("before", log.last + 1) - 1, log.last)
            begin = max(end + 1 - PAGE, log.oldest)
            more = begin > log.oldest and end >= log.oldest
        page: Frame = {"type": "history", "room": self.room, "log": self.numbering}
        page |= {"oldest_id": log.oldest, "messages": log.messages[begin - 1 : end]}
        self._answer(frame, page | {"more": more})

    def _judge_who(self, seat: Seat, frame: Frame) -> None:
        after = [nick for nick in self.members() if nick > frame.get("after", "")]
        page = {"type": "members", "room": self.room, "members": after[:PAGE]}
        self._answer(frame, page | {"more": len(after) > PAGE})

    def _judge_rooms(self, seat: Seat, frame: Frame) -> None:
        rooms = [{"room": self.room, "count": len(self.members())}]
        self._answer(frame, {"type": "rooms", "rooms": rooms, "more": False})

    def _judge_op(self, seat: Seat, frame: Frame) -> None:
        do = frame["do"]
        if do == "kick":
            self.orders[frame["nick"]] += 1
        if do == "login":
            seat.operator = True
        if not seat.operator:
            self.wire.append({"type": "error", "code": "not-allowed", "text": ""})
        elif do == "bans":
            self._answer(frame, {"type": "op", "do": do, "bans": [], "more": False})
        else:
            self._answer(frame, {"type": "op", "do": do, "text": ""})

    def _answer(self, question: Frame, answer: Frame) -> None:
        self.wire.append(answer | {TAG: question.get(TAG)})
