"""One client: its transport, its dialect, its deadlines, and its place in the chat.

    data_received* eof_received? connection_lost, as ``net/transport.py`` has it

Bytes that come are cut into requests by the protocol and decided one by one, only
while there are tokens: who is faster than its rate is read no faster and loses
nothing.  What follows is shown at the end of the tick by ``show.py``.
Must not know: the rules, and how a frame is made.
"""

from __future__ import annotations

import time
from math import ceil
from typing import TYPE_CHECKING

from chatroom.config import EOF_GRACE, HELLO_OUTPUT, SOFT_OUTPUT_SECONDS
from chatroom.core.effects import Close
from chatroom.core.messages import Error
from chatroom.core.requests import GetHistory, Hello, ListRooms, Nothing, Op, Who
from chatroom.core.sessions import Peer
from chatroom.net.address import bucket, is_loopback
from chatroom.net.address import show as show_address
from chatroom.net.transport import State, Transport
from chatroom.wire.http import Head
from chatroom.wire.protocol import NativeProtocol
from chatroom.wire.sniff import Spoken, farewell, sniff
from chatroom.wire.websocket import TRY_AGAIN_LATER, WebSocketProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from ssl import SSLContext

    from chatroom.core.requests import Request
    from chatroom.core.rooms import Room
    from chatroom.net.address import Address
    from chatroom.net.loop import Timer
    from chatroom.server.app import Server
    from chatroom.server.eventlog import Value
    from chatroom.server.web import Answer
    from chatroom.wire.protocol import Dialect

EARLY = 1e-6
"""Seconds: a timer may come a rounding error before the time that it was set to."""
PINGS_GRID = 120
"""Times of a ping in each interval: 0.25 s apart for the default of 30 s."""

_LISTINGS = frozenset((Who, ListRooms, GetHistory))
"""Requests whose answers are large: one a tick, so that output limits see each."""


