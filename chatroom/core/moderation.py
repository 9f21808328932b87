"""Strikes and kicks: the machine that judges what a member says.

``TRANSITIONS`` *is* the specification: every pair of a state and an input has its row,
and the state changes nowhere else.  ``Strikes`` is the small record around the machine
that counts; ``Moderator`` holds the settings and turns a text into an input.
Must not know: who else is in the room, and what a warning looks like on the wire.

Order of calls: ``Moderator.judge`` for each text that passed ``text.text_error``, with
a time that never goes back.  After it returned ``KICK`` or ``LEAVE`` for a record,
everything that follows is ``IGNORE``.  (protocol.md, section 6)
"""

from dataclasses import dataclass
from enum import IntEnum

LEAVE_COMMAND = "!leave"


# IntEnum: a plain Enum hashes in Python code, 0.3 us for each member, for each message.
class State(IntEnum):
    """Where a session stands."""

    CLEAN = 0
    WARNED = 1
    GONE = 2


class Input(IntEnum):
    """What a member did, or what time did for him."""

    TEXT = 0
    SHOUT = 1
    LAST_SHOUT = 2
    """The shout that reaches the limit of strikes."""
    LEAVE = 3
    LAPSE = 4
    """The last strike that counted is forgotten."""


class Action(IntEnum):
    """What follows from it."""

    DELIVER = 0
    WARN = 1
    KICK = 2
    LEAVE = 3
    NOTHING = 4
    IGNORE = 5


TRANSITIONS: dict[tuple[State, Input], tuple[State, Action]] = {
    # State: clean
    (State.CLEAN, Input.TEXT): (State.CLEAN, Action.DELIVER),
    (State.CLEAN, Input.SHOUT): (State.WARNED, Action.WARN),
    (State.CLEAN, Input.LAST_SHOUT): (State.GONE, Action.KICK),
    (State.CLEAN, Input.LEAVE): (State.GONE, Action.LEAVE),
    (State.CLEAN, Input.LAPSE): (State.CLEAN, Action.NOTHING),
    # State: warned
    (State.WARNED, Input.TEXT): (State.WARNED, Action.DELIVER),
    (State.WARNED, Input.SHOUT): (State.WARNED, Action.WARN),
    (State.WARNED, Input.LAST_SHOUT): (State.GONE, Action.KICK),
    (State.WARNED, Input.LEAVE): (State.GONE, Action.LEAVE),
    (State.WARNED, Input.LAPSE): (State.CLEAN, Action.NOTHING),
    # State: gone.  Nothing has any effect any more.
    (State.GONE, Input.TEXT): (State.GONE, Action.IGNORE),
    (State.GONE, Input.SHOUT): (State.GONE, Action.IGNORE),
    (State.GONE, Input.LAST_SHOUT): (State.GONE, Action.IGNORE),
    (State.GONE, Input.LEAVE): (State.GONE, Action.IGNORE),
    (State.GONE, Input.LAPSE): (State.GONE, Action.IGNORE),
}


def step(state: State, event: Input) -> tuple[State, Action]:
    """Return the state after *event*, and what follows from it."""
    return TRANSITIONS[state, event]


# In 3.11 a member of an enum is looked up in Python code, 0.1 us each time; these are
# for the lines that every text passes.
_TEXT = Input.TEXT
_WARN = Action.WARN
_KICK = Action.KICK


class Strikes:
    """One session's record: its state, and when it got the strikes that count.

    ``times`` are seconds of the clock that ``Moderator.judge`` is given.
    """

    __slots__ = ("state", "times")

    def __init__(self) -> None:
        self.state = State.CLEAN
        self.times: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Moderator:
    """The settings of the strike rule (``--strikes`` and its neighbours)."""

    limit: int = 2
    """Which strike kicks; at least 1."""
    min_letters: int = 1
    """With fewer cased characters than this a text is no shout."""
    lapse: float = 0.0
    """Seconds after which a strike is forgotten; 0: never."""

    def is_shout(self, text: str) -> bool:
        """Tell whether *text* is all capitals, by ``str.isupper`` and the minimum."""
        return text.isupper() and (
            self.min_letters <= 1 or capitals(text) >= self.min_letters
        )

    def judge(
        self, strikes: Strikes, text: str, now: float, *, may_leave: bool = True
    ) -> Action:
        """Judge *text* at *now* (seconds), and keep the outcome in *strikes*.

        *may_leave* is false for a whisper: there ``!leave`` is a text like others.
        """
        if strikes.times and self.lapse:
            self.forget(strikes, now)
        if self.is_shout(text):
            last = len(strikes.times) + 1 >= self.limit
            event = Input.LAST_SHOUT if last else Input.SHOUT
        elif may_leave and text.strip() == LEAVE_COMMAND:
            event = Input.LEAVE
        else:
            event = _TEXT
        strikes.state, action = TRANSITIONS[strikes.state, event]
        if action is _WARN or action is _KICK:
            strikes.times += (now,)
        return action

    def forget(self, strikes: Strikes, now: float) -> None:
        """Drop the strikes that are older than the lapse at *now* (seconds)."""
        if not self.lapse:
            return
        oldest = now - self.lapse
        strikes.times = tuple(when for when in strikes.times if when > oldest)
        if not strikes.times:
            strikes.state, _ = TRANSITIONS[strikes.state, Input.LAPSE]

    def pardon(self, strikes: Strikes) -> None:
        """Forget all *strikes*, as if they had lapsed."""
        strikes.times = ()
        strikes.state, _ = TRANSITIONS[strikes.state, Input.LAPSE]

    def rule(self) -> str:
        """Return the rule in words, for the log and for a member who broke it."""
        letters = (
            f" with {self.min_letters} letters or more" if self.min_letters > 1 else ""
        )
        return f"a text all in capitals{letters} is a shout and is not delivered"

    def penalty(self) -> str:
        """Return what follows from shouting, in words."""
        lapse = f", forgotten after {self.lapse:g} s" if self.lapse else ""
        return f"strike {self.limit} of {self.limit} disconnects{lapse}"


def capitals(text: str) -> int:
    """Count the upper-case characters; in a shout those are all that have a case."""
    return sum(map(str.isupper, text))
