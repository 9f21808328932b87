"""The checker: holds what every client saw against what the file holds.

It reads the recorders' files and the history, with plain ``sqlite3``, and nothing else:
it shares no code with the server, nor with a client.  What it finds is a list of
violations, each of one kind:

    lost       seen by somebody, or said and not refused, and not in the file; or in
               the file and not in the transcript of who was there
    repeated   kept twice, shown twice, answered twice, or judged twice
    changed    not the same for all, or not as it was sent
    order      not the same order for all, a gap or a step back
    numbering  ids that are not consecutive, or that begin anew
    phantom    kept or shown though it was refused, or never sent
    refused    turned away though nothing forbids it
    open       a ref without an outcome, or a client that never came to an end
    forgotten  a session, a strike, a receipt, an operator's order or a whole log that
               was known before
    kicked     somebody was sent away for what he has not done
    garbled    bytes that are no frame, or not understood as the frame that they were

A record is that of a recorder, which speaks the protocol and names what it sends by
refs, or that of a client in a pipe, of which only the lines are known that it was fed
and those that it printed: its texts, each another one, are its names.  That of an
operator (``*.orders``) tells what he ordered, was answered and saw.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Frame = dict[str, Any]
Entry = tuple[str, str, int, str | None]
"""Sender, text, time and ref of a message."""
Orders = dict[tuple[str, str], str]
"""Texts of orders by kind and target."""

KINDS = (
    *("lost", "repeated", "changed", "order", "numbering", "phantom"),
    *("refused", "open", "forgotten", "kicked", "garbled"),
)
MISUNDERSTOOD = frozenset(
    ("bad-frame", "malformed", "unknown-type", "hello-expected", "already-joined")
)
"""Errors that no recorder and no client has earned: all that they send is in order."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise broken."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass
class Verdict:
    """All that was found, and how much was looked at."""

    violations: list[Violation] = field(default_factory=list)
    messages: int = 0
    """Messages in the file."""
    sent: int = 0
    """Texts that were said or whispered, however often they were sent."""
    again: int = 0
    """Texts sent again after a reconnect."""
    warned: int = 0
    refused: int = 0
    judged: int = 0
    """Texts whose answer was lost, and of which ``last_ref`` told."""
    shown: int = 0
    """Messages in all transcripts."""
    strikes: int = 0
    """Strikes that sessions had at the end."""
    orders: int = 0
    """Orders of operators that were answered."""

    def kinds(self) -> Counter[str]:
        """Count the violations by their kinds."""
        return Counter(one.kind for one in self.violations)

    def __str__(self) -> str:
        shown = [str(one) for one in self.violations[:20]]
        if len(self.violations) > 20:
            shown.append(f"... and {len(self.violations) - 20} more")
        return "\n".join(shown) or "nothing"


@dataclass
class Sent:
    """One text of a recorder."""

    place: int
    kind: str
    text: str
    to: str | None = None
    times: int = 1

    @property
    def shout(self) -> bool:
        """Whether the rules do not let it pass."""
        return self.text.isupper()

    @property
    def invalid(self) -> bool:
        """Whether it holds what no text may hold."""
        return "\a" in self.text

    @property
    def plain(self) -> bool:
        """Whether the room gets to hear it."""
        return self.kind == "say" and not (self.shout or self.invalid)


