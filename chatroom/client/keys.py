"""Bytes of a terminal in, keys out.

    feed(bytes) -> [key, ...]
    nothing comes for ``patience`` seconds: time_out() -> [key, ...]

How the bytes are cut makes no difference, but that a run of text may come as several
keys, and that many lines at once are a paste: half a character and half a sequence wait
for their rest.  A sequence that is no key is swallowed whole, so that no answer of a
terminal is taken for text.  Nothing that comes out holds a control character, but for
the tabs and newlines of a paste.  Must not know: what a key does.

The sequences are those of xterm, the VT220, rxvt, the Linux console, tmux and screen,
with modifiers as xterm encodes them; and ``CSI u`` and xterm's ``CSI 27``, which some
send who tell more keys apart.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator
from dataclasses import dataclass

from chatroom.client.glyphs import only_safe

ESCAPE_TIME = 0.2
"""Seconds after which a lone ESC is the key.  A network may tear a sequence by some
50 ms, a busy machine by more; and nothing that Escape does is in a hurry."""
END_TIME = 3.0
"""Seconds without anything after which the end of a paste, or of an answer, does not
come any more: a terminal that has lost it must not hold the keyboard for good."""
BURST_LINES = 10
"""Lines that a person may have typed by the time they are read.  More at once are a
paste into a terminal that marks none, such as the Linux console."""
MAX_PASTE = 65536
"""Characters of a paste that are kept: many times what can be said at once.  Of the
rest only the lines are counted."""
MAX_PARAMETERS = 32
"""Characters of a sequence that are looked at; no key has so many."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key, or what came as if it were one."""

    name: str
    """``text``, ``paste``, ``unknown``, or what is printed on it: ``ctrl-left``."""
    text: str = ""
    """What was typed or pasted."""
    lines: int = 0
    """Lines of a paste, all of it."""


ESC = "\x1b"
TIMED_OUT = ""
"""Stands for the character that does not come."""
UNKNOWN = Key("unknown")
ENTER, BACKSPACE = Key("enter"), Key("backspace")

_SHIFT, _ALT, _CTRL = 1, 2, 4
_CONTROLS = (
    dict.fromkeys(map(chr, [*range(32), 127]), UNKNOWN)
    | {chr(code): Key(f"ctrl-{chr(code + 0x60)}") for code in range(1, 27)}
    | {
        "\x08": BACKSPACE,
        "\t": Key("tab"),
        "\n": ENTER,  # What was typed ahead, before the terminal was ours.
        "\r": ENTER,
        "\x1f": Key("ctrl-_"),
        "\x7f": BACKSPACE,
    }
)
"""What a control character is; ESC never gets here."""
_ALT_CONTROLS = {
    "\x08": Key("alt-backspace"),
    "\n": Key("alt-enter"),
    "\r": Key("alt-enter"),
    "\x7f": Key("alt-backspace"),
}
_CURSOR = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "F": "end",
    "H": "home",
}
"""Behind CSI and SS3."""
_KEYPAD = dict(zip("jklmnopqrstuvwxy", "*+,-./0123456789", strict=True))
"""Behind SS3, where a program has left it in its application mode."""
_BARE = {"I": "focus-in", "O": "focus-out", "Z": "shift-tab"}
"""Behind CSI, without parameters."""
_NUMBERED = {
    1: "home",
    2: "insert",
    3: "delete",
    4: "end",
    5: "page-up",
    6: "page-down",
    7: "home",
    8: "end",
}
_NUMBERED_BY = {"~": 0, "$": _SHIFT, "^": _CTRL, "@": _SHIFT | _CTRL}
"""What ends a number, and which modifiers it is for rxvt."""
_CODED = {8: "backspace", 9: "tab", 13: "enter", 27: "escape", 127: "backspace"}
_CODED_TWINS = {
    "ctrl-[": "escape",
    "ctrl-h": "backspace",
    "ctrl-i": "tab",
    "ctrl-m": "enter",
}
"""Told apart, they mean the same.  Not so Ctrl-J, which is a newline then."""

_TEXT = re.compile("[^\x00-\x1f\x7f]+")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NUMBERS = re.compile("[0-9:;]*")
_TWO_DIGITS = re.compile("[0-9]{1,2}")
_NEWLINE = re.compile("\r\n?|[\u2028\u2029]")
_LINE = re.compile("[^\x00-\x1f\x7f][\r\n]")
"""The end of a line with something in it."""
_PASTE = ("200", "~")
_PASTE_END = f"{ESC}[201~"
_PERHAPS_MORE = re.compile(r"(?:\r|\x1b(?:\[(?:2(?:0(?:1)?)?)?)?)\Z")
"""The end of a piece of a paste that only the next piece explains."""


