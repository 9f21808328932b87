"""The text being typed."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatroom.client import editor as module
from chatroom.client.editor import (
    ASK_LINES,
    MAX_PART,
    AskPaste,
    Editor,
    Entered,
    Event,
    TooMuch,
    Wish,
)
from chatroom.client.glyphs import graphemes, text_width
from chatroom.client.keys import Key, KeyReader
from chatroom.client.recall import MAX_LINE, Recall
from tests.client.characters import is_safe

# What joins to clusters, parts words and rows, and is wide.
PIECE = st.text(st.sampled_from("ab_ -\n日é👍🏻\u200d\u0301🇩🇪\u1112\u1161"), max_size=6)
TYPED = PIECE.map(lambda text: Key("text", text.replace("\n", "")))
PASTED = PIECE.map(lambda text: Key("paste", text, text.count("\n") + 1))
EDITS = """
    left right ctrl-b ctrl-f alt-b alt-f ctrl-left ctrl-right alt-left alt-right
    home end ctrl-a ctrl-e ctrl-home ctrl-end backspace delete ctrl-d
    ctrl-w alt-backspace alt-d ctrl-u ctrl-k ctrl-y alt-enter ctrl-j
    up down ctrl-p ctrl-n enter ctrl-c unknown
""".split()
ALL_NAMES = [
    *EDITS,
    *"ctrl-r escape ctrl-g ctrl-z ctrl-l tab shift-tab focus-in focus-out f1".split(),
]


def keys_of(names: str) -> list[Key]:
    """Keys by their names; what stands in quotes is typed."""
    return [
        Key("text", name[1:-1].replace("~", " ")) if name[0] == "'" else Key(name)
        for name in names.split()
    ]


def press(editor: Editor, names: str) -> list[Event]:
    """Press these keys; give what follows."""
    return [event for key in keys_of(names) for event in editor.press(key)]


def marked(editor: Editor) -> str:
    """The text with a bar where the cursor is."""
    return f"{editor.text[: editor.cursor]}|{editor.text[editor.cursor :]}"


def edited(text: str, names: str) -> str:
    """What *names* make of *text*; both with a bar where the cursor is."""
    editor = Editor(Recall())
    editor.set_text(text.replace("|", ""), text.index("|"))
    press(editor, names)
    return marked(editor)


# -- against a model ---------------------------------------------------------------


class Model:
    """The same editor over two lists of clusters, without any haste."""

    def __init__(self, stored: list[str]) -> None:
        self.before: list[str] = []
        self.behind: list[str] = []
        self.stored = stored
        self.places = [*stored, ""]
        self.place = len(stored)
        self.killed = ""
        self.killing = False
        self.goal: int | None = None

    @property
    def text(self) -> str:
        return "".join(self.before + self.behind)

    def settle(self, before: str, behind: str) -> None:
        self.before, self.behind = [], graphemes(before + behind)
        while len("".join(self.before)) < len(before):
            self.before.append(self.behind.pop(0))

    def press(self, key: Key) -> list[Event]:
        killing, self.killing = self.killing, False
        goal, self.goal = self.goal, None
        before, behind = "".join(self.before), "".join(self.behind)
        match key.name:
            case "text" | "paste":
                self.settle(before + key.text, behind)
            case "alt-enter" | "ctrl-j":
                self.settle(before + "\n", behind)
            case "left" | "ctrl-b":
                self.step(-1)
            case "right" | "ctrl-f":
                self.step(1)
            case "alt-b" | "ctrl-left" | "alt-left":
                self.run(-1, self.wordy)
            case "alt-f" | "ctrl-right" | "alt-right":
                self.run(1, self.wordy)
            case "home" | "ctrl-a":
                self.far(-1)
            case "end" | "ctrl-e":
                self.far(1)
            case "ctrl-home":
                self.settle("", self.text)
            case "ctrl-end":
                self.settle(self.text, "")
            case "backspace":
                self.settle("".join(self.before[:-1]), behind)
            case "ctrl-d" if not self.text:
                return [Wish.END]
            case "delete" | "ctrl-d":
                self.settle(before, "".join(self.behind[1:]))
            case "ctrl-w":
                self.kill(killing, lambda: self.run(-1, lambda c: not c.isspace()))
            case "alt-backspace":
                self.kill(killing, lambda: self.run(-1, self.wordy))
            case "alt-d":
                self.kill(killing, lambda: self.run(1, self.wordy))
            case "ctrl-u":
                self.kill(killing, lambda: self.to_newline(-1) or self.step(-1))
            case "ctrl-k":
                self.kill(killing, lambda: self.to_newline(1) or self.step(1))
            case "ctrl-y":
                self.settle(before + self.killed, behind)
            case "up" if "\n" in before:
                self.vertical(-1, goal)
            case "down" if "\n" in behind:
                self.vertical(1, goal)
            case "up" | "ctrl-p":
                self.visit(self.place - 1)
            case "down" | "ctrl-n":
                self.visit(self.place + 1)
            case "enter":
                text = self.text
                if text.strip() and self.stored[-1:] != [text]:
                    self.stored.append(text)
                self.forget()
                return [Entered(text)]
            case "ctrl-c":
                if not self.text:
                    return [Wish.INTERRUPT]
                self.forget()
            case "unknown":
                self.killing, self.goal = killing, goal
        return []

    def forget(self) -> None:
        self.places = [*self.stored, ""]
        self.place = len(self.stored)
        self.settle("", "")

    def visit(self, place: int) -> None:
        if 0 <= place < len(self.places):
            self.places[self.place] = self.text
            self.place = place
            self.settle(self.places[place], "")

    def step(self, way: int) -> bool:
        """One cluster that way; tell whether there is one."""
        if not self.ahead(way):
            return False
        if way > 0:
            self.before.append(self.behind.pop(0))
        else:
            self.behind.insert(0, self.before.pop())
        return True

    def ahead(self, way: int) -> str:
        """The cluster that is next that way."""
        side = self.before[-1:] if way < 0 else self.behind[:1]
        return "".join(side)

    def wordy(self, cluster: str) -> bool:
        return cluster[0] == "_" or cluster[0].isalnum()

    def run(self, way: int, part: Callable[[str], bool]) -> None:
        while self.ahead(way) and not part(self.ahead(way)):
            self.step(way)
        while self.ahead(way) and part(self.ahead(way)):
            self.step(way)

    def to_newline(self, way: int) -> bool:
        """To the end of the row; tell whether it is not there already."""
        moved = False
        while self.ahead(way) not in ("", "\n"):
            moved = self.step(way)
        return moved

    def far(self, way: int) -> None:
        if not self.to_newline(way):
            while self.step(way):
                pass

    def kill(self, killing: bool, move: Callable[[], object]) -> None:
        before, behind = "".join(self.before), "".join(self.behind)
        move()
        now, rest = "".join(self.before), "".join(self.behind)
        back, forth = before[len(now) :], self.text[len(before) : len(now)]
        if back or forth:
            self.killed = back + (self.killed if killing else "") + forth
            self.killing = True
        else:
            self.killing = killing
        self.settle(now if back else before, behind if back else rest)

    def vertical(self, way: int, goal: int | None) -> None:
        rows = self.text.split("\n")
        row = "".join(self.before).count("\n")
        column = text_width("".join(self.before).rpartition("\n")[2])
        self.goal = column if goal is None else goal
        head = "".join(f"{one}\n" for one in rows[: row + way])
        clusters = graphemes(rows[row + way])
        while text_width("".join(clusters)) > self.goal:
            clusters.pop()
        head += "".join(clusters)
        self.settle(head, self.text[len(head) :])


@settings(max_examples=300)
@given(
    st.lists(PIECE.filter(str.strip), max_size=3),
    st.lists(TYPED | PASTED | st.sampled_from(EDITS).map(Key), max_size=30),
)
def test_it_does_what_a_model_does(lines: list[str], keys: list[Key]) -> None:
    recall = Recall(lines)
    editor, model = Editor(recall), Model(list(recall.lines))
    for key in keys:
        assert editor.press(key) == model.press(key), key
        assert editor.text == model.text, key
        assert editor.text[: editor.cursor] == "".join(model.before), key
        assert recall.lines == model.stored
        assert editor.label == ""


@given(st.lists(TYPED | PASTED | st.sampled_from(ALL_NAMES).map(Key), max_size=30))
def test_whatever_is_pressed_the_cursor_is_between_clusters(keys: list[Key]) -> None:
    editor = Editor(Recall(["one", "two\nthree"]))
    for key in keys:
        editor.press(key)
        before = graphemes(editor.text[: editor.cursor])
        assert graphemes(editor.text)[: len(before)] == before
        assert 0 <= editor.cursor <= len(editor.text)


@given(st.lists(st.binary(max_size=8) | st.sampled_from([b"\x1b[200~", b"\x1b[201~"])))
def test_no_control_character_enters_the_text(data: list[bytes]) -> None:
    reader, editor = KeyReader(), Editor(Recall())
    texts = []
    for key in reader.feed(b"".join(data)):
        for event in editor.press(key):
            if isinstance(event, Entered):
                texts.append(event.text)
        texts += [editor.text, editor.label]
    assert all(is_safe(char) or char in "\t\n" for text in texts for char in text)


# -- keys one by one -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("ab|", "left 'x'", "ax|b"),
        ("a|b", "right right 'x'", "abx|"),
        ("ae\u0301|", "left", "a|e\u0301"),
        ("ae\u0301|", "backspace", "a|"),
        ("👨\u200d👩\u200d👧|", "backspace backspace", "|"),
        ("🇩🇪🇫🇷|", "left 'x'", "🇩🇪x|🇫🇷"),
        ("|🇩🇪🇫🇷", "delete", "|🇫🇷"),
        # What is typed may join, and so may what comes together.
        ("\n|\u0301", "'e'", "\ne\u0301|"),
        ("e|x\u0301", "delete", "e|"),
        ("e\n|\u0301x", "backspace", "e\u0301|x"),
        ("🇩x|🇪🇫", "backspace", "🇩🇪|🇫"),
        ("x|🇪🇫", "'🇩'", "x🇩🇪|🇫"),
        # Words.
        ("one two-three|", "alt-b", "one two-|three"),
        ("one two-three|", "alt-b alt-b alt-b alt-b", "|one two-three"),
        ("|one two-three", "alt-f", "one| two-three"),
        ("|one, two", "ctrl-right ctrl-right", "one, two|"),
        ("e\u0301te\u0301 x|", "alt-b alt-b", "|e\u0301te\u0301 x"),
        ("one two-three |", "ctrl-w", "one |"),
        ("one two-three |", "alt-backspace", "one two-|"),
        ("one| two", "alt-d", "one|"),
        ("one| two", "ctrl-delete", "one|"),
        # Ends: of the row, then of all.
        ("one\ntw|o\nx", "home", "one\n|two\nx"),
        ("one\ntw|o\nx", "home home", "|one\ntwo\nx"),
        ("one\ntw|o\nx", "ctrl-e", "one\ntwo|\nx"),
        ("one\ntw|o\nx", "ctrl-e ctrl-e", "one\ntwo\nx|"),
        ("one\ntw|o", "ctrl-home 'x'", "x|one\ntwo"),
        # Rows.
        ("abc\n日本x|", "up", "abc|\n日本x"),
        ("abcd\n日本|x", "up", "abcd|\n日本x"),
        ("abc|\n日本x", "down", "abc\n日|本x"),
        ("abcd|\nx\nabcd", "down down", "abcd\nx\nabcd|"),
        ("abcd|\nx\nabcd", "down left right down", "abcd\nx\na|bcd"),
        ("a|b", "alt-enter", "a\n|b"),
        ("a|b", "ctrl-j", "a\n|b"),
        # Kill and yank.
        ("one two|", "ctrl-w ctrl-w ctrl-y ctrl-y", "one twoone two|"),
        ("one two|", "ctrl-w 'x' ctrl-w ctrl-y", "one x|"),
        ("one |two", "ctrl-k ctrl-u ctrl-y", "one two|"),
        ("one two|", "ctrl-w left ctrl-u end ctrl-y", " one|"),
        ("a\nb|c", "ctrl-u", "a\n|c"),
        ("a\nb|c", "ctrl-u ctrl-u", "a|c"),
        ("a|b\nc", "ctrl-k ctrl-k", "a|c"),
        ("a|", "ctrl-k ctrl-y", "a|"),
        ("one|", "ctrl-u ctrl-k ctrl-u unknown ctrl-y", "one|"),
        # Nothing to do.
        ("|", "left right home end backspace delete ctrl-w ctrl-u up down", "|"),
        ("a|b", "unknown f12 page-up insert escape ctrl-g ctrl-t", "a|b"),
        ("ab|", "ctrl-d", "ab|"),
        ("|ab", "ctrl-d", "|b"),
    ],
)
def test_keys(text: str, names: str, expected: str) -> None:
    assert edited(text, names) == expected


@pytest.mark.parametrize(
    ("names", "events"),
    [
        ("'ab' enter enter", [Entered("ab"), Entered("")]),
        ("'ab' alt-enter 'c' enter", [Entered("ab\nc")]),
        ("'ab' ctrl-c ctrl-c", [Wish.INTERRUPT]),
        ("'ab' ctrl-d ctrl-u ctrl-d", [Wish.END]),
        ("'ab' ctrl-z ctrl-l", [Wish.SUSPEND, Wish.REDRAW]),
        ("tab 'a' shift-tab", [Wish.COMPLETE, Wish.COMPLETE_BACK]),
        ("focus-out focus-in", [Wish.AWAY, Wish.BACK]),
    ],
)
def test_what_keys_ask_for(names: str, events: list[Event]) -> None:
    assert press(Editor(Recall()), names) == events


def test_each_key_has_one_meaning() -> None:
    names = [
        *module._ANY_TIME,
        *module._WISHES,
        *module._MOVES,
        *module._ERASERS,
        *module._KILLS,
        *module._ACTS,
    ]
    assert len(names) == len(set(names))


# -- how long it takes, in characters that are looked at -----------------------------


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all that was parted into clusters."""
    lengths: list[int] = []

    def counting(text: str) -> list[str]:
        lengths.append(len(text))
        return graphemes(text)

    monkeypatch.setattr(module, "graphemes", counting)
    return lengths


