"""The files of the page: small, of one piece, and nothing in them from elsewhere."""

import re

import pytest

from chatroom.server.web import FILES, STATIC

MOST = 60_000
"""Bytes of all of them: somebody on a phone waits for them."""
PAGE, STYLE, SCRIPT = (
    (STATIC / name).read_text(encoding="utf-8") for name, _ in FILES.values()
)


def test_the_page_is_small() -> None:
    """All of it is sent at the first visit, and not compressed."""
    assert sum((STATIC / name).stat().st_size for name, _ in FILES.values()) < MOST


def test_every_file_there_is_served() -> None:
    """What lies in the folder is in the table, and the other way round."""
    assert {path.name for path in STATIC.iterdir()} == {
        name for name, _ in FILES.values()
    }


@pytest.mark.parametrize(
    "pattern",
    [
        r"<script[^>]*>[^<]",  # inline
        r"<style|\sstyle=",
        r"\son\w+=",
        r"javascript:",
        r"(?:src|href|action)=\"(?!/chat\.(?:css|js)\")",
    ],
)
def test_nothing_in_the_page_needs_a_weaker_policy(pattern: str) -> None:
    """The content policy would forbid it, and say so in a console that nobody reads."""
    assert not re.search(pattern, PAGE, re.IGNORECASE)


@pytest.mark.parametrize(
    "pattern",
    [
        r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|setHTML",
        r"\beval\b|new Function|setAttribute\(\s*[\"'`](?:on|style|src)",
        r"DOMParser|createContextualFragment|srcdoc",
    ],
)
def test_what_others_wrote_cannot_become_markup(pattern: str) -> None:
    """Text nodes alone; there is no other door."""
    assert not re.search(pattern, SCRIPT)


def test_nothing_comes_from_elsewhere() -> None:
    """No address of another site, no font, no picture."""
    assert not re.search(r"https?://\w", PAGE + STYLE + SCRIPT)
    assert not re.search(r"@import|@font-face|url\(", STYLE)


def test_every_element_that_the_script_asks_for_is_there() -> None:
    """A wrong id would be found by whoever comes to that line, and by nobody before."""
    asked = re.findall(r"""(?:\$|\bon|\bshow)\("([a-z-]+)\"""", SCRIPT)
    ids = re.findall(r'\sid="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    assert len(asked) > 20
    assert set(asked) <= set(ids)
    labels = re.findall(r'(?:for|aria-[a-z]+by|aria-controls|data-to)="([^"]+)"', PAGE)
    assert set(labels) <= set(ids)
