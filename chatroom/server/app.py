"""The server: what it is made of, how it starts and how it stops.

    serve(read)        for the command line: open, say where, run, stop
    Server(...)        the parts, for a test that brings its own loop

Start: log, descriptors, listeners, then the line on stdout.  Stop (SIGTERM, SIGINT):
listeners closed, everybody told, output flushed for a bounded time; a second signal
ends it at once.  Where the listening sockets are lent to us (socket activation), who
comes meanwhile waits in them for the next server.  SIGHUP reads everything anew
(``reload.py``), and stops a server whose terminal was closed.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

from chatroom import __version__
from chatroom.config import (
    MAX_CLOSING,
    MAX_UNFINISHED,
    STOP_GRACE,
    TAKEOVER_GRACE,
)
from chatroom.core.chat import Chat
from chatroom.core.log import level_down
from chatroom.core.messages import Ping
from chatroom.errors import StoreError
from chatroom.net.activation import take_sockets
from chatroom.net.address import Address, show
from chatroom.net.buffers import OutputPool
from chatroom.net.listener import Listener, open_listeners
from chatroom.net.loop import Loop, Timer
from chatroom.server.connection import Connection
from chatroom.server.eventlog import EventLog, Sink, open_sink
from chatroom.server.guard import Guard
from chatroom.server.metrics import exposition
from chatroom.server.notify import Notifier
from chatroom.server.parts import (
    Parts,
    doubts,
    fit_to_descriptors,
    load,
    max_kept,
    memory_line,
    open_store,
    shown_changed,
)
from chatroom.server.places import Places
from chatroom.server.rate import Bucket
from chatroom.server.reload import reload
from chatroom.server.show import Show
from chatroom.server.web import Site
from chatroom.wire.websocket import GOING_AWAY, NORMAL

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, MutableMapping

    from chatroom.config import Settings
    from chatroom.store import Store

HANG_UP = frozenset((signal.SIGHUP,))
"""Comes from who rotates a log or renews a certificate, and does not see how we are."""
LOG_RETRY = 0.25
"""Seconds until log lines that nobody took are offered again."""
KEEP_RETRY = 1.0
"""Seconds until the store is offered again what it did not take."""
TRIM_INTERVAL = 5.0
"""Seconds between two looks at whether the store holds too much."""
TRIM_PAUSE = 0.02
"""Seconds between two batches while it does."""
KEPT_SLACK = 32
"""The part of what all rooms may hold that is dropped at once: it takes a moment."""


class Server:
    """All parts of a running server, and the connections.

    *read* gives the settings anew, for a reload; raises ``UsageError``.
    """

    settings: Settings
    frames: Bucket
    bytes: Bucket
    limited: bool
    site: Site | None
    """What it answers over HTTP; ``None``: it has never spoken that."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        log: EventLog,
        read: Callable[[], Settings],
        store: Store | None = None,
        environ: MutableMapping[str, str] | None = None,
    ) -> None:
        self.loop = loop
        self.log = log
        self.manager = Notifier(
            loop,
            lambda text: log.event("warning", "manager", text=text),
            environ if environ is not None else {},
            os.getpid(),
        )
        self.read = read
        self.pool = OutputPool()
        self.guard = Guard()
        # Before the store: what is refused here has not touched any file.
        self.hold_to(load(settings))
        self.store = store if store is not None else open_store(settings)
        self.chat = Chat(
            self.parts.rules,
            lambda: secrets.token_urlsafe(16),
            self.store.open_log,
        )
        wall = int(time.time() * 1000)
        self.chat.restore(
            self.store.rooms(),
            self.store.load_sessions(loop.now, wall),
            self.store.load_orders(loop.now, wall),
            loop.now,
        )
        self.chat.oversight.appoint(self.parts.operators, loop.now)
        self.show = Show(
            self.chat,
            self.store,
            log,
            lambda: loop.now,
            self.report_failure,
            self._close,
            timed=bool(settings.history),
        )
        self.totals = self.show.totals
        self.excused_until = 0.0
        """Until then nobody is idle: it was us who stood still."""
        self.connections: dict[Connection, None] = {}
        self._unfinished: Places[Connection] = Places()
        self._guessing: Places[Connection] = Places()
        """Those of them whose guess of a password waits for its answer."""
        self._closing: dict[Connection, None] = {}
        self._listeners: list[Listener] = []
        self._has_heir = False
        """Whether another server goes on with our listening sockets."""
        self._count_timer: Timer | None = None
        self._log_timer: Timer | None = None
        self._over_total = False
        self._stopping = False
        self.started = loop.now
        self._on_terminal = os.isatty(2)
        self._keep_timer: Timer | None = None
        self._trim_timer: Timer | None = None
        self.start_trimming()
        loop.on_tick_end.append(self._end_tick)
        loop.on_error = lambda error: self.report_failure(error, None)

    def hold_to(self, parts: Parts) -> None:
        """Let *parts* hold from now on; what copies were made of them is not seen to.

        That is for ``reload.py``: at the start there are none.
        """
        self.parts = parts
        self.settings = settings = parts.settings
        self.tls = parts.tls
        self.frames = Bucket(settings.rate, settings.burst)
        self.limited = self.frames.limited
        rate_bytes = settings.rate_bytes if self.limited else 0
        self.bytes = Bucket(rate_bytes, settings.burst_bytes)
        self.site = None
        if parts.page is not None:
            self.site = Site(settings, parts.page, lambda: exposition(self))
        self._max_kept = max_kept(settings)

    # -- connections ----------------------------------------------------------

    def listen(
        self, sockets: list[socket.socket], *, lent: bool = False
    ) -> list[Address]:
        """Accept on *sockets*; return their addresses.

        Those that are *lent* to us are held by somebody else, too, who hands them to
        the next server.
        """
        self._has_heir = lent
        for sock in sockets:
            self._listeners.append(
                Listener(
                    self.loop,
                    sock,
                    self.accepted,
                    lambda text: self.log.event("warning", "accept", text=text),
                    lambda error: self.report_failure(error, None),
                )
            )
        return [listener.address for listener in self._listeners]

    def accepted(self, sock: socket.socket, address: Address) -> None:
        """A new connection has come; it is unfinished until its hello is good."""
        if self._stopping:
            sock.close()
            return
        connection = Connection(self, sock, address)
        self.connections[connection] = None
        here = self._unfinished.add(connection)
        self.totals.clients += 1
        connection.note("info", "connect")
        most = self.settings.max_clients_per_ip
        if most and here > max(most, MAX_UNFINISHED):
            self._drop_unfinished(self._unfinished.oldest_at(connection.address))
        elif self._is_crowded():
            self._drop_unfinished(self._unfinished.oldest_of_greediest())

    def _is_crowded(self) -> bool:
        """Tell whether more are unfinished than there are seats free, and some more."""
        seats = self.settings.max_clients
        if not seats or len(self._unfinished) <= MAX_UNFINISHED:
            return False
        return len(self.connections) - len(self._closing) > seats + MAX_UNFINISHED

    def _drop_unfinished(self, connection: Connection) -> None:
        """Too many are not in yet: *connection* has to go."""
        text = "too many connections have not said hello"
        # At once: one that lingered would hold its descriptor all the same.
        connection.turn_out("full", text)
        self._drop(connection, "unfinished", text)

    def _close(self, connection: Connection) -> None:
        """End *connection* in good order; of too many such, the oldest at once."""
        connection.say_goodbye(GOING_AWAY if self._stopping else NORMAL)
        connection.transport.close()
        self._has_no_place(connection)
        self._closing[connection] = None
        if len(self._closing) > MAX_CLOSING and not self._stopping:
            oldest = next(iter(self._closing))
            self._drop(oldest, "closing", "too many are closing")

    def _drop(self, connection: Connection, cause: str, text: str) -> None:
        """End *connection* now, and let its place be free at once."""
        self._has_no_place(connection)
        self._closing.pop(connection, None)
        connection.drop(cause, text)

    def _has_no_place(self, connection: Connection) -> None:
        """*connection* is not on its way in any more."""
        self._unfinished.discard(connection)
        self._guessing.discard(connection)

    def guess_waits(self, connection: Connection) -> None:
        """A password that *connection* has tried is not answered yet.

        However many addresses guess together, no more of them are at it at a time.
        """
        self._guessing.add(connection)
        if len(self._guessing) > MAX_UNFINISHED:
            self._drop_unfinished(self._guessing.oldest_of_greediest())

    def guess_answered(self, connection: Connection) -> None:
        """The answer comes."""
        self._guessing.discard(connection)

    def welcomed(self, connection: Connection) -> None:
        """The hello of *connection* was accepted."""
        self._has_no_place(connection)
        if self._stopping:
            # With its session it comes back to the next server by itself.
            self._dismiss_all()

    def forget(self, connection: Connection) -> None:
        """*connection* is over."""
        self.connections.pop(connection, None)
        self._has_no_place(connection)
        self._closing.pop(connection, None)
        if self._stopping and not self.connections:
            self.loop.stop()

    def ping(self, connection: Connection) -> None:
        """Ask *connection* whether it is there."""
        connection.send(connection.protocol.encode(Ping()))

    def report_failure(self, error: Exception, connection: Connection | None) -> None:
        """A mistake of ours: it is logged whole, and costs one connection at most."""
        shown = "".join(traceback.format_exception(error))
        if connection is not None:
            connection.note("error", "failure", text=shown)
            connection.drop("failure", "internal error")
        else:
            self.log.event("error", "failure", text=shown)

    def check_pool(self) -> None:
        """Some output could not be sent: have the sum of all looked at."""
        limit = self.settings.max_output_total
        self._over_total = bool(limit) and self.pool.cost > limit

    # -- the end of a tick ----------------------------------------------------

    def _end_tick(self) -> None:
        chat = self.chat
        if chat.effects:
            effects, chat.effects = chat.effects, []
            self.show.run(effects)
            self._see_to_the_store()
            due = chat.next_count()
            if due is not None and self._count_timer is None:
                self._count_timer = self.loop.call_at(due, self._announce)
        if self._over_total:
            self._shed_output()
        if self._max_kept and self.store.held.size > self._max_kept:
            logs = [room.log for room in chat.rooms.values()]
            level_down(logs, self._max_kept - self._max_kept // KEPT_SLACK)
        if self.log.flush() and self._log_timer is None:
            self._log_timer = self.loop.call_later(LOG_RETRY, self._retry_log)
        self.totals.ticks.add(self.loop.clock() - self.loop.now)

    def _announce(self) -> None:
        self._count_timer = None
        self.chat.announce(self.loop.now)
        due = self.chat.next_count()
        if due is not None:
            self._count_timer = self.loop.call_at(due, self._announce)

    def _see_to_the_store(self) -> None:
        """Have it offered again what it did not take, also if nobody does anything."""
        if self.show.is_behind and self._keep_timer is None:
            self._keep_timer = self.loop.call_later(KEEP_RETRY, self._keep_again)

    def _keep_again(self) -> None:
        self._keep_timer = None
        self.show.run([])
        self._see_to_the_store()

    def start_trimming(self) -> None:
        """See to it that the file holds no more than it should."""
        settings = self.settings
        if self._trim_timer is None and settings.history and settings.history_keep:
            self._trim()

    def _trim(self) -> None:
        """Drop old messages from the store, a little at a time, between ticks."""
        self._trim_timer = None
        if not self.settings.history_keep:
            return
        delay = TRIM_INTERVAL
        try:
            if self.store.trim():
                delay = TRIM_PAUSE
                self.show.store_worked()
        except StoreError as error:
            self.show.store_failed(error)
        self._trim_timer = self.loop.call_later(delay, self._trim)

    def _retry_log(self) -> None:
        self._log_timer = None

    def _shed_output(self) -> None:
        """Too much is unsent in all: those who hold the most of it go."""
        self._over_total = False
        limit = self.settings.max_output_total
        holders = sorted(
            (c for c in self.connections if c.transport.unsent),
            key=lambda c: c.transport.unsent,
        )
        while holders and self.pool.cost > limit:
            worst = holders.pop()
            unsent = worst.transport.unsent
            worst.drop("output-total", f"{unsent} bytes unsent, the most of all")

    # -- start and stop -------------------------------------------------------

    def install_signals(self) -> None:
        """Let the process's signals reach the loop."""
        self.loop.on_signal(signal.SIGTERM, self.stop)
        self.loop.on_signal(signal.SIGINT, self.stop)
        self.loop.on_signal(
            signal.SIGHUP, lambda: self.manager.reloading(self._hung_up)
        )
        self.loop.on_signal(signal.SIGCONT, self._continued)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            # Nothing is meant by them, and their default is to kill.
            self.loop.on_signal(number, lambda: None)

    def stop(self) -> None:
        """Tell everybody and stop; called again: stop now."""
        if self._stopping:
            self.loop.stop()
            return
        self._stopping = True
        self.manager.stopping()
        for listener in self._listeners:
            listener.close()
        self._dismiss_all()
        if self._has_heir:
            # They have been let in, so to say, and are not to find the door shut.
            self.loop.call_later(TAKEOVER_GRACE, self._abort_unfinished)
        else:
            self._abort_unfinished()
        if not self.connections:
            self.loop.stop()
        self.loop.call_later(STOP_GRACE, self.loop.stop)

    def _dismiss_all(self) -> None:
        text = "the server is going down; come back in a while"
        self.chat.dismiss_all("shutdown", text, self.loop.now)

    def _abort_unfinished(self) -> None:
        for connection in list(self._unfinished):
            connection.transport.abort("shutdown")

    def status(self) -> str:
        """Return in a few words how it stands."""
        return f"members: {len(self.chat.nicks)}, rooms: {len(self.chat.rooms)}"

    def log_start(self, addresses: list[Address]) -> None:
        """Write down what has started, and by what rules."""
        moderator = self.chat.rules.moderator
        self.log.event(
            "info",
            "start",
            version=__version__,
            listening=",".join(map(show, addresses)),
            settings=shown_changed(self.settings) or "defaults",
            rules=f"{moderator.rule()}; {moderator.penalty()}",
            memory=memory_line(self.settings),
        )

    def log_doubts(self) -> None:
        """Write down what about the files of secrets is not as it should be."""
        for event, text in doubts(self.parts):
            self.log.event("warning", event, text=text)

    def log_stop(self) -> None:
        """Write down what has been."""
        totals = self.totals
        self.log.event(
            "info",
            "stop",
            seconds=round(self.loop.now - self.started, 3),
            clients=totals.clients,
            messages=totals.messages,
            deliveries=totals.deliveries,
            warnings=totals.warnings.total(),
            kicks=totals.penalties,
        )

    def close(self) -> None:
        """Give everything back; whoever is still connected is cut off."""
        for connection in list(self.connections):
            connection.transport.abort("shutdown")
        if self._trim_timer is not None:
            self._trim_timer.cancel()
        self.manager.close()
        self.loop.tick(0)
        self.loop.tick(0)
        self.store.close()

    def _hung_up(self) -> None:
        if self._on_terminal and not os.isatty(2):
            # Our terminal was closed; nobody means a reload by that.
            self.stop()
            return
        reload(self)

    def _continued(self) -> None:
        self.excused_until = self.loop.now + self.settings.ping_interval


def serve(read: Callable[[], Settings]) -> int:
    """Run a server until it is told to stop; return the exit code.

    *read* gives the settings, for the start and again for each reload.
    Raises ``StartError`` where it cannot start; then nothing is left open.
    SIGHUP kills nobody: it waits until the server is there, and for ever at the end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HANG_UP)
    settings = read()
    log = EventLog(settings.log_level, settings.log_format)
    try:
        if settings.log_file:
            log.set_file(open_sink(settings.log_file))
        log.add_sink(Sink(2))
        return _run(settings, log, read)
    finally:
        log.close()


def _run(settings: Settings, log: EventLog, read: Callable[[], Settings]) -> int:
    settings, remarks = fit_to_descriptors(settings)
    for text in remarks:
        log.event("warning", "limits", text=text)
    loop = Loop(time.monotonic)
    try:
        server = Server(settings, loop, log, read, environ=os.environ)
        try:
            lent = take_sockets(os.environ, os.getpid())
            sockets = lent or open_listeners(list(settings.host), settings.port)
        except BaseException:
            server.close()
            raise
        server.install_signals()
        addresses = server.listen(sockets, lent=bool(lent))
        server.log_start(addresses)
        server.log_doubts()
        log.flush()
        server.manager.started(server.status)
        for address in addresses:
            _say(f"listening on {show(address)}")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANG_UP)
        loop.run()
        signal.pthread_sigmask(signal.SIG_BLOCK, HANG_UP)
        server.close()
        server.log_stop()
    finally:
        loop.close()
    return 0


def _say(line: str) -> None:
    """Print *line* on stdout, for whoever started us and waits for it."""
    try:
        print(line, flush=True)
    except OSError:
        # Nobody reads it; the log says the same.
        sys.stdout = None
