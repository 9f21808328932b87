"""Effects are a closed set: whoever carries them out knows every one of them."""

from dataclasses import fields
from typing import get_args

from chatroom.core import effects


def test_every_effect_is_of_the_union_and_says_whom_it_concerns() -> None:
    kinds = set(get_args(effects.Effect))
    named = {
        value
        for value in vars(effects).values()
        if isinstance(value, type) and value.__module__ == effects.__name__
    }
    assert kinds == named
    for kind in kinds:
        assert {field.name for field in fields(kind)} & {"peer", "room"}, kind


def test_the_module_describes_each_of_them() -> None:
    assert effects.__doc__ is not None
    for kind in get_args(effects.Effect):
        assert f"    {kind.__name__} " in effects.__doc__
