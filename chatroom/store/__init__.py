"""The log: gives messages their numbers and keeps them.

``Store`` is the interface that the server knows; ``memory.py`` is the one to read
first, ``sqlite.py`` the one that lasts.  Both pass the same tests.
Must not know: connections, frames on their way, who is in a room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chatroom.core.log import Held, RoomLog
    from chatroom.core.messages import Message
    from chatroom.core.orders import Kind, Order
    from chatroom.core.sessions import Session


class Store(Protocol):
    """Keeps what was decided.

    Times: *now* is seconds of the clock of the rules, *wall* milliseconds since the
    epoch.  A store on a disk keeps wall time, as the other clock ends with the machine.
    """

    identity: str
    """The identity of the numbering (``log`` in protocol.md, section 4)."""
    held: Held
    """What all its logs hold in memory."""

    def rooms(self) -> list[str]:
        """Return the rooms that have kept messages."""

    def load_sessions(self, now: float, wall: int) -> list[Session]:
        """Return the sessions that were kept, the one that ended first first."""

    def load_orders(self, now: float, wall: int) -> list[Order]:
        """Return the orders that were kept, those that have ended since too."""

    def open_log(self, room: str) -> RoomLog[bytes]:
        """Return the tail of the log of *room* to be held in memory."""

    def keep(
        self,
        messages: Sequence[Message],
        sessions: Mapping[bytes, Session | None],
        orders: Mapping[tuple[Kind, str], Order | None],
        now: float,
        wall: int,
    ) -> None:
        """Keep *messages*, *sessions* and *orders*, all or nothing.

        A session or an order that is ``None`` is forgotten.  Gives each message, in
        this order, the next id of its room.  Raises ``StoreError``; then nothing is
        kept, and no id is used up.
        """

    def oldest_id(self, room: str) -> int | None:
        """Return the oldest id kept of *room*; ``None``: what memory holds is all."""

    def read(self, room: str, low: int, high: int) -> list[Message]:
        """Return messages that memory does not hold, from *low* to before *high*.

        Raises ``StoreError``.
        """

    def bound(self, keep: int, keep_bytes: int, history_keep: int) -> None:
        """Give logs that are opened from now on these bounds, and keep so much.

        *history_keep* counts where more is kept than memory holds.
        """

    def trim(self) -> bool:
        """Drop a little of what is too much; tell whether there is more of it."""

    def close(self) -> None:
        """Let go of it; nothing is called after this."""