class Story:
    """What one record tells."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.piped = False
        """Whether it is that of a client in a pipe."""
        self.nick = ""
        self.room = ""
        self.joined_at: int | None = None
        self.sent: dict[str, Sent] = {}
        self.answers: dict[str, list[str]] = defaultdict(list)
        """What came for a ref: ``warning``, ``error``, ``whisper``."""
        self.own: set[str] = set()
        """Refs of its own messages that it saw."""
        self.judged: set[str] = set()
        self.transcript: list[tuple[int, Entry]] = []
        self.whispers: Counter[tuple[str, str, str]] = Counter()
        """Sender, addressee and text of those that it heard."""
        self.input_ended = False
        self.ended = False
        self.kicked = False
        self.orphaned = False
        self.last_ref: str | None = None
        self.strikes = 0

    def shouts(self) -> int:
        """How many shouts it has sent so far, each counted once."""
        return sum(one.shout for one in self.sent.values())

    def find(self, ref: str | None, text: str) -> Sent | None:
        """Return what it sent as *ref*, or, where refs are not known, as *text*."""
        return self.sent.get(text if self.piped else ref or "")


def check(
    records: Collection[Path],
    history: Path,
    *,
    strikes: int = 2,
    may_forget: bool = False,
    may_refuse: bool = False,
) -> Verdict:
    """Hold *records* against the file *history*.

    *strikes* is the limit of the server.  *may_forget*: sessions were taken away on
    purpose, so that only their strikes and receipts are gone.  *may_refuse*: there was
    no place on the disk for a while.
    """
    return _Check(strikes, may_forget, may_refuse).run(records, history)


class _Check:
    def __init__(self, strikes: int, may_forget: bool, may_refuse: bool) -> None:
        self.verdict = Verdict()
        self._limit = strikes
        self._may_forget = may_forget
        self._may_refuse = may_refuse
        self._ends: dict[str, int] = {}
        self._seen: dict[tuple[str, int], tuple[Entry, str]] = {}
        self._told: set[tuple[str, int, str]] = set()
        self._file: dict[tuple[str, int], Entry] = {}
        self._identity: str | None = None
        self._orders: Orders = {}

    def run(self, records: Collection[Path], history: Path) -> Verdict:
        self._read_file(history)
        for path in records:
            if path.suffix == ".orders":
                self._look_at_orders(path)
        records = [path for path in records if path.suffix != ".orders"]
        stories = [self._read(path) for path in records]
        self._compare()
        by_nick = {story.nick: story for story in stories}
        self._look_at_file(by_nick)
        for story in stories:
            if story.piped:
                self._look_at_piped(story)
            else:
                self._look_at(story)
            self._look_at_whispers(story, by_nick)
        return self.verdict

    def _found(self, kind: str, text: str) -> None:
        self.verdict.violations.append(Violation(kind, text))

    # -- the file -------------------------------------------------------------

    def _read_file(self, history: Path) -> None:
        with _opened(history) as db:
            (sound,) = db.execute("PRAGMA integrity_check").fetchone()
            if sound != "ok":
                self._found("changed", f"the file is damaged: {sound}")
            (self._identity,) = db.execute(
                "SELECT value FROM meta WHERE key = 'identity'"
            ).fetchone()
            last_ids = dict(db.execute("SELECT name, last_id FROM rooms"))
            rows = db.execute(
                "SELECT room, id, sender, text, at, ref FROM messages ORDER BY room, id"
            ).fetchall()
            orders = db.execute("SELECT kind, target, text FROM orders").fetchall()
        self._orders = {(kind, target): text for kind, target, text in orders}
        ends = self._ends
        for room, number, sender, text, at, ref in rows:
            expected = ends.get(room, 0) + 1
            if number != expected:
                self._found("numbering", f"{room}: {number} where {expected} was due")
            ends[room] = number
            self._file[room, number] = (sender, text, at, ref)
        if ends != {room: last for room, last in last_ids.items() if last}:
            self._found("numbering", f"rows end at {ends}, rooms at {last_ids}")
        self.verdict.messages = len(rows)

    # -- orders ---------------------------------------------------------------

    def _look_at_orders(self, path: Path) -> None:
        """What an operator was told is done stays done; nothing else is."""
        held: Orders = {}
        given: Frame | None = None
        kinds = {"nick", "address", "mute", "topic", "lock"}
        for line in _lines(path):
            match line:
                case {"event": "order"}:
                    given = line
                case {"event": "done"}:
                    held, given = _with(held, given), None
                    self.verdict.orders += 1
                case {"event": "seen", "kinds": seen, "orders": found}:
                    texts = {(kind, target): text for kind, target, text in found}
                    self._hold_orders(path.stem, held, given, texts, set(seen))
                case {"event": "orphaned"} if not self._may_forget:
                    self._found("forgotten", f"{path.stem}: its session is gone")
                case {"event": "refused", "frame": frame}:
                    self._found("refused", f"{path.stem}: {frame}")
        self._hold_orders("the file", held, given, self._orders, kinds)

    def _hold_orders(
        self, where: str, held: Orders, given: Frame | None, found: Orders, of: set[str]
    ) -> None:
        """Hold orders of some kinds against what is known, the last perhaps done."""
        known, done = (
            {key: text for key, text in orders.items() if key[0] in of}
            for orders in (held, _with(held, given))
        )
        if found in (known, done):
            return
        for key in known.keys() | found.keys():
            was, now = known.get(key), found.get(key)
            if now not in (was, done.get(key)):
                kind = "phantom" if was is None else "forgotten"
                self._found(kind, f"{where}: {key} is {now!r}, {was!r} was ordered")

    # -- one record -----------------------------------------------------------

    def _read(self, path: Path) -> Story:
        story = Story(path.stem)
        session: str | None = None
        due: int | None = None
        asked = 0
        for line in _lines(path):
            match line:
                case {"event": "connect"}:
                    due = None
                case {"event": "hello", "session": session}:
                    pass
                case {"event": "send"}:
                    self._read_send(story, line)
                case {"event": "asked", "after": asked}:
                    pass
                case {"event": "got", "frame": {"type": "welcome"} as frame}:
                    self._read_welcome(story, frame, session)
                case {"event": "got", "frame": {"type": "room"} as frame}:
                    due = self._read_room(story, frame)
                case {"event": "got", "frame": {"type": "message"} as frame}:
                    if frame["id"] != due:
                        self._found(
                            "order", f"{story.name}: {frame['id']} came, {due} was due"
                        )
                    due = frame["id"] + 1
                    self._read_message(story, frame)
                case {"event": "got", "frame": {"type": "history"} as frame}:
                    self._read_page(story, frame, asked)
                case {"event": "got", "frame": frame}:
                    self._read_answer(story, frame)
                case {"event": "show", "frame": frame}:
                    story.transcript.append((frame["id"], _entry(frame)))
                case {"event": "judged", "ref": ref}:
                    story.judged.add(ref)
                case {"event": "skipped", "ref": ref}:
                    text = story.sent[ref].text
                    self._found("lost", f"{story.name}: passed over: {text[:40]!r}")
                case {"event": "garbled", "what": what}:
                    self._found("garbled", f"{story.name}: {what}")
                case {"event": "gap", **about}:
                    self._found("forgotten", f"{story.name}: a gap, {about}")
                case {"event": "end"}:
                    story.ended = True
                case {"event": "client"}:
                    story.piped, story.nick = True, line["nick"]
                case {"event": "line", "text": text}:
                    self._read_line(story, text)
                case {"event": "eof"}:
                    story.input_ended = True
                case {"event": "printed", "frame": {"type": "welcome"} as frame}:
                    self._read_welcome(story, frame, session)
                    session = frame["session"]
                case {"event": "printed", "frame": frame}:
                    self._read_printed(story, frame)
                case {"event": "exit", "code": code}:
                    story.ended = code == 0
                    if code:
                        self._found("open", f"{story.name}: its exit code was {code}")
        return story

    def _read_send(self, story: Story, line: Frame) -> None:
        ref = line["ref"]
        if ref not in story.sent:
            place = len(story.sent)
            kind, text = line["kind"], line["text"]
            story.sent[ref] = Sent(place, kind, text, line.get("to"))
        else:
            story.sent[ref].times += 1

    @staticmethod
    def _read_line(story: Story, text: str) -> None:
        assert text not in story.sent, "else it could not be told from the other"
        story.sent[text] = Sent(len(story.sent), "say", text)

    def _read_printed(self, story: Story, frame: Frame) -> None:
        match frame["type"]:
            case "room":
                self._read_room(story, frame)
            case "message":
                self._read_message(story, frame)
                story.transcript.append((frame["id"], _entry(frame)))
            case "history":
                text = f"{story.name}: a page of what it prints one by one"
                self._found("repeated", text)
            case _:
                self._read_answer(story, frame)

    def _read_welcome(self, story: Story, frame: Frame, session: str | None) -> None:
        if story.nick and frame["nick"] != story.nick:
            text = f"{story.nick} came back as {frame['nick']}"
            self._found("forgotten", text)
        story.nick = frame["nick"]
        if session not in (None, frame["session"]):
            story.orphaned = True
            if not self._may_forget:
                self._found("forgotten", f"{story.name}: its session is gone")
            story.strikes = 0
        self._read_strikes(story, frame["strikes"])
        if story.piped:
            return
        last, known = frame.get("last_ref"), story.last_ref
        if last is not None and last not in story.sent:
            self._found("phantom", f"{story.name}: last_ref {last} was never sent")
            return
        if known is not None and not story.orphaned:
            # What was answered has been judged, and so has what was judged before.
            place = -1 if last is None else story.sent[last].place
            if place < story.sent[known].place:
                self._found("forgotten", f"{story.name}: last_ref went back to {last}")
        story.last_ref = last or known

    def _read_strikes(self, story: Story, strikes: int) -> None:
        if strikes > story.shouts():
            text = f"{strikes} strikes for {story.shouts()} shouts"
            self._found("repeated", f"{story.name}: a shout was judged twice: {text}")
        elif strikes < story.strikes:
            text = f"{strikes} strikes where there were {story.strikes}"
            self._found("forgotten", f"{story.name}: {text}")
        story.strikes = strikes

    def _read_room(self, story: Story, frame: Frame) -> int:
        last: int = frame["last_id"]
        story.room = frame["room"]
        if story.joined_at is None:
            story.joined_at = last
        if last > self._ends.get(story.room, 0):
            self._found("lost", f"{story.name}: was told of {last}, it is not kept")
        self._look_at_log(story, frame)
        return last + 1

    def _look_at_log(self, story: Story, frame: Frame) -> None:
        if frame["log"] != self._identity:
            text = f"{story.name}: log {frame['log']}, the file says {self._identity}"
            self._found("forgotten", text)

    def _read_page(self, story: Story, frame: Frame, asked: int) -> None:
        self._look_at_log(story, frame)
        messages = frame["messages"]
        due = max(asked + 1, frame["oldest_id"])
        for message in messages:
            if message["id"] != due:
                text = f"{message['id']} on a page where {due} was due"
                self._found("order", f"{story.name}: {text}")
            due = message["id"] + 1
            self._read_message(story, message)
        if frame["more"] and not messages:
            self._found("lost", f"{story.name}: an empty page that promises more")

    def _read_message(self, story: Story, frame: Frame) -> None:
        entry, key = _entry(frame), (frame["room"], frame["id"])
        if frame["room"] != story.room:
            self._found("phantom", f"{story.name}: heard {frame['room']}: {entry}")
        if entry[0] == story.nick and not story.piped and entry[3] in story.sent:
            story.own.add(entry[3])
            self._read_receipt(story, entry[3])
        before = self._seen.setdefault(key, (entry, story.name))
        if before[0] != entry:
            text = (
                f"{key}: {before[1]} saw {_cut(before[0])}, {story.name} {_cut(entry)}"
            )
            self._found("changed", text)

    def _read_answer(self, story: Story, frame: Frame) -> None:
        kind, ref = frame["type"], frame.get("ref")
        if kind == "kick":
            story.kicked = True
            reason = frame["reason"]
            rightly = reason == "shouting" and story.shouts() >= self._limit
            leaves = reason == "leave" and story.input_ended
            if reason != "shutdown" and not (rightly or leaves):
                self._found("kicked", f"{story.name}: {reason}: {frame['text']}")
            return
        if kind == "whisper":
            story.whispers[frame["from"], frame["to"], frame["text"]] += 1
            if frame["from"] != story.nick:
                return
        if kind == "warning":
            self._read_strikes(story, frame["strikes"])
            self.verdict.warned += story.piped
        if kind == "error":
            self._read_error(story, frame)
        if ref is None or story.piped:
            return
        if ref not in story.sent:
            self._found("phantom", f"{story.name}: {kind} for {ref}, never sent")
            return
        story.answers[ref].append(kind)
        self._read_receipt(story, ref)

    def _read_error(self, story: Story, frame: Frame) -> None:
        code = frame["code"]
        what = f"{story.name}: {code}: {frame['text']}"
        if code in MISUNDERSTOOD:
            self._found("garbled", what)
        sent = story.sent.get(frame.get("ref", ""))
        if sent is None:
            if story.piped and "ref" in frame:
                # It sends nothing of which it knows that it is not valid.
                self._found("refused", what)
            return
        rightly = (
            (code == "text-invalid" and sent.invalid)
            or (code == "no-such-nick" and sent.kind == "whisper")
            or (code == "internal" and self._may_refuse)
        )
        if not rightly:
            self._found("refused", f"{what}: {sent.text[:40]!r}")

    @staticmethod
    def _read_receipt(story: Story, ref: str) -> None:
        known = story.last_ref
        if known is None or story.sent[known].place < story.sent[ref].place:
            story.last_ref = ref

    # -- all together ---------------------------------------------------------

    def _compare(self) -> None:
        for key, (entry, name) in self._seen.items():
            kept = self._file.get(key)
            if kept is None:
                self._found("lost", f"{key}: {name} saw {_cut(entry)}, it is not kept")
            elif kept != entry:
                text = f"{key}: {name} saw {_cut(entry)}, kept is {_cut(kept)}"
                self._found("changed", text)

    def _look_at_file(self, by_nick: Mapping[str, Story]) -> None:
        """Each kept message was sent once, by who is said to have sent it."""
        kept: Counter[tuple[str, str | None]] = Counter()
        texts: Counter[str] = Counter()
        places: dict[str, int] = {}
        for (room, number), (sender, text, _, ref) in self._file.items():
            where = f"{room} {number}"
            kept[sender, ref] += 1
            texts[text] += 1
            story = by_nick.get(sender)
            sent = story.find(ref, text) if story is not None else None
            if story is None or sent is None:
                self._found("phantom", f"{where}: nobody sent {text[:40]!r}")
                continue
            if sent.text != text:
                was = f"{sent.text[:40]!r}, kept is {text[:40]!r}"
                self._found("changed", f"{where}: {sender} sent {was}")
            if room != story.room:
                self._found("phantom", f"{where}: {sender} was in {story.room}")
            if sent.place < places.get(sender, -1):
                self._found("order", f"{where}: {sender} sent it before another")
            places[sender] = sent.place
        for (sender, ref), times in kept.items():
            if times > 1:
                self._found("repeated", f"{sender}: {ref} is kept {times} times")
        for text, times in texts.items():
            if times > 1:
                self._found("repeated", f"{times} times kept: {text[:40]!r}")

    def _look_at(self, story: Story) -> None:
        name, verdict = story.name, self.verdict
        verdict.sent += len(story.sent)
        verdict.again += sum(one.times > 1 for one in story.sent.values())
        verdict.judged += len(story.judged)
        verdict.shown += len(story.transcript)
        verdict.strikes += story.strikes
        if not story.ended and not story.kicked:
            self._found("open", f"{name}: never came to an end")
        kept = {
            ref: number
            for (room, number), (sender, _, _, ref) in self._file.items()
            if room == story.room and sender == story.nick and ref is not None
        }
        for ref, sent in story.sent.items():
            self._look_at_outcome(story, ref, sent, ref in kept)
        self._look_at_transcript(story)
        if story.ended and not story.orphaned:
            last = max(story.sent, key=lambda r: story.sent[r].place, default=None)
            if story.last_ref != last:
                self._found("forgotten", f"{name}: last_ref is {story.last_ref}")
            if story.strikes < story.shouts():
                text = f"{story.strikes} strikes for {story.shouts()} shouts"
                self._found("forgotten", f"{name}: {text}")

    def _look_at_outcome(self, story: Story, ref: str, sent: Sent, kept: bool) -> None:
        what = f"{story.name}: {sent.kind} {sent.text[:40]!r}"
        answers = story.answers.get(ref, [])
        judged = ref in story.judged
        if len(answers) > 1:
            self._found("repeated", f"{what}: answered with {answers}")
        outcomes = len(set(answers)) + kept + (judged and not kept and not answers)
        if outcomes > 1 or (judged and kept):
            self._found("phantom", f"{what}: kept={kept}, {answers}, judged={judged}")
        elif not outcomes:
            gone = ref in story.own
            self._found("lost" if gone else "open", f"{what}: no outcome")
        self.verdict.warned += "warning" in answers
        self.verdict.refused += "error" in answers
        if kept and not sent.plain:
            self._found("phantom", f"{what}: kept, though it was not to be shown")
        if kept and ref not in story.own and story.ended:
            self._found("lost", f"{what}: kept, and its sender never saw it")
        if sent.plain and judged and not kept and not answers:
            self._found("lost", f"{what}: judged, and neither kept nor refused")
        if (sent.shout or sent.invalid) and "whisper" in answers:
            self._found("phantom", f"{what}: it was delivered")
        if "warning" in answers and not sent.shout:
            self._found("changed", f"{what}: no shout, and judged as one")

    def _look_at_piped(self, story: Story) -> None:
        """The same, of a client of which only lines are known."""
        name, verdict = story.name, self.verdict
        verdict.sent += len(story.sent)
        verdict.shown += len(story.transcript)
        verdict.strikes += story.strikes
        if not (story.ended and story.input_ended):
            self._found("open", f"{name}: never came to an end")
        kept = {
            text for sender, text, _, _ in self._file.values() if sender == story.nick
        }
        for text, sent in story.sent.items():
            if sent.plain and text not in kept:
                self._found("lost", f"{name}: its line is not kept: {text[:40]!r}")
            elif text in kept and not sent.plain:
                self._found("phantom", f"{name}: kept, and not valid: {text[:40]!r}")
        self._look_at_transcript(story)
        if story.ended and story.strikes != story.shouts():
            text = f"{story.strikes} strikes for {story.shouts()} shouts"
            self._found("forgotten", f"{name}: {text}")

    def _look_at_whispers(self, story: Story, by_nick: Mapping[str, Story]) -> None:
        for (sender, to, text), times in story.whispers.items():
            what = f"{story.name}: {sender} to {to}: {text[:40]!r}"
            if story.nick not in (sender, to):
                self._found("phantom", f"{what}: overheard")
            source = by_nick.get(sender)
            sent = source.sent.values() if source is not None else ()
            if not any(
                (one.kind, one.text, one.to) == ("whisper", text, to) for one in sent
            ):
                self._found("phantom", f"{what}: never whispered")
            if times > 1 and not self._may_forget:
                self._found("repeated", f"{what}: whispered {times} times")

    def _look_at_transcript(self, story: Story) -> None:
        if not story.ended or story.joined_at is None:
            return
        expected = [
            (number, entry)
            for (room, number), entry in self._file.items()
            if room == story.room and number > story.joined_at
        ]
        if story.transcript == expected:
            return
        got = Counter(number for number, _ in story.transcript)
        there = dict(expected)
        shown = dict(story.transcript)
        for number, times in got.items():
            if times > 1:
                self._found("repeated", f"{story.name}: {number} shown {times} times")
            if number in there and there[number] != shown[number]:
                self._found("changed", f"{story.name}: {number} is kept otherwise")
        missing = sorted(there.keys() - shown.keys())
        if missing:
            self._found("lost", f"{story.name}: never saw {_range(missing)}")
        extra = sorted(shown.keys() - there.keys())
        if extra:
            self._found("lost", f"{story.name}: saw {_range(extra)}, not kept")
        if list(shown) != sorted(shown):
            self._found("order", f"{story.name}: its transcript is not in order")


class _opened:
    """A connection to a history, closed at the end of ``with``."""

    def __init__(self, history: Path) -> None:
        self._db = sqlite3.connect(history)

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(self, *about: object) -> None:
        self._db.close()


def _with(held: Orders, given: Frame | None) -> Orders:
    """Return what is in force where *given* is done."""
    if given is None:
        return held
    kind, target, text = given["order"]
    rest = {key: was for key, was in held.items() if key != (kind, target)}
    return rest if text is None else rest | {(kind, target): text}


def _lines(path: Path) -> Iterator[Frame]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _entry(frame: Frame) -> Entry:
    return frame["from"], frame["text"], frame["at"], frame.get("ref")


def _cut(entry: Entry) -> str:
    return f"{entry[0]}: {entry[1][:40]!r}"


def _range(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