@pytest.mark.parametrize("name", [*EDITS, "'x'", "ctrl-r"])
@pytest.mark.parametrize("text", ["日", "e\u0301\n", "\u0301"])
def test_a_key_costs_no_more_than_the_text(
    name: str, text: str, looked_at: list[int]
) -> None:
    editor = Editor(Recall())
    editor.set_text(text * 1000, 500 * len(text))
    looked_at.clear()
    press(editor, name)
    assert sum(looked_at) <= 2 * len(text) * 1000


def test_typing_ascii_costs_nothing_of_it(looked_at: list[int]) -> None:
    editor = Editor(Recall())
    for _ in range(1000):
        press(editor, "'x'")
    assert looked_at == []


# -- set from outside --------------------------------------------------------------


def test_text_from_outside() -> None:
    editor = Editor(Recall())
    editor.set_text("/msg bo hello", 7)
    editor.replace(5, 7, "bob\x1b ")
    assert marked(editor) == "/msg bob | hello"
    editor.replace(0, 0, "x" * MAX_LINE)
    assert marked(editor) == "/msg bob | hello"
    editor.set_text("e\u0301", 1)
    assert marked(editor) == "e\u0301|"
    editor.set_text("\x1b[x" * MAX_LINE)
    assert editor.text == ("[x" * MAX_LINE)[:MAX_LINE]
    editor.set_text("ab\x1b", 3)
    assert marked(editor) == "ab|"
    editor.clear()
    assert marked(editor) == "|"


