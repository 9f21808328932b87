"""What keys do around the text being typed."""

import re
from pathlib import Path

import pytest

from chatroom.client.dialog import CHOSEN, FORGOTTEN, LEAVES, Dialog
from chatroom.client.editor import Wish
from chatroom.client.keys import KeyReader
from chatroom.client.line_history import LineHistory
from chatroom.client.recall import MAX_LINE
from chatroom.client.status import ALARM, Status
from tests.client.fakes import FakeOwner

SHOUT = "all capitals: that would be strike 2 of 2, a kick; Enter again to send"
PASTE = "\x1b[200~{}\x1b[201~"
LEFT, SHIFT_TAB = "\x1b[D", "\x1b[Z"


class Desk:
    """A dialog, its owner, and somebody who types."""

    def __init__(self, history: LineHistory | None = None) -> None:
        self.owner = FakeOwner()
        self.owner.objections["HELLO"] = SHOUT
        self.dialog = Dialog(self.owner, history)
        self.dialog.prompt("> ")
        self.dialog.open()
        self._keys = KeyReader()

    def type(self, keys: str) -> list[Wish]:
        """Press these keys; give the wishes that are left to the terminal."""
        found = self._keys.feed(keys.encode()) + self._keys.time_out()
        return [wish for key in found for wish in self.dialog.press(key)]

    @property
    def text(self) -> str:
        """What stands before the cursor, a bar for it, and what stands behind."""
        area = self.dialog.area(None)
        return f"{area.text[: area.cursor]}|{area.text[area.cursor :]}"

    @property
    def hint(self) -> str:
        """What is hinted at."""
        return "\n".join(hint.text for hint in self.dialog.area(None).hints)


@pytest.fixture
def desk() -> Desk:
    """A dialog without a history."""
    return Desk()


def test_lines_are_told_and_what_stands_there_is_shown(desk: Desk) -> None:
    assert desk.type("one\rtwo" + LEFT) == []
    assert desk.owner.lines == ["one"]
    status = Status("lobby")
    area = desk.dialog.area(status)
    assert (area.prompt, area.text, area.cursor) == ("> ", "two", 2)
    assert area.status is status
    desk.type("\x12on")
    assert desk.dialog.area(None).prompt == "search 'on': "


def test_what_is_the_terminals_is_left_to_it(desk: Desk) -> None:
    wishes = desk.type("\x1a\x0c\x1b[O\x1b[I")
    assert wishes == [Wish.SUSPEND, Wish.REDRAW, Wish.AWAY, Wish.BACK]


# -- second thoughts ------------------------------------------------------------


def test_an_objection_keeps_the_text_until_enter_is_pressed_again(desk: Desk) -> None:
    desk.type("HELLO\r")
    assert not desk.owner.lines
    assert desk.text == "HELLO|"
    assert desk.dialog.area(None).hints[0].spans == ((SHOUT, ALARM),)
    desk.type(LEFT + "\x0c\x1b[O")
    assert desk.hint == SHOUT, "the text is still the same"
    desk.type("\r")
    assert desk.owner.lines == ["HELLO"]
    assert (desk.text, desk.hint) == ("|", "")


def test_an_objection_goes_with_the_text(desk: Desk) -> None:
    desk.type("HELLO\rx")
    assert (desk.text, desk.hint) == ("HELLOx|", "")
    desk.type("\x7f\r")
    assert not desk.owner.lines, "asked anew"
    assert desk.hint == SHOUT
    desk.type("\x15hello\r")
    assert desk.owner.lines == ["hello"]


def test_what_was_objected_to_can_be_called_back(desk: Desk) -> None:
    desk.type("HELLO\r\x15\x1b[A")
    assert desk.text == "HELLO|"


def test_leaving_takes_two_keys_in_a_row(desk: Desk) -> None:
    desk.type("x\x03")
    assert (desk.text, desk.hint) == ("|", "")
    desk.type("\x03")
    assert (desk.hint, desk.owner.left) == (LEAVES, 0)
    desk.type("\x1b[O\x1b[I")
    assert desk.hint == LEAVES, "nobody has pressed these"
    desk.type("\x03")
    assert desk.owner.left == 1


@pytest.mark.parametrize("key", ["x\x7f", LEFT, "\r", "\t", "\x01"])
def test_any_other_key_stays(desk: Desk, key: str) -> None:
    desk.type("\x03" + key)
    assert desk.hint == ""
    desk.type("\x03")
    assert (desk.hint, desk.owner.left) == (LEAVES, 0)