class Connection(Peer):
    """A client of the server, from accept to the end."""

    __slots__ = (
        "_bytes_mark",
        "_check",
        "_first",
        "_frame_since",
        "_frames_mark",
        "_guessed",
        "_head",
        "_heard",
        "_hello_by",
        "_input_by",
        "_pinged",
        "_resume",
        "_server",
        "_soft_since",
        "_waiting",
        "end_reason",
        "hears",
        "is_web",
        "parts",
        "position",
        "protocol",
        "takes",
        "transport",
    )

    def __init__(self, server: Server, sock: socket.socket, address: Address) -> None:
        super().__init__(bucket(address), local=is_loopback(address))
        self._server = server
        self.protocol: Dialect = NativeProtocol()
        self.is_web = False
        """Whether it speaks WebSocket."""
        self.hears: Room | None = None
        """The room whose news it gets; kept by ``show.py``, as are the next three."""
        self.parts: list[bytes] | None = None
        self.takes: Callable[[list[bytes]], bytes] | None = self.protocol.pack
        """What makes of the room's frames a chunk for it; ``None``: it has a cut."""
        self.position = 0
        self.end_reason: str | None = None
        now = server.loop.now
        self._heard = now
        self._pinged = 0.0
        self._input_by = 0.0
        self._frame_since = 0.0
        self._soft_since = 0.0
        self._frames_mark = 0.0
        self._bytes_mark = 0.0
        self._first: bytes | None = b""
        """What has come while it is not known what it speaks."""
        self._head: Head | None = None
        """The request over HTTP that is not whole yet."""
        self._waiting: Request | None = None
        """What shows a password or a key, and has to wait for its answer."""
        self._guessed = False
        """Whether that was judged already, and wrong."""
        self._resume: Timer | None = None
        self._check: Timer | None = None
        timeout = server.settings.hello_timeout
        self._hello_by = now + timeout if timeout else 0.0
        self.transport = Transport(server.loop, sock, address, self, server.pool)
        self._set_check()

    def send(self, data: bytes) -> None:
        """Send *data*, which is for this connection alone; there may be none."""
        if data:
            self._server.totals.sent += len(data)
            self.transport.write(data)

    def drop(self, cause: str, text: str) -> None:
        """End it at once, as *text* tells; *cause* is a word for the figures."""
        self._server.totals.drops[cause] += 1
        self.transport.abort(text)

    def say_goodbye(self, code: int) -> None:
        """Send what its dialect says at the end, which *code* is the reason of."""
        self.send(self.protocol.data_to_send() + self.protocol.goodbye(code))

    # -- what the transport tells ---------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Judge what has come, as far as there are tokens."""
        server = self._server
        self._heard = server.loop.now
        server.totals.received += len(data)
        if self._first is not None:
            data = self._open(self._first + data)
        self.protocol.receive_data(data)
        self._decide()

    def eof_received(self) -> None:
        """Judge what is left, then close: what came before is answered."""
        self._input_ends()
        self._decide()

    def drained(self) -> None:
        """Go on with what was held up by unsent output."""
        self._soft_since = 0.0
        self._decide()

    def output_queued(self, before: int) -> None:
        """Something could not be sent at once: see to the limits."""
        server, settings = self._server, self._server.settings
        unsent, now = self.transport.unsent, server.loop.now
        limit = settings.max_output
        # Of one that is let go only its last frame or page is to come, and no more.
        if self.session is None and not self.gone:
            limit = min(HELLO_OUTPUT, limit) if limit else HELLO_OUTPUT
        if limit and unsent > limit:
            self.drop("output", f"{unsent} bytes unsent, {limit} are allowed")
            return
        soft = settings.max_output_soft
        if soft and before <= soft < unsent:
            self._soft_since = now
        server.check_pool()
        self._set_check()

    def connection_lost(self, reason: str) -> None:
        """The connection is over, whoever ended it."""
        server = self._server
        for timer in (self._check, self._resume):
            if timer is not None:
                timer.cancel()
        self._check = self._resume = self._waiting = None
        # Now, and not when somebody looks for garbage that refers to itself.
        self.protocol.discard()
        self.end_reason = reason
        server.chat.lost(self, server.loop.now)
        level = "info" if self.session is None else "debug"
        self.note(level, "disconnect", cause=reason)
        server.forget(self)

    def failed(self, error: Exception) -> None:
        """A mistake of ours: it costs this connection, and nobody else."""
        self._server.report_failure(error, self)

    # -- what it speaks -------------------------------------------------------

    def _open(self, data: bytes) -> bytes:
        """Find out what it speaks, by its first *data*; return what is a frame's."""
        if self._head is not None:
            return self._visit(self._head, data)
        self._first = data
        dialect = sniff(data)
        if dialect is None:
            return b""
        server = self._server
        if dialect is Spoken.HTTP and server.site is not None:
            self._first, self._head = b"", Head()
            return self._visit(self._head, data)
        self._first = None
        if dialect is Spoken.TLS and server.tls is not None and not self.secure:
            self._begin_tls(server.tls, data)
            return b""
        # TLS within TLS is no frame.
        answer = b"" if self.secure and dialect is Spoken.TLS else farewell(dialect)
        if answer:
            self._turn_away(dialect, answer)
            return b""
        if server.settings.tls_only and not self.secure:
            text = "this port takes TLS only (chat-client --tls)"
            server.chat.refuse(self, "bad-frame", text, server.loop.now)
            return b""
        if dialect is not Spoken.NATIVE:
            # Now, as no more of a length has to come: it would be far too large.
            text = "that is no frame; join with chat-client"
            server.chat.refuse(self, "bad-frame", text, server.loop.now)
            return b""
        return data

    def _begin_tls(self, context: SSLContext, head: bytes) -> None:
        # Loaded by those who use it.
        from chatroom.net.tls import TlsSocket, TlsTransport

        server, plain = self._server, self.transport
        # It is counted when it comes out of TLS.
        server.totals.received -= len(head)
        sock = TlsSocket(plain.detach(), context, head=head)
        transport = TlsTransport(
            server.loop, sock, plain.address, self, server.pool, self._secured
        )
        self.transport = transport
        transport.start()

    def _secured(self) -> None:
        self.secure = True
        self._first = b""

    def _visit(self, head: Head, data: bytes) -> bytes:
        """Take *data* of a request over HTTP; return what is behind an upgrade."""
        head.receive_data(data)
        request = head.next_request()
        if request is None:
            return b""
        site = self._server.site
        assert site is not None
        answer = site.answer(request, local=self.local, secure=self.secure)
        self._server.totals.answers[str(answer.status)] += 1
        if not answer.upgrades:
            self._answer(answer)
            return b""
        self._first = self._head = None
        self.send(answer.data)
        self.protocol = WebSocketProtocol()
        self.takes, self.is_web = self.protocol.pack, True
        timeout = self._server.settings.hello_timeout
        self._hello_by = self._server.loop.now + timeout if timeout else 0.0
        self._set_check()
        return head.rest()

    def _answer(self, answer: Answer) -> None:
        """Answer a request over HTTP, the only one of its connection."""
        self._first = self._head = None
        # Before it is sent: a page may be longer than what is held for a stranger.
        self._let_go()
        self.send(answer.data)
        self.note("info", "visitor", speaks="HTTP", status=answer.status)

    def _turn_away(self, dialect: Spoken, answer: bytes) -> None:
        """Answer who is at the wrong door in his own words, and let him go."""
        self.send(answer)
        self.note("info", "visitor", speaks=dialect.name)
        self._let_go()

    def turn_out(self, code: str, text: str) -> None:
        """Say to one without a seat why it has to go, as far as that can be said now.

        Its end is for whoever calls this.
        """
        if self._head is not None:
            assert self._server.site is not None
            self.send(self._server.site.error(503, text).data)
            return
        self.send(self.protocol.encode(Error(code, text)))
        self.say_goodbye(TRY_AGAIN_LATER)

    # -- deciding -------------------------------------------------------------

    def _decide(self) -> None:
        """Take requests from the protocol and decide them, one by one."""
        if self._waiting is not None and self._resume is not None:
            return
        server, protocol = self._server, self.protocol
        chat, now, limited = server.chat, server.loop.now, server.limited
        wall = int(time.time() * 1000)
        took = False
        # Nothing is sent while it is decided: this is asked once.
        held = self.transport.congested and len(protocol) > 0
        while not (self.gone or held):
            request = self._waiting
            if request is None:
                if limited and self._throttled(now):
                    held = len(protocol) > 0
                    break
                request = protocol.next_message()
                if request is None:
                    break
                if limited:
                    self._charge(protocol.last_size, now)
            kind = type(request)
            if kind is Nothing:
                continue
            took = True
            if self.session is None:
                if self._has_to_wait(request, now):
                    held = True
                    break
                tries = self.tries
                chat.receive(self, request, now, wall)
                self._after_hello(tries)
                continue
            if kind is Op and self._has_to_wait(request, now):
                held = True
                break
            chat.receive(self, request, now, wall)
            if kind in _LISTINGS and len(protocol):
                held = True
                server.loop.call_soon(self._go_on)
                break
        self._after_deciding(held, took, now)

    def _after_deciding(self, held: bool, took: bool, now: float) -> None:
        """Read on, or not; and note when the frame that is not whole began."""
        transport, protocol = self.transport, self.protocol
        if self.gone:
            protocol.discard()
            return
        # Of one that has said goodbye the answers come first: see say_goodbye.
        if self.is_web and not protocol.ended:
            self.send(protocol.data_to_send())
        if held != transport.paused:
            if held:
                transport.pause_reading()
            else:
                transport.resume_reading()
        if held and not protocol.ended and transport.at_eof():
            self._input_ends()
        if protocol.ended and not held:
            self._end_input()
        elif held or not len(protocol):
            self._frame_since = 0.0
        elif took or not self._frame_since:
            self._frame_since = now
            self._set_check()

    def _after_hello(self, tries: int) -> None:
        """See what has become of the hello that was just decided."""
        server = self._server
        if self.session is not None:
            self.protocol.welcomed = True
            self._hello_by = 0.0
            self._set_check()
            server.welcomed(self)
        elif self.tries != tries and server.settings.hello_timeout:
            self._hello_by = server.loop.now + server.settings.hello_timeout

    def _has_to_wait(self, request: Request, now: float) -> bool:
        """Tell whether *request* is a guess, and it is not its time to be answered."""
        server, chat = self._server, self._server.chat
        waited, self._waiting = self._waiting is not None, None
        if self._guessed or not chat.is_guess(self, request):
            self._guessed = False
            return False
        assert isinstance(request, (Hello, Op))
        # Those who waited are judged together, whatever becomes of the first of them.
        due = now if waited else server.guard.until(self.address, now)
        if due <= now + EARLY and not chat.is_right(request):
            # Judged it is now; the answer is what waits.
            self._guessed = True
            due = server.guard.failed(self.address, now)
        if due <= now + EARLY:
            return False
        self._waiting = request
        self._hello_by = 0.0
        if self._resume is not None:
            self._resume.cancel()
        self._resume = server.loop.call_at(due, self._go_on)
        return True

    def _throttled(self, now: float) -> bool:
        """Tell whether there are no tokens; then set the time to go on."""
        frames, data = self._server.frames, self._server.bytes
        ready = max(
            frames.ready_at(self._frames_mark) if frames.limited else 0.0,
            data.ready_at(self._bytes_mark) if data.limited else 0.0,
        )
        if ready <= now + EARLY:
            return False
        if self._resume is None and len(self.protocol):
            self._resume = self._server.loop.call_at(ready, self._go_on)
        return True

    def _charge(self, size: int, now: float) -> None:
        server = self._server
        self._frames_mark = server.frames.charge(self._frames_mark, 1, now)
        self._bytes_mark = server.bytes.charge(self._bytes_mark, size, now)

    def _go_on(self) -> None:
        """Go on with what was held up."""
        self._resume = None
        if self.transport.state == State.OPEN:
            # It waited for us, not we for it.
            self._heard = self._server.loop.now
            self._decide()

    def _input_ends(self) -> None:
        """What has come is all that comes: it is judged for so long, then no more."""
        self.protocol.receive_eof()
        self._hello_by = 0.0
        self._input_by = self._server.loop.now + EOF_GRACE
        self._set_check()

    def _end_input(self) -> None:
        """Nothing more will be judged: let it go with what it has been answered."""
        if not self.gone and self.transport.state == State.OPEN:
            self.end_reason = "closed by peer"
            self._let_go()

    def _let_go(self) -> None:
        """Close without a word."""
        server = self._server
        server.chat.lost(self, server.loop.now)
        server.chat.effects.append(Close(self))
        self.protocol.discard()

    # -- deadlines ------------------------------------------------------------

    def _set_check(self) -> None:
        """Have the deadlines looked at when the next of them is due, or before."""
        due = self._next_deadline()
        if self._check is not None:
            if self._check.when <= due:
                return
            self._check.cancel()
            self._check = None
        if due != float("inf"):
            self._check = self._server.loop.call_at(due, self._look_at_deadlines)

    def _next_deadline(self) -> float:
        settings, due = self._server.settings, float("inf")
        if self._hello_by:
            due = self._hello_by
        if self._input_by:
            due = min(due, self._input_by)
        if self._frame_since and settings.frame_timeout:
            due = min(due, self._frame_since + settings.frame_timeout)
        if self._soft_since:
            due = min(due, self._soft_since + SOFT_OUTPUT_SECONDS)
        if self.transport.unsent and settings.stall_timeout:
            due = min(due, self.transport.progress_at + settings.stall_timeout)
        if self.session is not None:
            if settings.ping_interval:
                last = max(self._heard, self._pinged)
                # On a grid, so that pings and their answers share ticks: alone, each
                # of ten thousand silent members would wake the loop twice.
                grid = settings.ping_interval / PINGS_GRID
                due = min(due, ceil((last + settings.ping_interval) / grid) * grid)
            if settings.idle_timeout:
                due = min(due, self._heard + settings.idle_timeout)
        return due

    def _look_at_deadlines(self) -> None:
        self._check = None
        if self.gone or self.transport.state > State.OPEN:
            return
        server, settings = self._server, self._server.settings
        now = server.loop.now
        if self.transport.paused or self.transport.congested:
            # Its input waits for us: it is not idle.
            self._heard = now
        self._heard = max(self._heard, server.excused_until - settings.idle_timeout)
        if self._output_is_stuck(now):
            return
        if self._input_by and now >= self._input_by:
            self._end_input()
            return
        if self._hello_by and now >= self._hello_by:
            if self._head is not None:
                assert server.site is not None
                text = f"no whole request within {settings.hello_timeout:g} s"
                self._answer(server.site.error(408, text))
                return
            text = f"no hello within {settings.hello_timeout:g} s"
            server.chat.refuse(self, "timeout", text, now)
            return
        since = self._frame_since
        if since and settings.frame_timeout and now >= since + settings.frame_timeout:
            text = f"a frame was not complete after {settings.frame_timeout:g} s"
            server.chat.refuse(self, "timeout", text, now)
            return
        if self.session is not None:
            self._see_whether_idle(now)
        if not self.gone:
            self._set_check()

    def _see_whether_idle(self, now: float) -> None:
        server, settings = self._server, self._server.settings
        silent = now - self._heard
        if settings.idle_timeout and silent >= settings.idle_timeout:
            text = f"nothing came from you for {settings.idle_timeout:g} s"
            server.chat.kick(self, "idle", text, now)
        elif (
            settings.ping_interval
            and now - max(self._heard, self._pinged) >= settings.ping_interval
        ):
            self._pinged = now
            server.ping(self)

    def _output_is_stuck(self, now: float) -> bool:
        """End it where it does not take what it is sent; tell whether it was so."""
        settings, transport = self._server.settings, self.transport
        unsent = transport.unsent
        if unsent <= settings.max_output_soft:
            self._soft_since = 0.0
        if self._soft_since and now >= self._soft_since + SOFT_OUTPUT_SECONDS:
            limit = settings.max_output_soft
            text = f"{unsent} bytes unsent, over {limit} for {SOFT_OUTPUT_SECONDS:g} s"
            self.drop("output-soft", text)
            return True
        stalled = now - transport.progress_at
        if unsent and settings.stall_timeout and stalled >= settings.stall_timeout:
            text = f"{unsent} bytes unsent, none taken for {stalled:.0f} s"
            self.drop("stalled", text)
            return True
        return False

    # -- the log --------------------------------------------------------------

    def note(self, level: str, name: str, **about: Value | None) -> None:
        """Write down an event of this connection, with its address and nick."""
        session = self.session
        self._server.log.event(
            level,
            name,
            address=show_address(self.transport.address),
            nick=session.nick if session is not None else None,
            **about,
        )
