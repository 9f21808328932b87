"""A store that lasts as long as the process.

Must not know: files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chatroom.core.log import Held, RoomLog

if TYPE_CHECKING:
    from chatroom.core.messages import Message
    from chatroom.core.orders import Kind, Order
    from chatroom.core.sessions import Session


class MemoryStore:
    """Numbers, and a bounded tail of each room's log in memory.

    *identity* names this numbering to the clients: a new one at each start, as the
    numbers begin anew.  *keep* and *keep_bytes* bound a room's tail (0: no limit).
    """

    def __init__(self, identity: str, keep: int = 0, keep_bytes: int = 0) -> None:
        self.identity = identity
        self.held = Held()
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._last_ids: dict[str, int] = {}

    def rooms(self) -> list[str]:
        """Return no room: nothing was before the start."""
        return []

    def load_sessions(self, now: float, wall: int) -> list[Session]:
        """Return no session."""
        return []

    def load_orders(self, now: float, wall: int) -> list[Order]:
        """Return no order."""
        return []

    def open_log(self, room: str) -> RoomLog[bytes]:
        """Return the tail of the log of *room*, for a room that has just begun."""
        last_id = self._last_ids.get(room, 0)
        return RoomLog(self._keep, self._keep_bytes, last_id=last_id, held=self.held)

    def keep(
        self,
        messages: Sequence[Message],
        sessions: Mapping[bytes, Session | None],
        orders: Mapping[tuple[Kind, str], Order | None],
        now: float,
        wall: int,
    ) -> None:
        """Give each of *messages*, in this order, the next id of its room."""
        last_ids = self._last_ids
        for message in messages:
            room = message.room
            message.id = last_ids[room] = last_ids.get(room, 0) + 1

    def oldest_id(self, room: str) -> None:
        """Return ``None``: what memory holds is all."""

    def read(self, room: str, low: int, high: int) -> list[Message]:
        """Return nothing: memory holds all that is kept."""
        return []

    def bound(self, keep: int, keep_bytes: int, history_keep: int) -> None:
        """Give logs that are opened from now on these bounds."""
        self._keep, self._keep_bytes = keep, keep_bytes

    def trim(self) -> bool:
        """Do nothing: a room's tail is bounded already."""
        return False

    def close(self) -> None:
        """Nothing is kept beyond the process."""
