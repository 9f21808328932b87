"""Starts the server with something done to it from outside, and nothing in it changed.

    python -m tests.crash.launcher PLAN ARGUMENT...   one server, as bin/chat-server
    python -m tests.crash.launcher                    many, one after the other (below)

PLAN is a JSON object.  ``die_at`` N: the process kills itself with SIGKILL at the N-th
*step*; a step is whatever comes before or after a statement of the history, a commit,
a receipt or a sending of bytes, and the middle of each sending; with ``awake`` TEXT
they are counted only from the receipt of bytes that hold TEXT on.  ``die_before`` TEXT:
it does so before it sends bytes that hold TEXT; ``die_after``: when it has sent them;
``die_in``: before it writes a message that holds it, inside the transaction.
``refuse_in``: the disk is full where a message that holds TEXT is to be written.
``short``: sockets take random parts of what they are given, as they may.  ``fault``: a
mistake is built in (``FAULTS``), which the checker has to find.

Without arguments it reads a JSON array [PLAN, [ARGUMENT, ...], LOG] from each line of
its stdin and forks a server for it, which is much faster than an interpreter for each.
It prints ``started PID``, then what the server prints, and ``ended PID CODE``.
"""

import json
import os
import random
import select
import signal
import socket
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypedDict, cast

from chatroom import cli
from chatroom.core.requests import Say
from chatroom.errors import StoreError
from chatroom.net.transport import Transport
from chatroom.server import app, show
from chatroom.store import sqlite
from chatroom.wire.protocol import NativeProtocol


class Plan(TypedDict, total=False):
    """What is done to a server."""

    die_at: int
    awake: str
    die_before: str
    die_after: str
    die_in: str
    refuse_in: str
    short: int
    fault: str


def _put(owner: Any, name: str, value: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, value)


# -- dying ------------------------------------------------------------------------


class Steps:
    """Counts the steps, and ends the process at one of them."""

    def __init__(self, plan: Plan) -> None:
        self.count = 0
        self._last = plan.get("die_at", 0)
        self._asleep = "awake" in plan
        self._alarm = plan.get("awake", "").encode()
        self._before = plan.get("die_before", "").encode()
        self._after = plan.get("die_after", "").encode()
        self._in = plan.get("die_in", "")
        self._refuse = plan.get("refuse_in", "")

    def step(self) -> None:
        """One more step."""
        if self._asleep:
            return
        self.count += 1
        if self.count == self._last:
            die()

    def statement(self, words: object) -> None:
        """A statement of these *words* is about to be executed."""
        self.step()
        if self._in and self._in in repr(words):
            die()
        if self._refuse and self._refuse in repr(words):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    def received(self, data: bytes) -> None:
        """*data* has come."""
        self._asleep = self._asleep and self._alarm not in data
        self.step()

    def before(self, data: bytes) -> None:
        """*data* is about to be sent."""
        self.step()
        if self._before and self._before in data:
            die()

    def middle(self) -> bool:
        """Tell whether the next step is the last: then half of it is still sent."""
        self.count += not self._asleep
        return not self._asleep and self.count == self._last

    def after(self, data: bytes) -> None:
        """*data* has been sent."""
        if self._after and self._after in data:
            die()


def die() -> None:
    """End this process as nothing else does: it has no last word."""
    os.kill(os.getpid(), signal.SIGKILL)


