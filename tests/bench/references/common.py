"""What the references share: frames, and the two answers to a hello."""

import json
import socket
from struct import Struct

ROOM = "lobby"
HEADER = Struct("!I")

# Made once: json.dumps with separators of one's own makes an encoder at each call.
to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def frame(value: dict[str, object]) -> bytes:
    """Return *value* as a frame."""
    payload = to_json(value).encode()
    return HEADER.pack(len(payload)) + payload


def message(number: int, nick: str, text: str, at: int) -> bytes:
    """Return what everybody gets of a text."""
    return frame(
        {
            "type": "message",
            "id": number,
            "room": ROOM,
            "from": nick,
            "text": text,
            "at": at,
        }
    )


def welcome(name: str, nick: str, last_id: int, count: int) -> bytes:
    """Return the answer to a hello."""
    return frame(
        {
            "type": "welcome",
            "version": 1,
            "server": name,
            "nick": nick,
            "session": nick,
            "strikes": 0,
            "limits": {},
        }
    ) + frame(
        {
            "type": "room",
            "room": ROOM,
            "log": name,
            "last_id": last_id,
            "oldest_id": 1,
            "count": count,
        }
    )


def listen() -> socket.socket:
    """Listen on a free port, and say on which."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    # Accepted sockets inherit it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    say_where(sock)
    return sock


def say_where(sock: socket.socket) -> None:
    """Print the line that whoever started us waits for."""
    host, port = sock.getsockname()[:2]
    print(f"listening on {host}:{port}", flush=True)
