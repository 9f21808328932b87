"""What the user gets to see and to hear: between what happens and the face.

    (show | notice | stand | reading)* -> flush

Events become lines, and ring as the user wants it.  What the renderer holds back, a
crowd that comes and goes, is shown when its time is over, or at the end.
Must not know: what anything leads to, how anything is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable

from chatroom.client.face import Face
from chatroom.client.render import Renderer, Rings, Shown
from chatroom.client.session import Session
from chatroom.client.status import Status
from chatroom.client.transcript import Event
from chatroom.net.loop import Loop, Timer

RINGS = {
    "off": frozenset[Rings](),
    "mention": frozenset((Rings.MENTION,)),
    "all": frozenset((Rings.MESSAGE, Rings.MENTION)),
}
"""What makes a sound, by what the user wants."""


class View:
    """One user's view of *session*; *bell* is a key of ``RINGS``."""

    face: Face
    """Set before anything is shown."""

    def __init__(
        self, loop: Loop, session: Session, renderer: Renderer, bell: str
    ) -> None:
        self._loop = loop
        self._session = session
        self._renderer = renderer
        self._ringing = RINGS[bell]
        self._held_news: Timer | None = None
        """Ends the patience with a crowd that comes and goes."""
        self._status = Status()
        """What the face was told last."""

    def show(self, events: Iterable[Event]) -> None:
        """Show *events*, in this order."""
        for event in events:
            if isinstance(event, str):
                self.notice(event)
            else:
                shown = self._renderer.render(
                    event.kind, event.frame, self._session, event.back
                )
                self._put(shown)

    def notice(self, text: str) -> None:
        """Show *text* as a word of the client itself."""
        self._put(self._renderer.notice(text))

    def flush(self) -> None:
        """Show what is held back, too."""
        if self._held_news is not None:
            self._held_news.cancel()
            self._held_news = None
        self._put(self._renderer.flush())

    def _put(self, shown: list[Shown]) -> None:
        """Show *shown*, and see to it that what is held back comes too."""
        for one in shown:
            self.face.show(one.lines, one.speech)
            if one.rings in self._ringing:
                self.face.bell()
        patience = self._renderer.patience
        if patience is not None and self._held_news is None:
            self._held_news = self._loop.call_later(patience, self.flush)

    def stand(self, state: str, rtt: float | None) -> None:
        """Keep in sight how things stand: *state* and *rtt* are the connection's."""
        if not self.face.interactive:
            return
        session = self._session
        status = Status(
            session.room,
            session.topic,
            session.nick,
            session.count,
            session.strikes,
            session.strike_limit,
            state,
            rtt,
        )
        if status != self._status:
            self._status = status
            self.face.status(status)

    def reading(self, here: bool) -> None:
        """The user looks away, or is back."""
        self._renderer.reading(here)
