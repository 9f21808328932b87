"""An echo server over WebSocket, for whoever runs a list of cases against it.

    python -m tests.support.ws_echo PORT

It is the handshake and the reader of the server with nothing above them: texts and
binary messages of up to 16 MiB come back as they were, pings are answered, whatever is
wrong is closed with its code. Port 0 takes a free one; the line on stdout tells which.
"""

from __future__ import annotations

import math
import selectors
import socket
import sys
import time
from contextlib import suppress

from chatroom.wire.http import Head, HttpError, HttpRequest, response
from chatroom.wire.websocket import (
    Binary,
    Close,
    Event,
    Failure,
    FrameReader,
    Ping,
    Text,
    binary_frame,
    close_frame,
    handshake,
    pong_frame,
    text_frame,
)

LIMIT = 16 * 1024 * 1024
READ_SIZE = 65536
UPGRADE = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
LINGER = 2.0
"""Seconds that a peer has to close its side, once ours is closed."""
TICK = 0.1
"""Seconds between two looks at who has had them."""


class Echo:
    """One peer. Its socket blocks for what is written: a list of cases reads."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        self.sock = sock
        self._head: Head | None = Head()
        self._reader = FrameReader(limit)
        self.ends = math.inf
        """When it is cut off, whether or not it has closed its side."""

    def ready(self) -> None:
        """Something has come."""
        data = self.sock.recv(READ_SIZE)
        if not data:
            self.ends = 0.0
        elif self.ends < math.inf:
            return  # Nothing counts behind our last word.
        elif self._head is not None:
            self._shake_hands(self._head, data)
        else:
            self._echo(data)

    def _shake_hands(self, head: Head, data: bytes) -> None:
        head.receive_data(data)
        request = head.next_request()
        if request is None:
            return
        answer = handshake(request) if isinstance(request, HttpRequest) else request
        if isinstance(answer, HttpError):
            headers = UPGRADE if answer.status == 426 else {}
            self._close(response(answer.status, headers, answer.text.encode()))
            return
        self._head = None
        self.sock.sendall(answer)
        self._echo(head.rest())

    def _echo(self, data: bytes) -> None:
        self._reader.receive_data(data)
        while (event := self._reader.next_event()) is not None:
            self._answer(event)

    def _answer(self, event: Event) -> None:
        match event:
            case Text(data):
                self.sock.sendall(text_frame(data))
            case Binary(data):
                self.sock.sendall(binary_frame(data))
            case Ping(data):
                self.sock.sendall(pong_frame(data))
            case Close(code, _):
                self._close(close_frame(code))
            case Failure(code, reason):
                self._close(close_frame(code, reason))

    def _close(self, last: bytes) -> None:
        """Say the last word; what comes meanwhile is read and dropped."""
        self.sock.sendall(last)
        self.sock.shutdown(socket.SHUT_WR)
        self.ends = time.monotonic() + LINGER


def serve(listener: socket.socket, limit: int = LIMIT) -> None:
    """Echo for whoever connects to *listener*, for ever."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        peers: set[Echo] = set()
        while True:
            for key, _ in selector.select(TICK if peers else None):
                if key.data is None:
                    sock, _ = listener.accept()
                    peers.add(echo := Echo(sock, limit))
                    selector.register(sock, selectors.EVENT_READ, echo)
                    continue
                echo = key.data
                try:
                    echo.ready()
                except OSError:
                    echo.ends = 0.0  # It has gone.
            now = time.monotonic()
            for echo in [one for one in peers if one.ends <= now]:
                peers.remove(echo)
                selector.unregister(echo.sock)
                echo.sock.close()


def main() -> int:
    """Echo on the port of the command line, on this machine only."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print("usage: python -m tests.support.ws_echo PORT", file=sys.stderr)
        return 2
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        host, port = listener.getsockname()
        print(f"listening on {host}:{port}", flush=True)
        with suppress(KeyboardInterrupt):
            serve(listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
