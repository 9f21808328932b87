"""SIGHUP: what can change while the server runs is read anew, all of it or nothing.

    reload(server):  read, load, then apply

``_load`` opens and reads everything that can fail, and changes nothing; ``_apply``
cannot fail.  So where something is wrong all goes on as before, and one line of the log
says what it was and where.  Nobody who is connected notices: he keeps his seat, his
strikes and his tokens.  What is loaded is listed in ``parts.py``, beside the log file.

Some of the settings are copied where they are used: into the buckets and marks of
the rate, the rooms and their logs, the deadlines of a connection.  Here is where each
of these copies is brought up to date.
Must not know: what a setting means to those who use it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from chatroom.config import Settings
from chatroom.errors import StartError, UsageError
from chatroom.server.eventlog import LEVELS, Sink, open_sink
from chatroom.server.parts import (
    Parts,
    differences,
    fit_to_descriptors,
    load,
    memory_line,
)

if TYPE_CHECKING:
    from chatroom.core.rooms import Room
    from chatroom.server.app import Server
    from chatroom.server.rate import Bucket

AT_START = frozenset(("host", "port", "history"))
"""The settings that are only read at the start: what is open stays open."""
DROPPED_AT_ONCE = 2000
"""Messages that a room drops of what it holds too much, in a tick: a millisecond."""


class Before(NamedTuple):
    """What held before a reload."""

    settings: Settings
    frames: Bucket
    bytes: Bucket


@dataclass(slots=True)
class _Loaded:
    """What is to hold, all of it ready."""

    parts: Parts
    log_file: Sink | None
    waiting: list[str]
    """What is asked for, and waits for a restart."""
    remarks: list[str]


def reload(server: Server) -> None:
    """Let *server* go by its settings and their files as they are now."""
    try:
        loaded = _load(server)
    except (StartError, UsageError) as error:
        text = f"{error}; nothing has changed"
        server.log.event("error", "reload", text=text)
        return
    _apply(server, loaded)


def _load(server: Server) -> _Loaded:
    """Open and read everything; raises ``StartError`` or ``UsageError``."""
    asked, remarks = fit_to_descriptors(server.read())
    settings = replace(
        asked, **{name: getattr(server.settings, name) for name in AT_START}
    )
    parts = load(settings, server.parts)
    # At last, as a file that is not there is made.
    log_file = open_sink(settings.log_file) if settings.log_file else None
    return _Loaded(parts, log_file, differences(settings, asked), remarks)


def _apply(server: Server, loaded: _Loaded) -> None:
    """Let *loaded* hold; nothing of this can fail."""
    before = Before(server.settings, server.frames, server.bytes)
    parts, settings, now = loaded.parts, loaded.parts.settings, server.loop.now
    if parts.rules.password == server.parts.rules.password:
        password = None
    else:
        password = "another one" if parts.rules.password else "none"
    operators = None
    if parts.operators.keys != server.parts.operators.keys:
        count = len(parts.operators)
        operators = f"{count} key{'s' if count != 1 else ''}" if count else "none"
    server.hold_to(parts)
    server.chat.set_rules(parts.rules, now)
    server.chat.oversight.appoint(parts.operators, now)
    server.store.bound(settings.keep, settings.keep_bytes, settings.history_keep)
    bounds = settings.keep, settings.keep_bytes
    if bounds != (before.settings.keep, before.settings.keep_bytes):
        rooms = list(server.chat.rooms.values())
        for room in rooms:
            room.log.bound(*bounds)
        _drop_old(server, rooms)
    server.start_trimming()
    connections = list(server.connections)
    for number, connection in enumerate(connections):
        connection.settings_changed(before, number / len(connections))
    server.check_pool()
    secrets = {"password": password, "operators": operators}
    _apply_to_log(server, loaded, before.settings, secrets)


def _drop_old(server: Server, rooms: list[Room]) -> None:
    """Let *rooms* drop what they hold too much, a little of it in each tick."""
    if rooms and not rooms[-1].log.trim(DROPPED_AT_ONCE):
        rooms.pop()
    if rooms:
        server.loop.call_soon(lambda: _drop_old(server, rooms))


def _apply_to_log(
    server: Server, loaded: _Loaded, old: Settings, secrets: dict[str, str | None]
) -> None:
    """Give the log its level, format and file, and write down what is new."""
    log, settings = server.log, loaded.parts.settings
    log.set_file(loaded.log_file)
    # By the level that says more: also whoever turns it down wants to read this.
    level = max(old.log_level, settings.log_level, key=lambda word: -LEVELS[word])
    log.set_form(level, settings.log_format)
    changed = differences(old, settings)
    log.event(
        "info",
        "reload",
        changed=", ".join(changed) or "no setting",
        **secrets,
        memory=memory_line(settings) if changed else None,
    )
    if loaded.waiting:
        text = f"waits for a restart: {', '.join(loaded.waiting)}"
        log.event("warning", "reload", text=text)
    for text in loaded.remarks:
        log.event("warning", "limits", text=text)
    log.set_form(settings.log_level, settings.log_format)
    if loaded.parts.tls is not None:
        log.event("info", "certificate", text="loaded anew")
    server.log_doubts()
