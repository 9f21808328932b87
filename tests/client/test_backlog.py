"""Lines that are not said yet."""

from chatroom.client.backlog import MAX_PENDING, Backlog


def test_lines_wait_in_the_order_typed() -> None:
    backlog = Backlog()
    assert not backlog
    for line in ("one", "", "three"):
        backlog.add(line)
    assert (len(backlog), backlog.size, list(backlog)) == (3, 8, ["one", "", "three"])
    assert [backlog.take() for _ in range(3)] == ["one", "", "three"]
    assert (len(backlog), backlog.size) == (0, 0)


def test_it_is_full_above_so_many_characters() -> None:
    backlog = Backlog()
    backlog.add("x" * MAX_PENDING)
    assert not backlog.is_full
    backlog.add("x")
    assert backlog.is_full