def count_statements(steps: Steps) -> None:
    """Let each statement of the history be a step."""

    class Counted(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            steps.statement(args)
            return super().execute(*args)

        def executemany(self, *args: Any) -> sqlite3.Cursor:
            steps.statement(args)
            return super().executemany(*args)

        def executescript(self, *args: Any) -> sqlite3.Cursor:
            steps.step()
            return super().executescript(*args)

    original = sqlite3.connect

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        return cast("sqlite3.Connection", original(*args, factory=Counted, **options))

    _put(sqlite3, "connect", connect)
    keep = sqlite.SqliteStore.keep

    def kept(self: sqlite.SqliteStore, *args: Any) -> None:
        keep(self, *args)
        steps.step()

    _put(sqlite.SqliteStore, "keep", kept)


def count_bytes(steps: Steps, short: random.Random | None) -> None:
    """Let bytes that come and go be steps; with *short* sockets take parts of them."""
    send, sendmsg, recv = socket.socket.send, socket.socket.sendmsg, socket.socket.recv

    def part(size: int) -> int:
        if short is None or size < 2 or short.random() < 0.6:
            return size
        return short.randrange(1, size)

    def counted_send(self: socket.socket, data: bytes, *flags: int) -> int:
        steps.before(data)
        if steps.middle():
            send(self, data[: len(data) // 2])
            die()
        sent = send(self, data[: part(len(data))], *flags)
        steps.after(data)
        return sent

    def counted_sendmsg(self: socket.socket, chunks: Iterable[bytes]) -> int:
        data = b"".join(bytes(chunk) for chunk in chunks)
        steps.before(data)
        if steps.middle():
            sendmsg(self, [data[: len(data) // 2]])
            die()
        sent = sendmsg(self, [data[: part(len(data))]])
        steps.after(data)
        return sent

    def counted_recv(self: socket.socket, size: int, *flags: int) -> bytes:
        data = recv(self, part(min(size, 512)) if short else size, *flags)
        if data and not flags:
            steps.received(data)
        return data

    for name, method in (
        ("send", counted_send),
        ("sendmsg", counted_sendmsg),
        ("recv", counted_recv),
    ):
        _put(socket.socket, name, method)


# -- mistakes ---------------------------------------------------------------------


def show_before_commit() -> None:
    """A tick is written when the next one is; it is shown at once."""
    write = sqlite.SqliteStore._write
    held: list[tuple[Any, ...]] = []

    def late(self: sqlite.SqliteStore, *args: Any) -> None:
        if held:
            write(self, *held.pop())
        held.append(args)

    _put(sqlite.SqliteStore, "_write", late)


def drop_the_tail() -> None:
    """What the kernel does not take is forgotten."""
    hold = Transport._hold

    def forgetful(self: Transport, data: bytes, sent: int) -> None:
        if sent:
            return
        hold(self, data, sent)

    _put(Transport, "_hold", forgetful)


def reuse_an_id() -> None:
    """After a start the last number is given a second time."""
    load = sqlite.SqliteStore.load_sessions

    def forgetful(self: sqlite.SqliteStore, *args: Any) -> Any:
        for room in self._last_ids:
            self._last_ids[room] -= 1
        return load(self, *args)

    _put(sqlite.SqliteStore, "load_sessions", forgetful)
    for size, insert in sqlite._INSERT.items():
        sqlite._INSERT[size] = insert.replace("INSERT", "INSERT OR REPLACE")


def skip_a_number() -> None:
    """The numbers go on behind a gap after each start."""
    load = sqlite.SqliteStore.load_sessions

    def careless(self: sqlite.SqliteStore, *args: Any) -> Any:
        for room in self._last_ids:
            self._last_ids[room] += 1
        return load(self, *args)

    _put(sqlite.SqliteStore, "load_sessions", careless)


def lose_a_frame() -> None:
    """Each third of what is said is read and forgotten."""
    judge = NativeProtocol.next_message
    said = iter(range(1, 1 << 30))

    def deaf(self: NativeProtocol) -> Any:
        request = judge(self)
        if isinstance(request, Say) and next(said) % 3 == 0:
            return judge(self)
        return request

    _put(NativeProtocol, "next_message", deaf)


def tell_no_last_ref() -> None:
    """Who comes back is not told what was judged."""
    _change_welcome(lambda welcome: replace(welcome, last_ref=None))


def forget_the_strikes() -> None:
    """Who comes back is told that he has none."""
    _change_welcome(lambda welcome: replace(welcome, strikes=0))


def _change_welcome(change: Callable[[Any], Any]) -> None:
    original = vars(show)["encode"]

    def changed(message: Any) -> bytes:
        if type(message).__name__ == "Welcome":
            message = change(message)
        return cast("bytes", original(message))

    _put(show, "encode", changed)


def keep_no_sessions() -> None:
    """Messages are on the disk, sessions are not."""
    _change_writing(lambda rows, ids, _, __, orders: [(rows, ids, [], [], orders)])


def keep_no_orders() -> None:
    """What operators have ordered is on the disk for nobody."""
    _change_writing(lambda *others: [(*others[:-1], {})])


def lift_no_orders() -> None:
    """What they have put out of force is in force again after a start."""

    def given(*what: Any) -> list[tuple[Any, ...]]:
        orders = {key: order for key, order in what[-1].items() if order is not None}
        return [(*what[:-1], orders)]

    _change_writing(given)


def receipts_on_their_own() -> None:
    """Sessions are written before the messages, in a transaction of their own."""

    def twice(rows: Any, ids: Any, *others: Any) -> list[tuple[Any, ...]]:
        first = ([], {}, *others)
        return [first, (rows, ids, [], [], {})] if rows else [first]

    _change_writing(twice)


def _change_writing(change: Callable[..., list[tuple[Any, ...]]]) -> None:
    """Have what is written at once be written as what *change* makes of it."""
    write = sqlite.SqliteStore._write

    def changed(self: sqlite.SqliteStore, *what: Any) -> None:
        for transaction in change(*what):
            write(self, *transaction)

    _put(sqlite.SqliteStore, "_write", changed)


def shorten_the_text() -> None:
    """White space at the ends is kept away from the file."""
    write = sqlite.SqliteStore._write

    def trimmed(self: sqlite.SqliteStore, rows: Any, *rest: Any) -> None:
        short = [(*row[:3], row[3].strip(), *row[4:]) for row in rows]
        write(self, short, *rest)

    _put(sqlite.SqliteStore, "_write", trimmed)


def skip_on_pages() -> None:
    """A page of the history begins one too late."""
    read = sqlite.SqliteStore.read

    def late(self: sqlite.SqliteStore, room: str, low: int, high: int) -> Any:
        return read(self, room, low + 1, high)

    _put(sqlite.SqliteStore, "read", late)


def refuse_what_is_kept() -> None:
    """Each second tick is kept, and then refused."""
    keep = sqlite.SqliteStore.keep
    ticks = iter(range(1, 1 << 30))

    def wavering(self: sqlite.SqliteStore, messages: Any, *rest: Any) -> None:
        keep(self, messages, *rest)
        if messages and next(ticks) % 2 == 0:
            raise StoreError("it was kept all the same")

    _put(sqlite.SqliteStore, "keep", wavering)


def turn_the_order() -> None:
    """Two messages of one tick are sent in the wrong order."""
    send = show.Show._send_room

    def turned(self: show.Show, room: Any, frames: list[bytes]) -> None:
        send(self, room, frames[::-1])

    _put(show.Show, "_send_room", turned)


FAULTS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (
        show_before_commit,
        drop_the_tail,
        reuse_an_id,
        skip_a_number,
        lose_a_frame,
        tell_no_last_ref,
        forget_the_strikes,
        keep_no_sessions,
        keep_no_orders,
        lift_no_orders,
        receipts_on_their_own,
        shorten_the_text,
        skip_on_pages,
        refuse_what_is_kept,
        turn_the_order,
    )
}
"""What can be built in, by name."""


# -- starting ---------------------------------------------------------------------


def run(plan: Plan, arguments: list[str]) -> int:
    """Do to this process what *plan* says, and be a server."""
    if "fault" in plan:
        FAULTS[plan["fault"]]()
    steps = Steps(plan)
    count_statements(steps)
    count_bytes(steps, random.Random(plan["short"]) if "short" in plan else None)
    return cli.server(arguments)


def nurse() -> None:
    """Fork a server for each line of stdin, and tell what becomes of it."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    assert app.__name__ in sys.modules, "it is loaded before a server is forked"
    orders = b""
    while True:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 512)
            _reap()
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            orders += data
            *lines, orders = orders.split(b"\n")
            for line in lines:
                _fork(json.loads(line), (ended, wake))


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _print(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _fork(order: tuple[Plan, list[str], str], close: tuple[int, ...]) -> None:
    plan, arguments, log = order
    pid = os.fork()
    if pid:
        _print(f"started {pid}")
        return
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in close:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        stderr = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(nothing, 0)
        os.dup2(stderr, 2)
        os.close(nothing)
        os.close(stderr)
        code = run(plan, arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _print(line: str) -> None:
    os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(run(json.loads(sys.argv[1]), sys.argv[2:]))
    nurse()
