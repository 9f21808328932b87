"""The lines that were typed before."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chatroom.client.recall import MAX_LINE, MAX_LINES, Recall, dump, load
from tests.client.characters import is_safe

LIMIT = 4
LINE = st.text(st.sampled_from("aAb \n\\n"), max_size=3)


class Against(RuleBasedStateMachine):
    """Recall against places that each hold a line as it was, and as it is now."""

    def __init__(self) -> None:
        super().__init__()
        self.recall = Recall(limit=LIMIT)
        self.stored: list[str] = []
        self.now = [""]
        """The same, as edited, and the line being typed behind them."""
        self.at = 0

    def stand(self, at: int, found: str | None) -> None:
        """One should stand there now; or nowhere else than before."""
        if 0 <= at < len(self.now):
            self.at = at
            assert found == self.now[at]
        else:
            assert found is None

    @rule(text=LINE)
    def edit(self, text: str) -> None:
        self.now[self.at] = text

    @rule()
    def older(self) -> None:
        self.stand(self.at - 1, self.recall.older(self.now[self.at]))

    @rule()
    def newer(self) -> None:
        self.stand(self.at + 1, self.recall.newer(self.now[self.at]))

    @rule(part=st.sampled_from(["", "a", "B", "\\", "x"]), further=st.booleans())
    def search(self, part: str, further: bool) -> None:
        text = self.now[self.at]
        found = self.recall.search(part, text, further)
        hits = [
            at
            for at, line in enumerate(self.stored)
            if at <= self.at
            and part.lower() in line.lower()
            and not (further and line == text)
        ]
        if hits:
            self.at = hits[-1]
            self.now[self.at] = self.stored[self.at]
            assert found == self.stored[self.at]
        else:
            assert found is None

    @rule()
    def add(self) -> None:
        line = self.now[self.at]
        self.recall.add(line)
        if not line.isspace() and line and self.stored[-1:] != [line]:
            self.stored = [*self.stored, line][-LIMIT:]
        self.forget()

    @rule()
    def rewind(self) -> None:
        self.recall.rewind()
        self.forget()

    def forget(self) -> None:
        self.now = [*self.stored, ""]
        self.at = len(self.stored)

    @invariant()
    def lines_stay_what_they_were(self) -> None:
        assert self.recall.lines == self.stored
        assert self.recall.place == self.at


TestAgainstPlaces = Against.TestCase


def test_what_is_being_typed_is_the_newest_place() -> None:
    recall = Recall(["one", "two"])
    assert recall.older("thr") == "two"
    assert recall.older("TWO") == "one"
    assert recall.older("one") is None
    assert recall.newer("one") == "TWO"
    assert recall.newer("TWO") == "thr"
    assert recall.newer("thr") is None
    recall.add("three")
    assert recall.lines == ["one", "two", "three"]
    assert [recall.older(""), recall.older("three")] == ["three", "two"]


def test_search_leaves_what_was_being_typed() -> None:
    recall = Recall(["Tea?", "coffee", "tea", "tea "])
    assert recall.search("TEA", "dra") == "tea "
    assert recall.search("TEA", "tea ") == "tea "
    assert recall.search("tea", "tea ", further=True) == "tea"
    assert recall.search("tea", "tea", further=True) == "Tea?"
    assert recall.search("tea", "Tea?", further=True) is None
    assert recall.search("coffee", "Tea?") is None, "only older ones"
    assert recall.newer("Tea?") == "coffee"
    assert recall.place == 1


def test_lines_have_a_limit() -> None:
    recall = Recall(map(str, range(MAX_LINES + 5)))
    assert recall.lines == [str(number) for number in range(5, MAX_LINES + 5)]
    assert load(dump(map(str, range(MAX_LINES + 5)))) == recall.lines


@given(st.lists(LINE | st.text(st.characters().filter(is_safe)), max_size=8))
@example(["\\n", "\\\\n", "\n\\", "a\tb\nc"])
def test_what_is_dumped_is_loaded(lines: list[str]) -> None:
    lines = [line for line in lines if line.strip()]
    text = dump(lines)
    assert text.count("\n") == len(lines)
    assert load(text) == lines


@given(st.text(st.characters() | st.sampled_from("\\n\n\t\r\x1b")))
def test_any_file_can_be_loaded(text: str) -> None:
    lines = load(text)
    assert all(is_safe(char) or char in "\t\n" for line in lines for char in line)
    assert all(line.strip() for line in lines)
    assert load(dump(lines)) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("one\ntwo", ["one", "two"]),
        ("\n \n\\n\n", []),
        ("a\\nb\\\\n\\c\\", ["a\nb\\n\\c\\"]),
        ("a\r\nb\x1b[A\udcff\n", ["a", "b[A"]),
        ("x" * MAX_LINE + "\n" + "x" * (MAX_LINE + 1), ["x" * MAX_LINE]),
    ],
)
def test_what_a_file_may_hold(text: str, lines: list[str]) -> None:
    assert load(text) == lines
