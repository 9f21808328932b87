"""Whom the user does not want to hear: nothing that they say reaches him.

They are told nothing, and what they say still counts where messages are counted.
Pure.  Must not know: how anything is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from chatroom.client.frames import Fields
from chatroom.client.transcript import Event, Heard, amount
from chatroom.core.text import nick_key


class Ignored:
    """Names, compared as the server compares them."""

    def __init__(self, nicks: Iterable[str] = ()) -> None:
        self._nicks = {nick_key(nick): nick for nick in nicks}

    @property
    def nicks(self) -> list[str]:
        """All of them, in the order of their keys."""
        return [nick for _, nick in sorted(self._nicks.items())]

    def toggle(self, nick: str) -> bool:
        """Ignore *nick*, or no longer; return which."""
        key = nick_key(nick)
        if self._nicks.pop(key, None) is not None:
            return False
        self._nicks[key] = nick
        return True

    def renamed(self, frame: Fields) -> None:
        """Somebody has another name by now: it is the same person."""
        if self._nicks.pop(nick_key(frame["old"]), None) is not None:
            self._nicks[nick_key(frame["new"])] = frame["new"]

    def spare(self, own: str) -> None:
        """One is called *own* by now, and wants to see what one says."""
        self._nicks.pop(nick_key(own), None)

    def hides(self, nick: str) -> bool:
        """Tell whether *nick* is ignored."""
        return bool(self._nicks) and nick_key(nick) in self._nicks

    def rest(self, event: Event) -> list[Event]:
        """Return what is left of *event* to be shown."""
        if isinstance(event, str) or not self._nicks:
            return [event]
        if event.kind in ("message", "whisper"):
            return [] if self.hides(event.frame["from"]) else [event]
        if event.kind == "history":
            return self._rest_of_page(event)
        return [event]

    def _rest_of_page(self, event: Heard) -> list[Event]:
        messages = event.frame["messages"]
        kept = [message for message in messages if not self.hides(message["from"])]
        if len(kept) == len(messages):
            return [event]
        hidden = amount(len(messages) - len(kept), "message")
        word = f"{hidden} of those that you ignore: left out"
        if not kept:
            return [word]
        return [Heard("history", event.frame | {"messages": kept}, event.back), word]
