"""What keys do around the text being typed: hints, second thoughts, and completion.

    press(key) -> [wish, ...];   area(status) is what stands at the bottom then

The owner is told each line that is entered and whether to leave; what is left to do,
the wishes, is the terminal's.  A hint stays until a key changes something.
Must not know: bytes, descriptors, time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chatroom.client.editor import AskPaste, Editor, Entered, Event, TooMuch, Wish
from chatroom.client.face import Owner
from chatroom.client.glyphs import clean
from chatroom.client.keys import Key
from chatroom.client.line_history import LineHistory
from chatroom.client.lines import PLAIN, Line, Style, line
from chatroom.client.operator_commands import COMMAND, confides, seen
from chatroom.client.recall import Recall
from chatroom.client.screen import Area
from chatroom.client.status import ALARM, Status

LEAVES = "Ctrl-C again leaves"
FORGOTTEN = "forgotten, as a part of it may be an operator's key"
"""Where the command before a key is not whole any more."""
CHOSEN: Style = ("1;7", "1;7")
"""The candidate that stands in the text."""

_NOT_OF_THE_TEXT = frozenset((Wish.SUSPEND, Wish.REDRAW, Wish.AWAY, Wish.BACK))


@dataclass(frozen=True, slots=True)
class _Choice:
    """Candidates for what stands in the text from *start* to *end*."""

    start: int
    end: int
    options: tuple[str, ...]
    number: int
    """Which of them stands there; -1: what they have in common."""


class Dialog:
    """Takes what *owner* is to be told from the keys of one terminal."""

    def __init__(self, owner: Owner, history: LineHistory | None = None) -> None:
        self._owner = owner
        self._history = history
        self._recall = Recall()
        self._editor = Editor(self._recall)
        self._prompt = ""
        self._secret = False
        """Whether what is asked for is not to be seen."""
        self._confided = False
        """Whether an operator's key is being typed, behind its command.  It is masked,
        and has an editor of its own, so that it gets into no recall and Ctrl-Y does
        not bring it back."""
        self._hints: tuple[Line, ...] = ()
        self._objected: str | None = None
        """The text that the owner would rather not be told, while it stands there."""
        self._leaving = False
        """Whether the key before was a Ctrl-C that would have left."""
        self._choice: _Choice | None = None

    def open(self) -> None:
        """Bring back what was typed in earlier runs."""
        for text in self._history.read() if self._history is not None else ():
            self._recall.add(text)

    def prompt(self, text: str, secret: bool = False) -> None:
        """Put *text* before what is typed; nothing is shown of what is *secret*."""
        if secret or self._secret:
            # Neither is it remembered, nor can it be called back.
            self._begin(unseen=secret)
            self._confided = False
            self._hints, self._objected, self._choice = (), None, None
        self._prompt, self._secret = text, secret

    def _begin(self, unseen: bool) -> None:
        """Begin with an empty text; what is typed *unseen* is not remembered."""
        self._editor.clear()
        self._editor = Editor(Recall() if unseen else self._recall)
        self._editor.clear()

    @property
    def is_secret(self) -> bool:
        """Whether what is being typed is not to be seen."""
        return self._secret or self._confided

    def area(self, status: Status | None) -> Area:
        """Return what stands at the bottom of the screen."""
        if self._secret:
            return Area(self._prompt, "", 0, status, self._hints)
        editor = self._editor
        prompt = editor.label or self._prompt
        text = seen(editor.text) if self._confided else editor.text
        return Area(prompt, text, editor.cursor, status, self._hints)

    def press(self, key: Key) -> list[Wish]:
        """Do what *key* asks for; return what only the terminal can do."""
        if self.is_secret and key.name == "ctrl-r":
            return []  # It would not be seen that one searches.
        editor = self._editor
        before = editor.text, editor.cursor, editor.label
        events = editor.press(key)
        wishes = [event for event in events if event in _NOT_OF_THE_TEXT]
        if wishes or key.name == "unknown":
            return wishes
        choice, self._choice = self._choice, None
        leaving, self._leaving = self._leaving, False
        objected = self._objected
        if editor.text != before[0]:
            self._objected = None
        changed = (editor.text, editor.cursor, editor.label) != before
        if self._objected is None and (events or changed or leaving):
            self._hints = ()
        for event in events:
            self._take(event, objected, leaving, choice)
        if not self._secret:
            self._confide()
        return []

    def _confide(self) -> None:
        """Look whether what stands there now is an operator's key."""
        editor = self._editor
        text, cursor = editor.text, editor.cursor
        if confides(text) == self._confided:
            return
        self._confided = not self._confided
        self._begin(unseen=self._confided)
        if self._confided or COMMAND.startswith(text.strip().lower()):
            self._editor.set_text(text, cursor)
        else:
            self._hint(FORGOTTEN)

    def _take(
        self, event: Event, objected: str | None, leaving: bool, choice: _Choice | None
    ) -> None:
        match event:
            case Entered(text):
                self._enter(text, insists=text == objected)
            case AskPaste(lines):
                self._hint(f"paste of {lines} lines: Enter takes it, Escape drops it")
            case TooMuch(reason):
                self._hint(reason, ALARM)
            case Wish.INTERRUPT if not leaving:
                self._leaving = True
                self._hint(LEAVES)
            case Wish.INTERRUPT | Wish.END:
                self._owner.leave()
            case Wish.COMPLETE:
                self._complete(choice, 1)
            case Wish.COMPLETE_BACK:
                self._complete(choice, -1)

    def _hint(self, text: str, style: Style = ("1", "1")) -> None:
        self._hints = (line(clean(text), style),)

    def _enter(self, text: str, insists: bool) -> None:
        if not self.is_secret and text.strip():
            reason = None if insists else self._owner.objection(text)
            if reason is not None:
                self._objected = text
                self._editor.set_text(text)
                self._hint(reason, ALARM)
                return
            if self._history is not None:
                self._history.append(text)
        self._owner.entered(text)

    # -- completion -----------------------------------------------------------

    def _complete(self, choice: _Choice | None, step: int) -> None:
        """Put the next candidate into the text, or what all have in common."""
        if self._secret:
            return
        if choice is None:
            choice = self._first_choice()
            if choice is None:
                return
            common = _common(choice.options)
            if len(choice.options) == 1 or len(common) > choice.end - choice.start:
                self._put(choice, common)
                return
        number = choice.number + step
        if choice.number < 0 and step < 0:
            number = -1
        number %= len(choice.options)
        self._put(replace(choice, number=number), choice.options[number])

    def _first_choice(self) -> _Choice | None:
        end = self._editor.cursor
        found = self._owner.completions(self._editor.text[:end])
        if not found.options:
            return None
        return _Choice(found.start, end, found.options, -1)

    def _put(self, choice: _Choice, text: str) -> None:
        self._editor.replace(choice.start, choice.end, text)
        self._objected = None
        self._hints = ()
        if len(choice.options) == 1:
            return
        self._choice = replace(choice, end=self._editor.cursor)
        spans = []
        for number, option in enumerate(choice.options):
            style = CHOSEN if number == choice.number else PLAIN
            spans += [(clean(option.strip()), style), ("  ", PLAIN)]
        self._hints = (Line(tuple(spans[:-1])),)


def _common(options: tuple[str, ...]) -> str:
    """Return what all *options* begin with."""
    first, last = min(options), max(options)
    for length, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:length]
    return first
