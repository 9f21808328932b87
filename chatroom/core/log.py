"""A room is a log: numbered entries, the newest of them held in memory.

``RoomLog`` counts from 1 without a gap and holds a bounded tail.  What an entry is, it
does not know: only that it has a size (``len``).  Must not know: rooms, members, files.

Order of calls: ``append`` in the order of the numbers; all else at any time.  What
all logs hold together is bounded by whoever looks at their ``Held``: ``level_down``.
"""

from collections import deque
from collections.abc import Iterable, Sized
from math import inf
from typing import Any, Generic, TypeVar

Entry = TypeVar("Entry", bound=Sized)

MAX_PAGE = 200
"""Entries in a page (protocol.md, section 3)."""
ENTRY_OVERHEAD = 64
"""What an entry costs beyond its size: an object header, its place in the list, and
what is lost to rounding."""


class Held:
    """Bytes that several logs hold together: given to each of them."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class RoomLog(Generic[Entry]):
    """The tail of one room's log.

    *keep* entries and *keep_bytes* bytes at most are held (0: no limit), and always
    the newest one, whatever its size.  *held* counts what it holds, among others.
    """

    __slots__ = ("_entries", "_first", "_held", "_most", "_most_bytes", "size")

    def __init__(
        self,
        keep: int = 0,
        keep_bytes: int = 0,
        *,
        last_id: int = 0,
        held: Held | None = None,
    ) -> None:
        self.bound(keep, keep_bytes)
        self._held = held if held is not None else Held()
        self._entries: deque[Entry] = deque()
        self._first = last_id + 1
        self.size = 0
        """Bytes held, overhead included."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def oldest_id(self) -> int:
        """The id of the oldest entry held; of an empty log, that of the next one."""
        return self._first

    @property
    def last_id(self) -> int:
        """The id of the newest entry; 0 where there has never been one."""
        return self._first + len(self._entries) - 1

    def append(self, entry: Entry) -> None:
        """Hold *entry* under the next id, and drop what is over the bounds."""
        entries = self._entries
        entries.append(entry)
        size = len(entry) + ENTRY_OVERHEAD
        self.size += size
        self._held.size += size
        # As _is_over has it, without a call for every message.
        while len(entries) > self._most or self.size > self._most_bytes:
            if len(entries) == 1:
                break
            self._drop_oldest()

    def bound(self, keep: int, keep_bytes: int) -> None:
        """Hold no more than this from the next entry on; see also ``trim``."""
        self._most, self._most_bytes = keep or inf, keep_bytes or inf

    def trim(self, most: int) -> bool:
        """Drop what is over the bounds, *most* entries; tell whether more is."""
        for _ in range(most):
            if not self._is_over():
                return False
            self._drop_oldest()
        return self._is_over()

    def shrink(self, size: int) -> None:
        """Drop the oldest until *size* bytes are held at most; all of them, if need be.

        The numbers go on as if they were there.
        """
        while self.size > size:
            self._drop_oldest()

    def _is_over(self) -> bool:
        count = len(self._entries)
        return count > 1 and (count > self._most or self.size > self._most_bytes)

    def _drop_oldest(self) -> None:
        size = len(self._entries.popleft()) + ENTRY_OVERHEAD
        self.size -= size
        self._held.size -= size
        self._first += 1

    def page(
        self, *, after: int | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[int, list[Entry], bool]:
        """Return (id of the first, entries, more): see protocol.md, section 3.

        At most *limit* entries just after an id, just before one, or the newest;
        always oldest first.  *more* tells of entries held further on in the
        direction asked (without an id: older ones).
        """
        end = self.last_id + 1
        low, high, more = page_bounds(self._first, end, after, before, limit)
        return low, self.entries(low, high), more

    def entries(self, low: int, high: int) -> list[Entry]:
        """Return the entries from id *low* to before *high*, all of them held."""
        entries, first = self._entries, self._first
        return [entries[i - first] for i in range(low, high)]


def level_down(logs: Iterable[RoomLog[Any]], size: int) -> None:
    """Let the largest of *logs* drop their oldest, until all hold *size* bytes at most.

    So a log that is smaller than its share of *size* loses nothing, whatever is put
    into the others.
    """
    largest_first = sorted(logs, key=lambda log: log.size, reverse=True)
    sizes = [log.size for log in largest_first] + [0]
    rest = sum(sizes)
    if rest <= size:
        return
    for count, each in enumerate(sizes[:-1], 1):
        rest -= each
        level = (size - rest) // count
        if level >= sizes[count]:
            for log in largest_first[:count]:
                log.shrink(level)
            return


def page_bounds(
    first: int, end: int, after: int | None, before: int | None, limit: int
) -> tuple[int, int, bool]:
    """Return (low, high, more) of a page over the ids from *first* to before *end*."""
    if after is not None:
        low = max(after + 1, first)
        high = min(low + limit, end)
        more = high < end
    else:
        high = end if before is None else min(before, end)
        low = max(high - limit, first)
        more = low > first
    return (low, high, more) if low < high else (end, end, False)
