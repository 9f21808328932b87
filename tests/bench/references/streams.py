"""A server on asyncio streams, as tutorials have it: each message to each writer."""

import asyncio
import json
import time
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from contextlib import suppress

from tests.bench.references.common import HEADER, frame, message, say_where, welcome

NAME = "streams"


class Server:
    """Everybody's writer, and the number of the last message."""

    def __init__(self) -> None:
        self.writers: dict[StreamWriter, None] = {}
        self.last_id = 0
        self.guests = 0

    async def serve(self) -> None:
        """Serve for ever."""
        server = await asyncio.start_server(self.client, "127.0.0.1", 0, backlog=1024)
        say_where(server.sockets[0])
        await server.serve_forever()

    async def client(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one client, from its hello to its end."""
        nick = ""
        try:
            while True:
                (size,) = HEADER.unpack(await reader.readexactly(4))
                value = json.loads((await reader.readexactly(size)).decode())
                kind = value["type"]
                if kind == "say":
                    await self.say(nick, value["text"], writer)
                elif kind == "hello":
                    nick = self.join(writer)
                elif kind == "ping":
                    writer.write(frame({"type": "pong"}))
        except (IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.pop(writer, None)
            writer.close()

    def join(self, writer: StreamWriter) -> str:
        """Bring a client in; return its nick."""
        self.guests += 1
        nick = f"guest-{self.guests}"
        self.writers[writer] = None
        writer.write(welcome(NAME, nick, self.last_id, len(self.writers)))
        return nick

    async def say(self, nick: str, text: str, speaker: StreamWriter) -> None:
        """Send *text* to everybody."""
        if text.isupper():
            return
        self.last_id += 1
        data = message(self.last_id, nick, text, int(time.time() * 1000))
        for writer in self.writers:
            writer.write(data)
        # Who talks waits while its own output is not taken; not for the others'.
        await speaker.drain()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(Server().serve())
