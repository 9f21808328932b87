"""What holds for every test: how examples are played, and that nothing is left."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.leaks import Watch

# A busy machine makes single examples slow; that is no failure. What fails is
# printed with the line that plays it again.
settings.register_profile("chatroom", deadline=None, print_blob=True)
settings.load_profile("chatroom")


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Hold every test to leaving no descriptor and no loop open.

    It comes before all other fixtures of a test, so theirs are gone when it looks; what
    a module's fixtures have opened was there before.
    """
    watch = Watch()
    yield
    left = watch.left()
    assert not left, f"left behind: {'; '.join(left)}"
