"""What a server is made of, read from the files that its settings name.

    fit_to_descriptors -> load -> (at the start) open_store

``load`` is the one list of what can fail before anything holds: a start, a reload
(``reload.py``) and ``--check`` (``check.py``) all read the same.  It changes nothing,
so whoever finds that something is wrong can leave all as it is.
Must not know: connections, and what is done with the parts.
"""

from __future__ import annotations

import resource
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from chatroom import __version__
from chatroom.config import (
    GIB,
    KIB,
    LOG_BACKLOG,
    MAX_CLOSING,
    MAX_KEPT,
    MAX_UNFINISHED,
    MIB,
    RESERVED_DESCRIPTORS,
    Settings,
    is_open_to_others,
    is_stream,
    option_name,
    printable,
    read_lines,
    read_secret,
    size,
)
from chatroom.core.chat import Rules
from chatroom.core.moderation import Moderator
from chatroom.core.operators import Operators, parse
from chatroom.core.orders import MAX_ORDERS
from chatroom.core.sessions import digest
from chatroom.errors import StartError
from chatroom.server.web import Page, read_page
from chatroom.store.memory import MemoryStore
from chatroom.wire.framing import MAX_FRAME

if TYPE_CHECKING:
    from ssl import SSLContext

    from chatroom.store import Store

BASE_BYTES = 48 * MIB
"""The interpreter, sessions without a connection, and other tables that are bounded."""
MEMBER_BYTES = 3072
"""What a plain member costs, beside what it has in transit (measured: 2.4 KB)."""
TLS_MEMBER_BYTES = 128 * 1024
"""What TLS adds to that.  Measured: 17 KB at rest, 40 after a burst, 53 with a record
that is not whole; a record that is not taken adds 40."""
ROOM_BYTES = 2048
"""What a room costs beside its messages and members."""
ORDER_BYTES = 4096
"""What an order of an operator costs (measured: 3.9 KB with the longest reason, kept
in a file)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is read before it holds."""

    settings: Settings
    rules: Rules
    operators: Operators
    tls: SSLContext | None
    """``None``: there is no TLS."""
    page: Page | None
    """What browsers are shown; ``None``: they have never been spoken to."""


def load(settings: Settings, before: Parts | None = None) -> Parts:
    """Read what *settings* name; raise ``StartError``.

    *before* is what holds already, where something does: what can be read but once,
    or belongs to the program that runs, is taken from there.
    """
    return Parts(
        settings,
        make_rules(settings, _load_password(settings, before)),
        _load_operators(settings, before),
        _load_tls(settings),
        _load_page(settings, before),
    )


def _load_password(settings: Settings, before: Parts | None) -> bytes | None:
    path = settings.password_file
    if not path:
        return None
    if before is not None and is_stream(path):
        if path == before.settings.password_file:
            return before.rules.password
        raise _read_but_once(path)
    return digest(read_secret(path))


def _load_operators(settings: Settings, before: Parts | None) -> Operators:
    path = settings.operator_file
    if not path:
        return Operators()
    if before is not None and is_stream(path):
        if path == before.settings.operator_file:
            return before.operators
        raise _read_but_once(path)
    try:
        return parse(read_lines(path))
    except ValueError as wrong:
        raise StartError(f"{path!a}, {wrong}") from None


def _read_but_once(path: str) -> StartError:
    return StartError(f"{path!a} is no file; such a one is read at a start only")


def _load_tls(settings: Settings) -> SSLContext | None:
    if not settings.tls_cert:
        return None
    # ssl is loaded by those who use it.
    from chatroom.net.tls import server_context

    return server_context(settings.tls_cert, settings.tls_key)


def _load_page(settings: Settings, before: Parts | None) -> Page | None:
    if before is not None and before.page is not None:
        # Its files may be those of another version by now.
        return before.page
    return read_page() if settings.web else None


def make_rules(settings: Settings, password: bytes | None) -> Rules:
    """Return what the rules need of *settings*, and the digest of the *password*."""
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


def open_store(settings: Settings) -> Store:
    """Return the store that *settings* ask for; raise ``StartError``."""
    identity = secrets.token_hex(8)
    keep = (settings.keep, settings.keep_bytes)
    if not settings.history:
        return MemoryStore(identity, *keep)
    # SQLite is loaded by those who use it.
    from chatroom.store.sqlite import SqliteStore

    return SqliteStore(settings.history, identity, *keep, settings.history_keep)


def fit_to_descriptors(settings: Settings) -> tuple[Settings, list[str]]:
    """Raise the limit of descriptors, and lower the members to what it allows.

    Returns the settings that can hold, and what there is to say of it.
    """
    remarks = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError) as error:
            remarks.append(f"descriptors stay at {soft}: {error}")
    if soft == resource.RLIM_INFINITY:
        return settings, remarks
    # Where there are few, the members get half of them.
    spare = RESERVED_DESCRIPTORS + MAX_UNFINISHED + MAX_CLOSING
    room = max(1, soft - spare, soft // 2 - 8)
    if settings.max_clients and settings.max_clients <= room:
        return settings, remarks
    asked = settings.max_clients or "any number of"
    remarks.append(f"{asked} members asked for; {soft} descriptors allow {room}")
    return replace(settings, max_clients=room), remarks


def doubts(parts: Parts) -> Iterator[tuple[str, str]]:
    """Go through what about the files of secrets and trust is not as it should be.

    Each is the name of an event and a text.  Nothing that keeps a server from running:
    pinned, an expired certificate is as good.
    """
    settings = parts.settings
    files = (settings.password_file, settings.operator_file, settings.tls_key)
    for path in files:
        if path and is_open_to_others(path):
            text = f"{path!a} can be read by others on this machine; chmod 600"
            yield "secret", text
    if parts.tls is None:
        return
    from chatroom.net.tls import doubt

    if why := doubt(parts.tls, settings.tls_cert):
        yield "certificate", f"clients will not trust {settings.tls_cert!a}: {why}"


# -- how much memory --------------------------------------------------------------


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
    if settings.operator_file:
        tables += MAX_ORDERS * ORDER_BYTES
    return tables + clients + kept + settings.max_output_total


def memory_line(settings: Settings) -> str:
    """Return the worst case in words."""
    bound = worst_case_memory(settings)
    return f"at most {bound // MIB} MiB" if bound else "without a bound"


# -- settings in words ------------------------------------------------------------


def shown(settings: Settings, name: str) -> str:
    """Return the field *name* of *settings* as one would write it."""
    value = getattr(settings, name)
    if isinstance(value, tuple):
        return ",".join(map(printable, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, int) and _is_size(name):
        for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
            if value and not value % factor:
                return f"{value // factor}{unit}"
    return printable(str(value))


def _is_size(name: str) -> bool:
    (about,) = (f.metadata for f in fields(Settings) if f.name == name)
    return about["parse"] is size


def shown_changed(settings: Settings) -> str:
    """Return those of *settings* that are not at their default."""
    return " ".join(
        f"{option_name(f.name)}={shown(settings, f.name)}"
        for f in fields(Settings)
        if getattr(settings, f.name) != f.default
    )


def differences(old: Settings, new: Settings) -> list[str]:
    """Return what is not the same in *new*, each like ``max-rooms 9 -> 10``."""
    return [
        f"{option_name(f.name)} {shown(old, f.name) or 'none'} -> "
        f"{shown(new, f.name) or 'none'}"
        for f in fields(Settings)
        if getattr(old, f.name) != getattr(new, f.name)
    ]
