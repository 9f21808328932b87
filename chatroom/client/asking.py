"""As who one wants to be let in, and what a person is asked who is not.

    ask -> answer -> (ask -> answer)* ...

Must not know: how one is let in, how anything is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chatroom.config import MAX_SECRET
from chatroom.core.text import nick_error, to_nfc

MAX_QUESTIONS = 5
"""How often one is asked for another nick, and how often for the password."""


@dataclass(slots=True)
class Question:
    """What a person has to answer to try again."""

    prompt: str
    take: Callable[[str], str | None]
    """Takes an answer, and returns what is wrong with it."""
    text: str = ""
    secret: bool = False
    """Whether nobody may see the answer."""
    inside: bool = False
    """Whether it is asked while one is in, and lines are taken again behind it."""
    times: int = 0
    """How often it has been asked."""

    @property
    def asked_enough(self) -> bool:
        """Whether it is not asked any more."""
        return self.times >= MAX_QUESTIONS


class Asking:
    """A nick and a password, and the questions for them.

    *show_key* is told an operator's key, which is asked for while one is in.
    """

    def __init__(
        self, nick: str | None, password: str | None, show_key: Callable[[str], None]
    ) -> None:
        self._show_key = show_key
        self.nick = nick
        """The name to join with; ``None``: one that the server gives."""
        self.password = password
        which = "which other nick would you like?"
        nick_question = Question("nick: ", self._take_nick, which)
        self._questions = {
            "nick-taken": nick_question,
            "nick-invalid": nick_question,
            "password": Question("password: ", self._take_password, secret=True),
        }
        self.key = Question(
            "operator's key: ", self._take_key, secret=True, inside=True
        )
        self.asked: Question | None = None
        """The one that was asked last, until lines are taken again."""

    @property
    def is_over(self) -> bool:
        """Whether what was asked is of no use to who has got in."""
        return self.asked is None or not self.asked.inside

    def about(self, code: str) -> Question | None:
        """Return what to ask after an error of *code*, ``None`` for nothing."""
        question = self._questions.get(code)
        return None if question is None or question.asked_enough else question

    def _take_nick(self, line: str) -> str | None:
        self.nick = to_nfc(line.strip())
        return nick_error(self.nick)

    def _take_password(self, line: str) -> str | None:
        if len(line.encode()) > MAX_SECRET:
            return f"a password has at most {MAX_SECRET} bytes"
        self.password = line
        return None

    def _take_key(self, line: str) -> str | None:
        key = line.strip()
        if key:
            self._show_key(key)
        return None