class KeyReader:
    """Reads what one terminal sends."""

    def __init__(self) -> None:
        # What is not UTF-8 shows that it is not, rather than getting lost.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._at = 0
        """What of the text has been read."""
        self._keys: list[Key] = []
        self.patience: float | None = None
        """Seconds without more after which what has come is all; ``None``: nothing
        waits for more."""
        self._machine = self._read()
        next(self._machine)

    def feed(self, data: bytes) -> list[Key]:
        """Take *data* from the terminal; return the keys that are whole."""
        text = self._decoder.decode(data)
        if text:
            self._machine.send(text)
        return self._take()

    def time_out(self) -> list[Key]:
        """Nothing has followed what waits: return the keys that it is by itself."""
        if self.patience is not None:
            self._machine.send(TIMED_OUT)
        return self._take()

    def _take(self) -> list[Key]:
        keys, self._keys = self._keys, []
        return keys

    def _emit(self, name: str) -> None:
        self._keys.append(Key(name))

    def _type(self, text: str) -> None:
        text = only_safe(text)
        if text:
            self._keys.append(Key("text", text))

    # -- the machine, which is sent text where it has read all of it -------------------

    def _read(self) -> Generator[None, str, None]:
        while True:
            if self._at == len(self._text):
                self._text, self._at = (yield), 0
                if _is_burst(self._text):
                    yield from self._paste(ESCAPE_TIME)
            elif run := _TEXT.match(self._text, self._at):
                self._at = run.end()
                self._type(run[0])
            else:
                char = self._text[self._at]
                self._at += 1
                if char == ESC:
                    yield from self._escape()
                else:
                    self._keys.append(_CONTROLS[char])

    def _next(self) -> Generator[None, str, str]:
        """Read one character of a sequence."""
        if self._at == len(self._text) and not (yield from self._more(ESCAPE_TIME)):
            return TIMED_OUT
        self._at += 1
        return self._text[self._at - 1]

    def _more(self, patience: float) -> Generator[None, str, bool]:
        """Read on, all being read; return whether something has come."""
        self.patience = patience
        self._text, self._at = (yield), 0
        self.patience = None
        return self._text != TIMED_OUT

    def _break_off(self, char: str) -> None:
        """End a sequence before *char*, which is none of it: Ctrl-C always works."""
        self._keys.append(UNKNOWN)
        self._at -= len(char)

    def _escape(self) -> Generator[None, str, None]:
        """Behind ESC."""
        alt = False
        while (char := (yield from self._next())) == ESC:
            # Before a sequence it is Alt, before anything else a key of its own.
            if alt:
                self._emit("escape")
            alt = True
        if char == "[":
            yield from self._control_sequence(_ALT if alt else 0)
        elif char == "O":
            yield from self._single_shift(_ALT if alt else 0)
        else:
            if alt:
                self._emit("escape")
            yield from self._escaped(char)

    def _escaped(self, char: str) -> Generator[None, str, None]:
        """Behind ESC and *char*, which begins no key with parameters."""
        if char == TIMED_OUT:
            self._emit("escape")
        elif char in _ALT_CONTROLS:
            self._keys.append(_ALT_CONTROLS[char])
        elif char in _CONTROLS:
            self._emit("escape")
            self._at -= 1
        elif char in "]PX^_":
            # OSC, DCS, SOS, PM and APC.
            yield from self._string()
        elif char.isascii() and char.isalpha():
            self._emit(f"alt-{char.lower()}")
        else:
            self._keys.append(UNKNOWN)

    def _control_sequence(self, modifiers: int) -> Generator[None, str, None]:
        """Behind CSI: parameters, and one final character."""
        parameters = ""
        char = yield from self._next()
        while " " <= char <= "?":
            if char == "$" and _TWO_DIGITS.fullmatch(parameters):
                break  # For rxvt it is final.
            if len(parameters) < MAX_PARAMETERS:
                parameters += char
            char = yield from self._next()
        if (parameters, char) == _PASTE:
            yield from self._paste(END_TIME)
        elif (parameters, char) == ("", "["):
            yield from self._swallow(1)  # A function key of the Linux console.
        elif (parameters, char) == ("", "M"):
            yield from self._swallow(3)  # A mouse that a program has left switched on.
        elif char == "$" or "@" <= char <= "~":
            self._keys.append(_csi_key(parameters, char, modifiers))
        else:
            self._break_off(char)

    def _single_shift(self, modifiers: int) -> Generator[None, str, None]:
        """Behind SS3: one final character, for some behind modifiers."""
        number = ""
        while "0" <= (char := (yield from self._next())) <= "9":
            number = (number + char)[-MAX_PARAMETERS:]
        if char == TIMED_OUT and not number:
            self._emit("alt-o")
        elif "@" <= char <= "~":
            modifiers |= _modifiers(number)
            if char in _KEYPAD:
                self._type(_KEYPAD[char])
            else:
                self._keys.append(_ss3_key(char, modifiers))
        else:
            self._break_off(char)

    def _swallow(self, count: int) -> Generator[None, str, None]:
        """*count* more characters belong to something unknown."""
        for _ in range(count):
            char = yield from self._next()
            if char == TIMED_OUT or _CONTROL.match(char):
                self._break_off(char)
                return
        self._keys.append(UNKNOWN)

    def _string(self) -> Generator[None, str, None]:
        """A terminal's answer up to its end, which any control character is.

        Where nothing follows at once, a person has pressed Alt and a key.
        """
        char = yield from self._next()
        self._at -= len(char)
        end = None
        more = char != TIMED_OUT
        while more and not (end := _CONTROL.search(self._text, self._at)):
            more = yield from self._more(END_TIME)
        if end is not None:
            self._at = end.start()
            if end[0] == ESC:
                return  # With the backslash behind it it is unknown, too.
            if end[0] == "\x07":
                self._at = end.end()
        self._keys.append(UNKNOWN)

    def _paste(self, patience: float) -> Generator[None, str, None]:
        """A paste up to its end, or *patience* seconds without more of it."""
        pasted = _Pasted()
        text = self._text[self._at :]
        while (end := text.find(_PASTE_END)) < 0:
            more = _PERHAPS_MORE.search(text[-len(_PASTE_END) :])
            sure = len(text) - (len(more[0]) if more else 0)
            pasted.take(text[:sure])
            text = text[sure:]
            if not (yield from self._more(patience)):
                end = len(text)
                break
            text += self._text
        pasted.take(text[:end])
        self._text, self._at = text, min(end + len(_PASTE_END), len(text))
        self._keys.append(pasted.key)