def test_the_end_of_input_leaves_at_once(desk: Desk) -> None:
    desk.type("x\x04")
    assert (desk.text, desk.owner.left) == ("x|", 0)
    desk.type("\x7f\x04")
    assert desk.owner.left == 1


# -- pastes ---------------------------------------------------------------------


def test_a_long_paste_asks_first(desk: Desk) -> None:
    paste = PASTE.format("\r".join("abcdefghijk"))
    desk.type(paste)
    assert desk.hint == "paste of 11 lines: Enter takes it, Escape drops it"
    assert desk.text == "|"
    desk.type("\x1b")
    assert (desk.text, desk.hint) == ("|", "")
    desk.type(paste + "\r")
    assert desk.hint == ""
    assert not desk.owner.lines
    desk.type("\r")
    assert desk.owner.lines == ["\n".join("abcdefghijk")]


def test_what_does_not_fit_is_told(desk: Desk) -> None:
    desk.type(PASTE.format("x" * (MAX_LINE + 1)))
    assert "does not fit" in desk.hint
    assert desk.dialog.area(None).hints[0].spans[0][1] == ALARM
    assert desk.text == "|"
    desk.type("y")
    assert (desk.text, desk.hint) == ("y|", "")


# -- completion -----------------------------------------------------------------


def test_one_candidate_is_taken(desk: Desk) -> None:
    desk.owner.options = ("bob: ",)
    desk.type("bo\t")
    assert (desk.text, desk.hint) == ("bob: |", "")


def test_no_candidate_changes_nothing(desk: Desk) -> None:
    desk.type("bo\t")
    assert (desk.text, desk.hint) == ("bo|", "")


def test_several_candidates_come_one_after_the_other(desk: Desk) -> None:
    desk.owner.options = ("bob ", "bodo ", "bonny ")
    desk.type("hi b!" + LEFT + "\t")
    assert desk.text == "hi bo|!", "what they have in common"
    assert desk.hint == "bob  bodo  bonny"
    for chosen in ("bob ", "bodo ", "bonny ", "bob "):
        desk.type("\t")
        assert desk.text == f"hi {chosen}|!"
        (hint,) = desk.dialog.area(None).hints
        assert [t for t, style in hint.spans if style == CHOSEN] == [chosen.strip()]
    for chosen in ("bonny ", "bodo "):
        desk.type(SHIFT_TAB)
        assert desk.text == f"hi {chosen}|!"
    desk.type("x")
    assert desk.hint == ""
    desk.owner.options = ()
    desk.type("\t")
    assert desk.text == "hi bodo x|!", "another key ends it"


def test_without_anything_in_common_the_first_is_taken(desk: Desk) -> None:
    desk.owner.options = ("bob: ", "Bodo: ")
    desk.type("b\t")
    assert desk.text == "bob: |"
    desk.type("\t")
    assert desk.text == "Bodo: |"


def test_backwards_begins_with_the_last(desk: Desk) -> None:
    desk.owner.options = ("anna ", "bob ", "carl ")
    desk.type(SHIFT_TAB)
    assert desk.text == "carl |"
    desk.type(SHIFT_TAB)
    assert desk.text == "bob |"


def test_the_focus_does_not_end_it(desk: Desk) -> None:
    desk.owner.options = ("anna ", "bob ")
    desk.type("\t\x1b[O\x1b[I\t")
    assert desk.text == "bob |"


def test_a_candidate_that_does_not_fit_changes_nothing(desk: Desk) -> None:
    desk.owner.options = ("anna ",)
    desk.type("x" * (MAX_LINE - 1) + " \t")
    assert desk.text == "x" * (MAX_LINE - 1) + " |"


def test_candidates_are_shown_clean(desk: Desk) -> None:
    desk.owner.options = ("a\x1b[2J", "b")
    desk.type("\t")
    assert desk.hint == "a␛[2J  b"
    assert desk.text == "a[2J|"


# -- secrets, and what was typed before -----------------------------------------


def test_a_secret_is_neither_shown_nor_remembered(tmp_path: Path) -> None:
    desk = Desk(LineHistory(tmp_path / "history"))
    desk.owner.options = ("anna", "bob")
    desk.type("half")
    desk.dialog.prompt("password: ", True)
    desk.type("HELLO\t\x1b[A")
    assert desk.text == "|"
    assert desk.dialog.area(None).prompt == "password: "
    desk.type("\x12H")
    assert desk.dialog.area(None).prompt == "password: "
    desk.type("\r")
    assert desk.owner.lines == ["HELLOH"], "no search, and no objection"
    desk.dialog.prompt("> ")
    assert desk.text == "|"
    desk.type("\x1b[A")
    assert desk.text == "|"
    desk.type("said\r")
    assert (tmp_path / "history").read_text() == "said\n"


