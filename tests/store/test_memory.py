"""The store in memory: what every store promises, and what only this one does."""

from chatroom.store import Store
from chatroom.store.memory import MemoryStore
from tests.store.conformance import StoreConformance, said


class TestMemoryStore(StoreConformance):
    """It passes what every store has to pass."""

    def make(self, keep: int = 0, keep_bytes: int = 0) -> Store:
        return MemoryStore("log-1", keep, keep_bytes)


def test_the_identity_is_the_one_it_is_given() -> None:
    assert MemoryStore("abc").identity == "abc"


def test_nothing_is_kept_beyond_the_process() -> None:
    store = MemoryStore("one")
    store.keep(said("lobby"), {}, {}, 0.0, 0)
    store.close()
    assert MemoryStore("two").open_log("lobby").last_id == 0
