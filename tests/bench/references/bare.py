"""A bare loop on selectors: what Python can do when there is hardly a rule.

Each tick reads what has come, makes the messages, joins them into one piece of bytes
and sends that to everybody.  What the kernel does not take waits; nothing is bounded.
"""

import json
import selectors
import socket
import time

from tests.bench.references.common import HEADER, frame, listen, message, welcome

NAME = "bare"


class Client:
    """A connection, and what has come of a frame that is not whole."""

    __slots__ = ("data", "nick", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.data = b""
        self.nick = ""
        self.unsent = bytearray()


class Server:
    """Everybody, and the loop."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.members: dict[Client, None] = {}
        self.last_id = 0
        self.guests = 0
        self.news: list[bytes] = []
        self.at = 0

    def run(self) -> None:
        """Serve for ever."""
        listener = listen()
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, None)
        while True:
            events = self.selector.select()
            self.at = int(time.time() * 1000)
            for key, mask in events:
                client: Client | None = key.data
                if client is None:
                    self.accept(listener)
                    continue
                if mask & selectors.EVENT_WRITE:
                    self.flush(client)
                if mask & selectors.EVENT_READ:
                    self.read(client)
            if self.news:
                self.send_news()

    def accept(self, listener: socket.socket) -> None:
        """Take in whoever waits."""
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, Client(sock))

    def read(self, client: Client) -> None:
        """Take what has come, frame by frame."""
        try:
            data = client.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(client)
            return
        if client.data:
            data = client.data + data
        start, size = 0, len(data)
        while size - start >= 4:
            end = start + 4 + HEADER.unpack_from(data, start)[0]
            if end > size:
                break
            self.take(client, json.loads(data[start + 4 : end].decode()))
            start = end
        client.data = data[start:]

    def take(self, client: Client, value: dict[str, str]) -> None:
        """Do what a frame asks for."""
        kind = value["type"]
        if kind == "say":
            text = value["text"]
            if not text.isupper():
                self.last_id += 1
                self.news.append(message(self.last_id, client.nick, text, self.at))
        elif kind == "hello":
            if self.news:  # it gets nothing from before
                self.send_news()
            self.guests += 1
            client.nick = f"guest-{self.guests}"
            self.members[client] = None
            answer = welcome(NAME, client.nick, self.last_id, len(self.members))
            self.send(client, answer)
        elif kind == "ping":
            self.send(client, frame({"type": "pong"}))

    def send_news(self) -> None:
        """Send the news of this tick to everybody, in one piece."""
        chunk = self.news[0] if len(self.news) == 1 else b"".join(self.news)
        self.news.clear()
        for client in self.members:
            self.send(client, chunk)

    def send(self, client: Client, data: bytes) -> None:
        """Send *data*, or as much as the kernel takes now."""
        if client.unsent:
            client.unsent += data
            return
        try:
            sent = client.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # reading tells that it is gone
        if sent < len(data):
            client.unsent += data[sent:]
            mask = selectors.EVENT_READ | selectors.EVENT_WRITE
            self.selector.modify(client.sock, mask, client)

    def flush(self, client: Client) -> None:
        """Send what has waited."""
        try:
            sent = client.sock.send(client.unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(client.unsent)
        del client.unsent[:sent]
        if not client.unsent:
            self.selector.modify(client.sock, selectors.EVENT_READ, client)

    def drop(self, client: Client) -> None:
        """Its connection is over."""
        self.members.pop(client, None)
        self.selector.unregister(client.sock)
        client.sock.close()


if __name__ == "__main__":
    Server().run()
