"""Who comes and goes, in words: one by one, or as a crowd.

    take* flush ...

The first is told at once.  Whoever follows within ``WINDOW`` seconds is held, until the
window ends (``due``) or something else is to be shown before it; then all of them are
told in one line, and nobody twice.  What nobody may miss, such as a kick, is held by
nothing.  Pure; *now* is the seconds of any clock that does not go back.
Must not know: clocks, how a line looks.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatroom.client.frames import Fields
from chatroom.client.glyphs import clean
from chatroom.client.transcript import amount
from chatroom.core.text import MAX_NICK

WINDOW = 2.0
"""Seconds within which several make a crowd."""
MAX_NAMED = 8
"""Names of a crowd; the others are counted."""
MAX_HELD = 1000
"""Members held before they are told, window or not."""

_JOINED, _VISITED, _RETURNED = "joined", "visited", "returned"

_PARTED = {
    "leave": ("has left", "have left"),
    "moved": ("has gone to another room", "have gone to another room"),
    "lost": ("has lost the connection", "have lost the connection"),
    "replaced": ("is here from elsewhere", "are here from elsewhere"),
    "shutdown": ("has left: the server stops", "have left as the server stops"),
    "idle": ("was silent for too long", "were silent for too long"),
}
"""Reasons that make crowds: in words for one, and for several."""
_CROWDS = _PARTED | {
    _JOINED: ("has joined", "have joined"),
    _VISITED: ("came and went", "came and went"),
    _RETURNED: ("left and came back", "left and came back"),
}
_KICKED = {
    "shouting": "was kicked for shouting",
    "operator": "was kicked by an operator",
    "banned": "was banned",
}


@dataclass(frozen=True, slots=True)
class Told:
    """Something to be shown."""

    text: str
    loud: bool = False
    """Whether it is more than coming and going."""


class Presence:
    """Those who came and went, as far as it is not told yet."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, str]] = {}
        """What each of them did first and last, by nick."""
        self._ends = float("-inf")
        """When the window ends."""

    @property
    def due(self) -> float | None:
        """When ``flush`` is to be called, if it is."""
        return self._ends if self._held else None

    def take(self, frame: Fields, now: float) -> list[Told]:
        """Take note of a ``joined`` or ``left`` *frame*; return what is to be shown."""
        nick = frame["nick"]
        what = _JOINED
        if frame["type"] == "left":
            what = frame["reason"]
            if what not in _PARTED:
                text = _KICKED.get(what) or f"has left ({clean(what)})"
                return [*self.flush(now), Told(f"{clean(nick)} {text}", loud=True)]
        if len(nick) > MAX_NICK:
            return [*self.flush(now), Told(_of_some([nick], what))]  # It is nobody's.
        told = self.flush(now) if now >= self._ends else []
        if now >= self._ends:
            self._ends = now + WINDOW
            return [*told, Told(_of_some([nick], what))]
        first, _ = self._held.get(nick, (what, what))
        self._held[nick] = (first, what)
        return self.flush(now) if len(self._held) >= MAX_HELD else told

    def flush(self, now: float) -> list[Told]:
        """Return what is to be shown of those who are held."""
        if not self._held:
            return []
        if now >= self._ends:
            # The crowd may go on, and its next one is not its first.
            self._ends = now + WINDOW
        crowds: dict[str, list[str]] = {}
        for nick, (first, last) in self._held.items():
            crowds.setdefault(_outcome(first, last), []).append(nick)
        self._held.clear()
        return [
            Told("; ".join(_of_some(crowd, what) for what, crowd in crowds.items()))
        ]


def _outcome(first: str, last: str) -> str:
    """Return what came of it all for one who did *first* before and *last* at last."""
    if last == _JOINED:
        return _JOINED if first == _JOINED else _RETURNED
    return _VISITED if first == _JOINED else last


def _of_some(nicks: list[str], what: str) -> str:
    one, several = _CROWDS[what]
    if len(nicks) == 1:
        return f"{clean(nicks[0])} {one}"
    named = ", ".join(map(clean, nicks[:MAX_NAMED]))
    others = len(nicks) - MAX_NAMED
    rest = f" and {amount(others, 'other')}" if others > 0 else ""
    return f"{len(nicks)} {several}: {named}{rest}"
