"""Show: the last of "decide, keep, show".

Takes the tick's effects in their order, has the store keep the messages, and hands
every member what it gets.  A room's news of the tick is a list of frames, and members
without a cut get that list packed, one object for all who speak the same dialect.  A
frame for one member, an entering, a leaving or a kick is a *cut* in the list for that
member: it gets slices of the list with its own frames between.

So many frames in one segment, and the same frames a tick each, give every member the
same bytes.  Must not know: why anything was decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from chatroom.core import messages
from chatroom.core.effects import (
    Close,
    Effect,
    Enter,
    Exit,
    News,
    Post,
    Read,
    Record,
    Tell,
)
from chatroom.core.log import page_bounds
from chatroom.errors import StoreError
from chatroom.net.address import show as show_address
from chatroom.server.eventlog import utc
from chatroom.server.metrics import Totals
from chatroom.wire.codec import encode, encode_history, encode_message
from chatroom.wire.framing import HEADER_SIZE, MAX_FRAME
from chatroom.wire.protocol import NativeProtocol

if TYPE_CHECKING:
    from chatroom.core.chat import Chat
    from chatroom.core.rooms import Room
    from chatroom.server.connection import Connection
    from chatroom.server.eventlog import EventLog
    from chatroom.store import Store


READ_STEP = 16
"""Messages that are read first for a page from the store, then twice as many, and so
on: where they are long only some of them fit, and reading all would take long."""


class Show:
    """Carries out effects.

    *now* gives the seconds that the rules are given.  *failed* gets what an effect
    raised and the connection that it is about, *closing* each connection that is to
    end once it has taken what it was sent.  *timed* is whether it is worth knowing how
    long keeping takes.
    """

    def __init__(
        self,
        chat: Chat,
        store: Store,
        log: EventLog,
        now: Callable[[], float],
        failed: Callable[[Exception, Connection | None], None],
        closing: Callable[[Connection], None],
        *,
        timed: bool,
    ) -> None:
        self.totals = Totals()
        self._chat = chat
        self._store = store
        self._log = log
        self._now = now
        self._failed = failed
        self._end = closing
        self._timed = timed
        self._news: dict[Room, list[bytes]] = {}
        self._cut: list[Connection] = []
        self._closing: list[Connection] = []
        self._failing = False
        """Whether the store failed last time; then so many messages were refused."""
        self._refused = 0
        self._carry_out: dict[type, Callable[[Any], None]] = {
            News: self._tell_room,
            Tell: self._tell_one,
            Enter: self._enter,
            Exit: self._exit,
            Read: self._read,
            Record: self._record,
            Close: self._close,
        }

    def run(self, effects: list[Effect]) -> None:
        """Carry out *effects*: keep, then show."""
        news = self._news
        kept = self._keep([e.message for e in effects if type(e) is Post])
        post = self._post if kept else self._refuse
        for effect in effects:
            try:
                if type(effect) is Post:
                    post(effect)
                else:
                    self._carry_out[type(effect)](effect)
            except Exception as error:
                peer = getattr(effect, "peer", None)
                self._failed(error, cast("Connection | None", peer))
        for room, frames in news.items():
            self._send_room(room, frames)
        for connection in self._cut:
            self._send_cut(connection)
        for connection in self._closing:
            self._end(connection)
        self._cut.clear()
        self._closing.clear()
        news.clear()

    def store_failed(self, error: StoreError, refused: int = 0) -> None:
        """Write it down once, and not for every message until it is over."""
        if not self._failing:
            self._failing, self._refused = True, 0
            self._log.event("error", "store", text=str(error))
        self._refused += refused

    def store_worked(self) -> None:
        """Write down that it is over, where it had failed."""
        if self._failing:
            self._failing = False
            self._log.event("warning", "store", refused=self._refused, text="recovered")

    # -- effects --------------------------------------------------------------

    def _keep(self, posts: list[messages.Message]) -> bool:
        changed = self._chat.sessions.changed
        orders = self._chat.oversight.orders.changed
        if not (posts or changed or orders):
            return True
        began = time.perf_counter() if self._timed else 0.0
        try:
            wall = int(time.time() * 1000)
            self._store.keep(posts, changed, orders, self._now(), wall)
        except StoreError as error:
            self.totals.refused += len(posts)
            self.store_failed(error, len(posts))
            return False
        finally:
            if self._timed:
                self.totals.store.add(time.perf_counter() - began)
        changed.clear()
        orders.clear()
        self.store_worked()
        self.totals.messages += len(posts)
        return True

    def _post(self, post: Post) -> None:
        room, message = post.room, post.message
        frame = encode_message(message)
        room.log.append(frame)
        frames = self._news.get(room)
        if frames is None:
            self._news[room] = [frame]
        else:
            frames.append(frame)
        if self._log.info:
            address = cast("Connection", post.peer).transport.address
            self._log.message(
                show_address(address),
                message.sender,
                room.name,
                message.id,
                message.text,
            )

    def _refuse(self, post: Post) -> None:
        text = "your message could not be kept and was not sent; try again"
        error = messages.Error("internal", text, post.message.ref)
        self._tell_one(Tell(post.peer, error))
        self._chat.not_kept(post.room)

    def _tell_room(self, effect: News) -> None:
        self._news.setdefault(effect.room, []).append(encode(effect.message))
        message = effect.message
        if isinstance(message, messages.Renamed):
            self._log.event(
                "info", "rename", nick=message.new, old=message.old, room=message.room
            )

    def _tell_one(self, effect: Tell) -> None:
        connection = cast("Connection", effect.peer)
        self._note(connection, effect.message)
        self._cut_for(connection).append(encode(effect.message))

    def _enter(self, effect: Enter) -> None:
        connection, room = cast("Connection", effect.peer), effect.room
        parts = self._cut_for(connection)
        info = messages.RoomInfo(
            room.name,
            self._store.identity,
            room.log.last_id,
            self._oldest_id(room),
            effect.count,
            effect.topic,
        )
        parts.append(encode(info))
        if connection.hears is not room:
            connection.hears = room
            connection.position = len(self._news.get(room, ()))
            via = "web" if connection.is_web else None
            connection.note(
                "info", "join", room=room.name, members=effect.count, via=via
            )

    def _exit(self, effect: Exit) -> None:
        connection = cast("Connection", effect.peer)
        self._cut_for(connection)
        connection.hears = None
        if effect.reason != "moved":
            cause = connection.end_reason
            connection.note("info", "leave", reason=effect.reason, cause=cause)

    def _read(self, effect: Read) -> None:
        connection, room = cast("Connection", effect.peer), effect.room
        request = effect.request
        oldest_id = self._oldest_id(room)
        low, high, more = page_bounds(
            oldest_id,
            room.log.last_id + 1,
            request.after,
            request.before,
            request.limit,
        )
        forward = request.after is not None
        try:
            frames = self._frames(room, low, high, forward=forward)
        except StoreError as error:
            self._log.event("error", "store", text=str(error))
            text = "the history cannot be read now; try again"
            self._tell_one(Tell(connection, messages.Error("internal", text)))
            return
        page = encode_history(
            room.name,
            self._store.identity,
            oldest_id,
            frames,
            more,
            forward=forward,
        )
        self._cut_for(connection).append(page)

    def _frames(self, room: Room, low: int, high: int, *, forward: bool) -> list[bytes]:
        """Return messages of *room* as frames, from the store where memory is short.

        From the store no more than one page has room for, and a few: the first ones
        if the page goes *forward*, else the last.
        """
        frames: list[bytes] = []
        if low >= room.log.oldest_id:
            frames = room.log.entries(low, high)
            return frames
        size, step = 0, READ_STEP
        while low < high and size <= MAX_FRAME:
            if forward:
                start, end = low, min(low + step, high)
                low = end
            else:
                start, end = max(low, high - step), high
                high = start
            read = list(map(encode_message, self._store.read(room.name, start, end)))
            frames = frames + read if forward else read + frames
            # Their payloads alone: only what surely does not fit may be left out.
            size += sum(map(len, read)) - HEADER_SIZE * len(read)
            step *= 2
        return frames

    def _oldest_id(self, room: Room) -> int:
        kept = self._store.oldest_id(room.name)
        return room.log.oldest_id if kept is None else kept

    def _record(self, effect: Record) -> None:
        until = None
        if effect.until is not None:
            until = utc(effect.until) if effect.until else "never"
        cast("Connection", effect.peer).note(
            "info",
            "operator",
            do=effect.do,
            target=effect.target,
            reason=effect.reason or None,
            until=until,
        )

    def _close(self, effect: Close) -> None:
        connection = cast("Connection", effect.peer)
        self._cut_for(connection)
        self._closing.append(connection)

    def _cut_for(self, connection: Connection) -> list[bytes]:
        """Cut the news that *connection* hears here; return what it gets till here."""
        parts = connection.parts
        if parts is None:
            parts = connection.parts = []
            connection.takes = None
            connection.position = 0
            self._cut.append(connection)
        if connection.hears is not None:
            frames = self._news.get(connection.hears)
            if frames is not None:
                parts.extend(frames[connection.position :])
                connection.position = len(frames)
        return parts

    # -- sending --------------------------------------------------------------

    def _send_room(self, room: Room, frames: list[bytes]) -> None:
        self.totals.deliveries += len(frames) * len(room.members)
        # Packed once for each dialect that is spoken, whoever comes after whom.
        pack: Any = NativeProtocol.pack
        chunk = pack(frames)
        chunks = {pack: chunk}
        size, sent = len(chunk), 0
        for session in room.members.values():
            # Any, not a cast: a cast is a call, for each member, for each tick.
            connection: Any = session.peer
            if connection.takes is not pack:
                if connection.takes is None:
                    continue
                pack = connection.takes
                chunk = chunks.get(pack) or chunks.setdefault(pack, pack(frames))
                size = len(chunk)
            connection.transport.write(chunk)
            sent += size
        self.totals.sent += sent

    def _send_cut(self, connection: Connection) -> None:
        parts = self._cut_for(connection)
        connection.parts, connection.takes = None, connection.protocol.pack
        if parts:
            connection.send(connection.takes(parts))

    # -- what the log says ----------------------------------------------------

    def _note(self, connection: Connection, message: messages.Tellable) -> None:
        """Write down what *connection* is told, where that is an event."""
        if isinstance(message, messages.Error):
            self.totals.errors[message.code] += 1
            level = "warning" if message.code == "internal" else "info"
            connection.note(level, "error", code=message.code, text=message.text)
        elif isinstance(message, messages.Warned):
            self.totals.warnings[message.reason] += 1
            strikes = f"{message.strikes}/{message.limit}"
            connection.note("info", "warning", reason=message.reason, strikes=strikes)
        elif isinstance(message, messages.Kick):
            self.totals.kicks[message.reason] += 1
            connection.note("info", "kick", reason=message.reason, text=message.text)
        elif isinstance(message, messages.Whispered):
            # What was whispered is nobody's business, the log's included.
            session = connection.session
            if session is not None and session.nick == message.sender:
                connection.note("info", "whisper", to=message.to)
