"""The server: what it is made of, how it starts and how it stops.

    serve(settings)    for the command line: open, say where, run, stop
    Server(...)        the parts, for a test that brings its own loop

Start: log, descriptors, listeners, then the line on stdout.  Stop (SIGTERM, SIGINT):
listeners closed, everybody told, output flushed for a bounded time; a second signal
ends it at once.  SIGHUP opens the log files anew, and stops a server whose terminal
was closed.
"""

from __future__ import annotations

import os
import resource
import secrets
import signal
import sys
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from chatroom import __version__
from chatroom.config import (
    LOG_BACKLOG,
    MAX_CLOSING,
    MAX_KEPT,
    MAX_UNFINISHED,
    MIB,
    RESERVED_DESCRIPTORS,
    STOP_GRACE,
    Settings,
    is_open_to_others,
    read_lines,
    read_secret,
)
from chatroom.core.chat import Chat, Rules
from chatroom.core.log import level_down
from chatroom.core.messages import Ping
from chatroom.core.moderation import Moderator
from chatroom.core.operators import Operators, parse
from chatroom.core.sessions import digest
from chatroom.errors import StartError, StoreError
from chatroom.net.address import Address, show
from chatroom.net.buffers import OutputPool
from chatroom.net.listener import Listener, open_listeners
from chatroom.net.loop import Loop, Timer
from chatroom.server.connection import Connection
from chatroom.server.eventlog import EventLog, Sink
from chatroom.server.guard import Guard
from chatroom.server.metrics import exposition
from chatroom.server.rate import Bucket
from chatroom.server.show import Show
from chatroom.server.web import Site
from chatroom.store.memory import MemoryStore
from chatroom.wire.framing import MAX_FRAME
from chatroom.wire.websocket import GOING_AWAY, NORMAL

if TYPE_CHECKING:
    import socket
    from ssl import SSLContext

    from chatroom.store import Store

LOG_RETRY = 0.25
"""Seconds until log lines that nobody took are offered again."""
TRIM_INTERVAL = 5.0
"""Seconds between two looks at whether the store holds too much."""
TRIM_PAUSE = 0.02
"""Seconds between two batches while it does."""
BASE_BYTES = 48 * MIB
"""The interpreter, sessions without a connection, and other tables that are bounded."""
MEMBER_BYTES = 3072
"""What a plain member costs, beside what it has in transit (measured: 2.4 KB)."""
TLS_MEMBER_BYTES = 128 * 1024
"""What TLS adds to that.  Measured: 17 KB at rest, 40 after a burst, 53 with a record
that is not whole; a record that is not taken adds 40."""
ROOM_BYTES = 2048
"""What a room costs beside its messages and members."""
KEPT_SLACK = 32
"""The part of what all rooms may hold that is dropped at once: it takes a moment."""


