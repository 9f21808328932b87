"""What holds for every test: how examples are played, and that nothing is left."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.leaks import Watch

# A busy machine makes single examples slow; that is no failure. What fails is
# printed with the line that plays it again.
settings.register_profile("chatroom", deadline=None, print_blob=True)
settings.load_profile("chatroom")


@pytest.fixture(scope="session", autouse=True)
def _nobody_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them, and theirs unharmed."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable)))
        yield


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