# -- what does not fit ---------------------------------------------------------------


def test_what_is_typed_beyond_the_limit_is_refused_and_told() -> None:
    editor = Editor(Recall())
    (event,) = editor.press(Key("text", "x" * (MAX_LINE + 1)))
    assert isinstance(event, TooMuch)
    assert str(MAX_LINE) in event.reason
    assert editor.text == "x" * MAX_LINE
    for name in ("'y'", "alt-enter", "home 'y'"):
        assert [type(event) for event in press(editor, name)] == [TooMuch]
    assert editor.text == "x" * MAX_LINE
    assert press(editor, "end backspace 'y'") == []
    assert editor.text == "x" * (MAX_LINE - 1) + "y"


def test_a_paste_fits_or_is_refused_whole() -> None:
    editor = Editor(Recall())
    press(editor, "'abc'")
    for length in (MAX_LINE, MAX_LINE - 2):
        (event,) = editor.press(Key("paste", "x\n" * (length // 2), length // 2))
        assert isinstance(event, TooMuch)
    assert marked(editor) == "abc|"
    assert editor.press(Key("paste", "x" * (MAX_LINE - 3), 1)) == []
    assert len(editor.text) == MAX_LINE
    press(editor, "ctrl-w ctrl-y")
    assert [type(event) for event in press(editor, "ctrl-y")] == [TooMuch]
    assert len(editor.text) == MAX_LINE


# -- pastes ------------------------------------------------------------------------

LONG = Key("paste", "x\n" * (ASK_LINES + 1), ASK_LINES + 1)


def test_a_short_paste_is_part_of_the_text_as_it_is() -> None:
    editor = Editor(Recall())
    press(editor, "'ac' left")
    assert editor.press(Key("paste", "1\n\t2\n" * (ASK_LINES // 2), ASK_LINES)) == []
    assert marked(editor) == "a" + "1\n\t2\n" * (ASK_LINES // 2) + "|c"


def test_a_long_paste_asks_first() -> None:
    editor = Editor(Recall())
    press(editor, "'ac' left")
    assert editor.press(LONG) == [AskPaste(ASK_LINES + 1)]
    assert marked(editor) == "a|c"
    assert editor.label == f"insert {ASK_LINES + 1} lines? "
    assert press(editor, "enter") == []
    assert marked(editor) == f"a{LONG.text}|c"
    assert editor.label == ""


@pytest.mark.parametrize("name", ["escape", "ctrl-c", "ctrl-g"])
def test_a_long_paste_can_be_dropped(name: str) -> None:
    editor = Editor(Recall())
    press(editor, "'ac' left")
    editor.press(LONG)
    assert press(editor, name) == []
    assert marked(editor) == "a|c"
    assert press(editor, "enter") == [Entered("ac")]


def test_another_key_drops_it_too_and_does_what_it_does() -> None:
    editor = Editor(Recall())
    editor.press(LONG)
    assert press(editor, "focus-out focus-in unknown ctrl-l") == [
        Wish.AWAY,
        Wish.BACK,
        Wish.REDRAW,
    ]
    assert editor.label != ""
    assert press(editor, "'b' enter") == [Entered("b")]


def test_another_paste_takes_its_place() -> None:
    editor = Editor(Recall())
    editor.press(LONG)
    assert editor.press(Key("paste", "y\n" * 20, 20)) == [AskPaste(20)]
    press(editor, "enter")
    assert editor.text == "y\n" * 20
    editor.press(LONG)
    editor.clear()
    assert editor.label == ""


def test_a_paste_of_a_mebibyte() -> None:
    """It is one key and one event, however much it is."""
    reader, editor = KeyReader(), Editor(Recall())
    data = b"\x1b[200~" + b"line of some length\r\n" * 50_000 + b"\x1b[201~"
    keys = [
        key
        for at in range(0, len(data), 65536)
        for key in reader.feed(data[at : at + 65536])
    ]
    events = [event for key in keys for event in editor.press(key)]
    assert [type(event) for event in events] == [TooMuch]
    assert editor.text == ""


# -- lines typed before --------------------------------------------------------------


def test_stepping_through_lines() -> None:
    editor = Editor(Recall(["one", "two\nrows"]))
    press(editor, "'draft' up")
    assert marked(editor) == "two\nrows|"
    press(editor, "up")
    assert marked(editor) == "two|\nrows"
    press(editor, "up")
    assert marked(editor) == "one|"
    press(editor, "up 'x'")
    assert marked(editor) == "onex|"
    press(editor, "down")
    assert marked(editor) == "two\nrows|"
    press(editor, "ctrl-n")
    assert marked(editor) == "draft|"
    press(editor, "down ctrl-p ctrl-p")
    assert marked(editor) == "onex|"
    assert press(editor, "enter up up up") == [Entered("onex")]
    assert marked(editor) == "two|\nrows"


def test_what_is_cleared_is_no_longer_the_newest_place() -> None:
    editor = Editor(Recall(["one"]))
    press(editor, "'draft' up ctrl-c down up down")
    assert marked(editor) == "|"


# -- search --------------------------------------------------------------------------

LINES = ["tea for two", "coffee", "Tea?", "tea?", "tea?!"]


def test_search() -> None:
    editor = Editor(Recall(LINES))
    press(editor, "'draft' left ctrl-r")
    assert (editor.label, marked(editor)) == ("search '': ", "draf|t")
    press(editor, "ctrl-r 't' 'EA?'")
    assert (editor.label, marked(editor)) == ("search 'tEA?': ", "tea?!|")
    press(editor, "ctrl-r ctrl-r")
    assert marked(editor) == "Tea?|"
    press(editor, "ctrl-r")
    assert (editor.label, marked(editor)) == ("nothing with 'tEA?': ", "Tea?|")
    press(editor, "backspace")
    assert (editor.label, marked(editor)) == ("search 'tEA': ", "tea?!|")
    press(editor, "'~for'")
    assert marked(editor) == "tea for two|"
    press(editor, "backspace " * 7)
    assert (editor.label, marked(editor)) == ("search '': ", "draf|t")


def test_what_was_found_is_entered_or_edited() -> None:
    editor = Editor(Recall(LINES))
    assert press(editor, "ctrl-r 'cof' enter") == [Entered("coffee")]
    assert (editor.label, editor.text) == ("", "")
    press(editor, "'draft' ctrl-r 'two' escape 'x'")
    assert (editor.label, marked(editor)) == ("", "tea for twox|")
    press(editor, "ctrl-c 'draft' ctrl-r 'cof' home 'x'")
    assert marked(editor) == "x|coffee"
    press(editor, "ctrl-c 'draft' ctrl-r '?!' down")
    assert marked(editor) == "coffee|", "entered meanwhile"
    press(editor, "down")
    assert marked(editor) == "draft|"


def test_what_was_not_looked_for_is_not_entered_unseen() -> None:
    editor = Editor(Recall(LINES))
    assert press(editor, "'draft' ctrl-r 'x' enter") == []
    assert (editor.label, marked(editor)) == ("", "draft|")
    assert press(editor, "enter") == [Entered("draft")]


@pytest.mark.parametrize("name", ["ctrl-g", "ctrl-c"])
@pytest.mark.parametrize("names", ["", "'two'", "'x'", "'tea' ctrl-r", "ctrl-l"])
def test_a_search_given_up_leaves_all_as_it_was(name: str, names: str) -> None:
    editor = Editor(Recall(LINES))
    press(editor, "'draft' up up 'x' left")
    press(editor, f"ctrl-r {names} {name}")
    assert (editor.label, marked(editor)) == ("", "tea?|x")
    press(editor, "down down")
    assert marked(editor) == "draft|"


def test_a_search_from_an_older_line_goes_on_from_there() -> None:
    editor = Editor(Recall(LINES))
    press(editor, "up up up ctrl-r 'tea'")
    assert marked(editor) == "Tea?|"


def test_what_is_searched_for_has_a_limit() -> None:
    editor = Editor(Recall(LINES))
    press(editor, "ctrl-r 'x'")
    (event,) = editor.press(Key("text", "x" * MAX_PART))
    assert isinstance(event, TooMuch)
    assert editor.label == "nothing with 'x': "


def test_a_paste_ends_a_search() -> None:
    editor = Editor(Recall(LINES))
    press(editor, "ctrl-r 'cof'")
    editor.press(Key("paste", "\tx", 1))
    assert (editor.label, editor.text) == ("", "coffee\tx")