class Server:
    """All parts of a running server, and the connections."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        log: EventLog,
        store: Store | None = None,
    ) -> None:
        self.settings = settings
        self.loop = loop
        self.log = log
        self.pool = OutputPool()
        self.frames = Bucket(settings.rate, settings.burst)
        on = self.frames.limited
        self.bytes = Bucket(settings.rate_bytes if on else 0, settings.burst_bytes)
        self.limited = on
        self.guard = Guard()
        # Before the store: what is refused here has not touched any file.
        self.tls = load_tls(settings)
        self.site = Site(settings, lambda: exposition(self)) if settings.web else None
        """What it answers over HTTP; ``None``: it does not speak that."""
        rules = make_rules(settings)
        operators = load_operators(settings)
        self.store = store if store is not None else open_store(settings)
        self.chat = Chat(
            rules,
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
        self.chat.oversight.appoint(operators, loop.now)
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
        self._unfinished: dict[Connection, None] = {}
        self._closing: dict[Connection, None] = {}
        self._listeners: list[Listener] = []
        self._count_timer: Timer | None = None
        self._log_timer: Timer | None = None
        self._over_total = False
        self._max_kept = max_kept(settings)
        self._stopping = False
        self.started = loop.now
        self._on_terminal = os.isatty(2)
        self._trim_timer: Timer | None = None
        if settings.history and settings.history_keep:
            self._trim()
        loop.on_tick_end.append(self._end_tick)
        loop.on_error = lambda error: self.report_failure(error, None)

    # -- connections ----------------------------------------------------------

    def listen(self, sockets: list[socket.socket]) -> list[Address]:
        """Accept on *sockets*; return their addresses."""
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
        self._unfinished[connection] = None
        self.totals.clients += 1
        connection.note("info", "connect")
        if len(self._unfinished) > MAX_UNFINISHED:
            self._drop_unfinished()

    def _drop_unfinished(self) -> None:
        """Too many have not said hello: the oldest of the greediest address goes.

        So a crowd that never speaks keeps out nobody but itself.
        """
        counts: dict[str, int] = {}
        for connection in self._unfinished:
            counts[connection.address] = counts.get(connection.address, 0) + 1
        greediest = max(counts, key=counts.__getitem__)
        oldest = next(c for c in self._unfinished if c.address == greediest)
        text = "too many connections have not said hello"
        # At once: one that lingered would hold its descriptor all the same.
        oldest.turn_out("full", text)
        self._drop(oldest, "unfinished", text)

    def _close(self, connection: Connection) -> None:
        """End *connection* in good order; of too many such, the oldest at once."""
        connection.say_goodbye(GOING_AWAY if self._stopping else NORMAL)
        connection.transport.close()
        self._unfinished.pop(connection, None)
        self._closing[connection] = None
        if len(self._closing) > MAX_CLOSING and not self._stopping:
            oldest = next(iter(self._closing))
            self._drop(oldest, "closing", "too many are closing")

    def _drop(self, connection: Connection, cause: str, text: str) -> None:
        """End *connection* now, and let its place be free at once."""
        self._unfinished.pop(connection, None)
        self._closing.pop(connection, None)
        connection.drop(cause, text)

    def welcomed(self, connection: Connection) -> None:
        """The hello of *connection* was accepted."""
        self._unfinished.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """*connection* is over."""
        self.connections.pop(connection, None)
        self._unfinished.pop(connection, None)
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

    def _trim(self) -> None:
        """Drop old messages from the store, a little at a time, between ticks."""
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
        self.loop.on_signal(signal.SIGHUP, self._hung_up)
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
        for listener in self._listeners:
            listener.close()
        text = "the server is going down; come back in a while"
        self.chat.dismiss_all("shutdown", text, self.loop.now)
        for connection in list(self._unfinished):
            connection.transport.abort("shutdown")
        if not self.connections:
            self.loop.stop()
        self.loop.call_later(STOP_GRACE, self.loop.stop)

    def log_start(self, addresses: list[Address]) -> None:
        """Write down what has started, and by what rules."""
        settings = self.settings
        changed = settings.changed()
        moderator = self.chat.rules.moderator
        bound = worst_case_memory(settings)
        self.log.event(
            "info",
            "start",
            version=__version__,
            listening=",".join(map(show, addresses)),
            settings=" ".join(f"{k}={_plain(v)}" for k, v in changed.items())
            or "defaults",
            rules=f"{moderator.rule()}; {moderator.penalty()}",
            memory=f"at most {bound // MIB} MiB" if bound else "without a bound",
        )

    def log_doubts(self) -> None:
        """Write down what about the files of secrets and trust is not as it should be.

        Nothing that keeps it from running: pinned, an expired certificate is as good.
        """
        settings = self.settings
        files = (settings.password_file, settings.operator_file, settings.tls_key)
        for path in files:
            if path and is_open_to_others(path):
                text = f"{path!a} can be read by others on this machine; chmod 600"
                self.log.event("warning", "secret", text=text)
        if self.tls is None:
            return
        from chatroom.net.tls import doubt

        if why := doubt(self.tls, settings.tls_cert):
            text = f"clients will not trust {settings.tls_cert!a}: {why}"
            self.log.event("warning", "certificate", text=text)

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
        self.loop.tick(0)
        self.loop.tick(0)
        self.store.close()

    def _hung_up(self) -> None:
        if self._on_terminal and not os.isatty(2):
            # Our terminal was closed; nobody means a reload by that.
            self.stop()
            return
        self.log.reopen()
        self.log.event("info", "reload", text="log files opened anew")
        if self.tls is None:
            return
        try:
            self.tls = load_tls(self.settings)
        except StartError as error:
            text = f"{error}; the one before stays in use"
            self.log.event("error", "certificate", text=text)
        else:
            self.log.event("info", "certificate", text="loaded anew")
            self.log_doubts()

    def _continued(self) -> None:
        self.excused_until = self.loop.now + self.settings.ping_interval


def serve(settings: Settings) -> int:
    """Run a server until it is told to stop; return the exit code.

    Raises ``StartError`` where it cannot start; then nothing is left open.
    """
    log = EventLog(settings.log_level, settings.log_format)
    try:
        if settings.log_file:
            log.add_file(settings.log_file)
        log.add_sink(Sink(2))
        return _run(settings, log)
    finally:
        log.close()


def _run(settings: Settings, log: EventLog) -> int:
    settings = _fit_to_descriptors(settings, log)
    loop = Loop(time.monotonic)
    try:
        server = Server(settings, loop, log)
        try:
            sockets = open_listeners(list(settings.host), settings.port)
        except BaseException:
            server.close()
            raise
        server.install_signals()
        addresses = server.listen(sockets)
        server.log_start(addresses)
        server.log_doubts()
        log.flush()
        for address in addresses:
            _say(f"listening on {show(address)}")
        loop.run()
        server.close()
        server.log_stop()
    finally:
        loop.close()
    return 0


def open_store(settings: Settings) -> Store:
    """Return the store that *settings* ask for; raise ``StartError``."""
    identity = secrets.token_hex(8)
    keep = (settings.keep, settings.keep_bytes)
    if not settings.history:
        return MemoryStore(identity, *keep)
    # SQLite is loaded by those who use it.
    from chatroom.store.sqlite import SqliteStore

    return SqliteStore(settings.history, identity, *keep, settings.history_keep)


def load_tls(settings: Settings) -> SSLContext | None:
    """Return what TLS needs, ``None`` without; raise ``StartError``."""
    if not settings.tls_cert:
        return None
    # ssl is loaded by those who use it.
    from chatroom.net.tls import server_context

    return server_context(settings.tls_cert, settings.tls_key)


def make_rules(settings: Settings) -> Rules:
    """Return what the rules need of *settings*; raise ``StartError``."""
    password = None
    if settings.password_file:
        password = digest(read_secret(settings.password_file))
    return Rules(
        server=f"chatroom/{__version__}",
        max_frame=MAX_FRAME,
        max_clients=settings.max_clients,
        max_clients_per_ip=settings.max_clients_per_ip,
        max_rooms=settings.max_rooms,
        presence_limit=settings.presence_limit,
        password=password,
        moderator=Moderator(
            settings.strikes, settings.shout_min_letters, settings.strike_lapse
        ),
    )


def load_operators(settings: Settings) -> Operators:
    """Return the operators that *settings* name; raise ``StartError``."""
    path = settings.operator_file
    if not path:
        return Operators()
    try:
        return parse(read_lines(path))
    except ValueError as wrong:
        raise StartError(f"{path!a}, {wrong}") from None


def max_kept(settings: Settings) -> int:
    """Return the bytes of messages that all rooms hold in memory; 0: no limit."""
    return settings.keep_bytes and max(settings.keep_bytes, MAX_KEPT)


def worst_case_memory(settings: Settings) -> int | None:
    """Return the bytes that the server holds when everything is full.

    ``None`` where there is no such number, because a limit is off.
    """
    bounds = (
        settings.max_clients,
        settings.max_rooms,
        settings.keep_bytes,
        settings.max_output_total,
    )
    if not all(bounds):
        return None
    each = MEMBER_BYTES + settings.burst_bytes + 2 * MAX_FRAME
    if settings.tls_cert:
        each += TLS_MEMBER_BYTES
    clients = (settings.max_clients + MAX_UNFINISHED + MAX_CLOSING) * each
    # The lobby is there beside them.  Of each the newest message is held in any case.
    rooms = settings.max_rooms + 1
    kept = min(rooms * max(settings.keep_bytes, MAX_FRAME), max_kept(settings))
    tables = BASE_BYTES + rooms * ROOM_BYTES + LOG_BACKLOG
    return tables + clients + kept + settings.max_output_total


def _fit_to_descriptors(settings: Settings, log: EventLog) -> Settings:
    """Raise the limit of descriptors, and lower the members to what it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError) as error:
            log.event("warning", "limits", text=f"descriptors stay at {soft}: {error}")
    if soft == resource.RLIM_INFINITY:
        return settings
    # Where there are few, the members get half of them.
    spare = RESERVED_DESCRIPTORS + MAX_UNFINISHED + MAX_CLOSING
    room = max(1, soft - spare, soft // 2 - 8)
    if settings.max_clients and settings.max_clients <= room:
        return settings
    asked = settings.max_clients or "any number of"
    text = f"{asked} members asked for; {soft} descriptors allow {room}"
    log.event("warning", "limits", text=text)
    return replace(settings, max_clients=room)


def _say(line: str) -> None:
    """Print *line* on stdout, for whoever started us and waits for it."""
    try:
        print(line, flush=True)
    except OSError:
        # Nobody reads it; the log says the same.
        sys.stdout = None


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