def test_a_key_is_masked_from_its_first_character_on(tmp_path: Path) -> None:
    desk = Desk(LineHistory(tmp_path / "history"))
    desk.type("/op")
    assert (desk.text, desk.dialog.is_secret) == ("/op|", False)
    desk.type(" s")
    assert (desk.text, desk.dialog.is_secret) == ("/op *|", True)
    desk.type("es\N{COMBINING ACUTE ACCENT}ame" + LEFT + "\t\x12a")
    assert desk.text == "/op *******|*"
    assert desk.dialog.area(None).prompt == "> ", "nothing is searched for"
    desk.type("\x7f\r")
    assert desk.owner.lines == ["/op ses\N{COMBINING ACUTE ACCENT}ame"]
    assert (desk.text, desk.dialog.is_secret) == ("|", False)
    desk.type("\x1b[A")
    assert desk.text == "|"
    desk.type("\x12s")
    assert desk.text == "|"
    desk.type("\x07\x19")
    assert desk.text == "|"
    assert desk.hint == ""
    assert not (tmp_path / "history").exists()
    desk.type("said\r\x1b[A")
    assert desk.text == "said|"
    assert (tmp_path / "history").read_text() == "said\n"


@pytest.mark.parametrize(
    "keys",
    [
        "/op sesame",
        "/op\x1b\rsesame",
        PASTE.format("/op sesame"),
        PASTE.format("/op\rsesame\r"),
        "sesame\x01/op ",
        "/OP sesame",
        "  /op sesame",
        "/o\tsesame",
        PASTE.format("/op5e5a3e5e5a3e5e5a3e"),
        PASTE.format("\r/op5e5a3e5e5a3e5e5a3e"),
    ],
)
def test_however_a_key_gets_there(tmp_path: Path, keys: str) -> None:
    desk = Desk(LineHistory(tmp_path / "history"))
    desk.owner.options = ("/op ",)
    desk.type(keys)
    assert not re.search("sesame|5a3e", desk.text)
    desk.type("\r")
    assert re.search("sesame|5a3e", desk.owner.lines[0])
    desk.type("\x1b[A")
    assert desk.text == "|"
    assert not (tmp_path / "history").exists()


@pytest.mark.parametrize(
    ("keys", "left", "hint"),
    [
        ("\x15", "|", ""),
        ("\x17\x7f", "/op|", ""),
        ("\x17\x7f\x7f", "/o|", ""),
        ("\x01x", "|", FORGOTTEN),
        ("\x01\x1b[3~", "|", FORGOTTEN),
        ("\x01\x1bd", "|", FORGOTTEN),
        ("\x03", "|", ""),
    ],
)
def test_without_its_command_a_key_is_forgotten(
    desk: Desk, keys: str, left: str, hint: str
) -> None:
    desk.type("before\r/op sesame" + keys)
    assert (desk.text, desk.hint) == (left, hint)
    assert not desk.dialog.is_secret
    desk.type("\x19\x19")
    assert desk.text == left, "no key is brought back"
    desk.type("\x03\x1b[A")
    assert desk.text == "before|"


def test_what_is_asked_for_behind_the_command(desk: Desk) -> None:
    desk.type("/op ")
    desk.dialog.prompt("key: ", True)
    assert (desk.text, desk.dialog.is_secret) == ("|", True)
    desk.type("/op sesame\r")
    assert desk.owner.lines == ["/op sesame"], "as it was typed"
    desk.dialog.prompt("> ")
    assert not desk.dialog.is_secret
    desk.type("/op s")
    desk.dialog.prompt("> ")
    assert desk.text == "/op *|", "nothing that happens shows it"


def test_what_was_typed_in_earlier_runs_comes_back(tmp_path: Path) -> None:
    history = LineHistory(tmp_path / "history")
    first = Desk(history)
    first.type("one\r  \rtwo\x1b\rrows\rHELLO\r")
    assert history.read() == ["one", "two\nrows"], "the last was not said"
    second = Desk(history)
    second.type("\x1b[A")
    assert second.text == "two\nrows|"
    second.type("\x1b[A\x1b[A")
    assert second.text == "one|"