class _Pasted:
    """What has come of a paste."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._room = MAX_PASTE
        self._newlines = 0
        self._last = "\n"

    def take(self, text: str) -> None:
        """It goes on with *text*."""
        text = _NEWLINE.sub("\n", text)
        self._newlines += text.count("\n")
        self._last = text[-1:] or self._last
        if self._room:
            self._kept.append(only_safe(text)[: self._room])
            self._room -= len(self._kept[-1])

    @property
    def key(self) -> Key:
        """All of it, as if it were one key."""
        lines = self._newlines + (self._last != "\n")
        return Key("paste", "".join(self._kept), lines)


def _is_burst(text: str) -> bool:
    """Tell whether *text*, which has come at once, is too much to be typed."""
    return ESC not in text and len(_LINE.findall(text)) > BURST_LINES


def _modifiers(field: str) -> int:
    """Return the modifiers that xterm writes as one more than their sum."""
    return max(int(field) - 1, 0) & (_SHIFT | _ALT | _CTRL) if field else 0


def _with(modifiers: int, name: str) -> Key:
    ctrl = "ctrl-" if modifiers & _CTRL else ""
    alt = "alt-" if modifiers & _ALT else ""
    shift = "shift-" if modifiers & _SHIFT else ""
    return Key(f"{ctrl}{alt}{shift}{name}")


def _ss3_key(final: str, modifiers: int) -> Key:
    if final in _CURSOR:
        return _with(modifiers & ~_SHIFT, _CURSOR[final])
    if final in "abcd":
        return _with(modifiers | _CTRL, _CURSOR[final.upper()])  # Of rxvt.
    return _with(modifiers, "enter") if final == "M" else UNKNOWN


def _csi_key(parameters: str, final: str, modifiers: int) -> Key:
    """Return the key that this sequence is.

    Shift makes no difference where nothing is selected with it.
    """
    if not _NUMBERS.fullmatch(parameters):
        return UNKNOWN
    # What stands behind a colon tells more than is asked for.
    fields = [field.partition(":")[0] for field in parameters.split(";")]
    modifiers |= _modifiers(fields[1]) if len(fields) > 1 else 0
    number = int(fields[0] or 0)
    if final in _CURSOR:
        return _with(modifiers & ~_SHIFT, _CURSOR[final])
    if final in "abcd":
        return _with(modifiers, _CURSOR[final.upper()])  # Of rxvt, with Shift.
    if final == "u":
        return _coded_key(number, modifiers)
    if final in _NUMBERED_BY:
        if number == 27 and len(fields) == 3:
            return _coded_key(int(fields[2] or 0), modifiers)
        if number in _NUMBERED:
            modifiers |= _NUMBERED_BY[final]
            return _with(modifiers & ~_SHIFT, _NUMBERED[number])
    if final in _BARE and not parameters:
        return Key(_BARE[final])
    return UNKNOWN


def _coded_key(code: int, modifiers: int) -> Key:
    """Return the key whose character is *code*."""
    if code in _CODED:
        return _with(modifiers, _CODED[code])
    if code > 0x10FFFF or not chr(code).isprintable():
        return UNKNOWN
    char = chr(code)
    if not modifiers & (_CTRL | _ALT):
        return Key("text", char.upper() if modifiers else char)
    if not char.isascii():
        return UNKNOWN
    key = _with(modifiers & ~_SHIFT, char.lower())
    return Key(_CODED_TWINS.get(key.name, key.name))
