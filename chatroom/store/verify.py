"""Whether a history is what it has to be: looks at everything, changes nothing.

Must not know: who asks, and how it is shown.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from chatroom.store import file
from chatroom.store.reader import HistoryReader

MAX_FINDINGS = 100
"""Findings that are told; of a file that is nothing but damage, the first will do."""

_MESSAGES = """SELECT room, id, typeof(room), typeof(id), typeof(at),
    CAST(sender AS BLOB), CAST(text AS BLOB), CAST(ref AS BLOB)
    FROM messages ORDER BY room, id"""
_SESSIONS = """SELECT CAST(digest AS BLOB), CAST(nick AS BLOB), CAST(key AS BLOB),
    CAST(strikes AS BLOB), CAST(last_ref AS BLOB) FROM sessions"""
_OPERATORS = """SELECT CAST(digest AS BLOB), CAST(operator AS BLOB), CAST(mute AS BLOB)
    FROM sessions"""
_ORDERS = """SELECT kind, target, CAST(kind AS BLOB), CAST(target AS BLOB),
    CAST(shown AS BLOB), CAST(by AS BLOB), CAST(text AS BLOB) FROM orders"""
_ORDER_TEXTS = ("kind", "target", "shown", "by", "text")
_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"


class Report:
    """What was looked at, and what was found amiss: one line each."""

    def __init__(self) -> None:
        self.rooms = 0
        self.messages = 0
        self.sessions = 0
        self.orders = 0
        self.findings: list[str] = []
        self.untold = 0
        """Findings beyond ``MAX_FINDINGS``."""

    def add(self, finding: str) -> None:
        """Tell *finding*."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        else:
            self.untold += 1


def verify(path: str) -> Report:
    """Return what there is to say about the history in *path*.

    Raises ``StartError`` where it is none, or cannot be opened at all.
    """
    with closing(HistoryReader(path)) as reader:
        return reader.look(_look)


def _look(db: sqlite3.Connection) -> Report:
    report = Report()
    try:
        # One moment for all: else what a server writes meanwhile would look odd.
        db.execute("BEGIN")
        try:
            for check in (
                _check_pages,
                _check_schema,
                _check_all_rooms,
                _check_sessions,
                _check_operators,
            ):
                check(db, report)
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if file.is_no_damage(error):
            raise
        report.add(f"damaged: {error}")
    return report


def _check_pages(db: sqlite3.Connection, report: Report) -> None:
    for (answer,) in db.execute(f"PRAGMA integrity_check({MAX_FINDINGS})"):
        if answer != "ok":
            report.add(f"damaged: {' '.join(answer.split())}")


def _check_schema(db: sqlite3.Connection, report: Report) -> None:
    with closing(sqlite3.connect(":memory:")) as model:
        file.build(model, 0, version := _version(db))
        wanted = dict(model.execute(_TABLES))
    if (says := file.read_version(db)) != version:
        report.add(f"schema: it says {says}, and should say {version}")
    found = dict(db.execute(_TABLES))
    for name, sql in wanted.items():
        if name not in found:
            report.add(f"schema: there is no table {name}")
        elif _words(found[name]) != _words(sql):
            report.add(f"schema: the table {name} is not as it should be")
    try:
        file.read_identity(db)
    except ValueError as error:
        report.add(f"schema: {error}")


def _version(db: sqlite3.Connection) -> int:
    """Return the version to hold the file against; where it says none, the newest."""
    version = file.read_version(db)
    return version if 1 <= version <= file.SCHEMA_VERSION else file.SCHEMA_VERSION


def _words(sql: str) -> list[str]:
    return re.findall(r"\w+|\S", sql)


# -- messages ---------------------------------------------------------------------


def _check_all_rooms(db: sqlite3.Connection, report: Report) -> None:
    last_ids: dict[str, object] = dict(db.execute("SELECT name, last_id FROM rooms"))
    report.rooms = len(last_ids)
    room, number = None, 0
    for name, id_, name_type, id_type, at_type, *texts in db.execute(_MESSAGES):
        report.messages += 1
        where = f"{name!s} {id_}"
        if (name_type, id_type, at_type) != ("text", "integer", "integer"):
            report.add(f"{where}: a name, a number or a time is none")
            continue
        for what, data in zip(("sender", "text", "ref"), texts, strict=True):
            if wrong := _encoding_error(data):
                report.add(f"{where}: the {what} is {wrong}")
        if name != room:
            _check_end(room, number, last_ids, report)
            room, number = name, id_ - 1
            if id_ < 1:
                report.add(f"{where}: numbers begin at 1")
            if room not in last_ids:
                report.add(f"{room}: it has messages and is not among the rooms")
        if id_ != number + 1:
            report.add(f"{room}: {_span(number + 1, id_ - 1)} not there")
        number = id_
    _check_end(room, number, last_ids, report)
    for name in _without_messages(db):
        report.add(f"{name}: it has a last id of {last_ids[name]} and no messages")


def _check_end(
    room: str | None, number: int, last_ids: dict[str, object], report: Report
) -> None:
    """Hold the newest *number* of *room* against the last one that was given."""
    last_id = last_ids.get(room or "", number)
    if not isinstance(last_id, int):
        report.add(f"{room}: its last id is no number")
    elif number > last_id:
        report.add(f"{room}: {number} is beyond the last id, {last_id}")
    elif number < last_id:
        report.add(f"{room}: {_span(number + 1, last_id)} not there")


def _span(low: int, high: int) -> str:
    return f"{low} is" if low == high else f"{low} to {high} are"


def _without_messages(db: sqlite3.Connection) -> Iterator[str]:
    sql = """SELECT name FROM rooms
        WHERE NOT EXISTS (SELECT 1 FROM messages WHERE room = name)"""
    return (name for (name,) in db.execute(sql))


def _encoding_error(data: bytes | None) -> str | None:
    if data is None:
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start})"
    return "not as it was sent (it has a NUL)" if b"\0" in data else None


# -- sessions and orders ----------------------------------------------------------


def _check_sessions(db: sqlite3.Connection, report: Report) -> None:
    for digest, *texts in db.execute(_SESSIONS):
        report.sessions += 1
        where = f"session {digest.hex()[:8]}"
        if len(digest) != 32:
            report.add(f"{where}: its digest has {len(digest)} bytes")
        for what, data in zip(("nick", "key", "strikes", "ref"), texts, strict=True):
            if wrong := _encoding_error(data):
                report.add(f"{where}: the {what} is {wrong}")
    try:
        file.read_sessions(db, 0.0, 0, _version(db))
    except file.UNREADABLE as error:
        report.add(f"sessions: {error}")


def _check_operators(db: sqlite3.Connection, report: Report) -> None:
    """Look at what there is since version 2."""
    if _version(db) < 2:
        return
    for digest, operator, mute in db.execute(_OPERATORS):
        where = f"session {digest.hex()[:8]}"
        if operator is not None and len(operator) != 32:
            report.add(f"{where}: its operator has {len(operator)} bytes")
        if wrong := _encoding_error(mute):
            report.add(f"{where}: the mute is {wrong}")
    for kind, target, *texts in db.execute(_ORDERS):
        report.orders += 1
        for what, data in zip(_ORDER_TEXTS, texts, strict=True):
            if wrong := _encoding_error(data):
                report.add(f"order {kind!s} {target!s}: the {what} is {wrong}")
    try:
        file.read_orders(db, 0.0, 0)
    except file.UNREADABLE as error:
        report.add(f"orders: {error}")
