"""A thread for each client, and one lock: each message sent whole to each socket."""

import json
import socket
import threading
import time
from contextlib import suppress
from io import BufferedReader
from typing import cast

from tests.bench.references.common import HEADER, frame, listen, message, welcome

NAME = "threads"
STACK = 256 * 1024
"""Bytes; the usual 8 MiB times thousands of clients may not be there."""


class Server:
    """Everybody's socket behind one lock, which also makes the order."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.members: dict[socket.socket, None] = {}
        self.last_id = 0
        self.guests = 0

    def run(self) -> None:
        """Serve for ever."""
        threading.stack_size(STACK)
        listener = listen()
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=self.client, args=(sock,), daemon=True).start()

    def client(self, sock: socket.socket) -> None:
        """Serve one client, from its hello to its end."""
        try:
            with sock, sock.makefile("rb", buffering=65536) as stream:
                self.frames(sock, cast(BufferedReader, stream))
        except OSError:
            pass
        finally:
            with self.lock:
                self.members.pop(sock, None)

    def frames(self, sock: socket.socket, stream: BufferedReader) -> None:
        """Do what each frame asks for."""
        nick = ""
        while len(header := stream.read(4)) == 4:
            value = json.loads(stream.read(HEADER.unpack(header)[0]).decode())
            kind = value["type"]
            if kind == "say":
                self.say(nick, value["text"])
            elif kind == "hello":
                nick = self.join(sock)
            elif kind == "ping":
                with self.lock:
                    sock.sendall(frame({"type": "pong"}))

    def join(self, sock: socket.socket) -> str:
        """Bring a client in; return its nick."""
        with self.lock:
            self.guests += 1
            nick = f"guest-{self.guests}"
            self.members[sock] = None
            sock.sendall(welcome(NAME, nick, self.last_id, len(self.members)))
        return nick

    def say(self, nick: str, text: str) -> None:
        """Send *text* to everybody."""
        if text.isupper():
            return
        with self.lock:
            self.last_id += 1
            data = message(self.last_id, nick, text, int(time.time() * 1000))
            for sock in self.members:
                with suppress(OSError):
                    sock.sendall(data)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        Server().run()
