"""``--check``: what a start would do with these settings, and nothing done.

    check(line) -> exit code; raises what a start would raise

All files are read that a start reads (``parts.py``), and none is changed or made.  What
is told is itself a file for ``--config``: every setting, and behind it where its value
comes from.  A server that runs with the same settings is in nobody's way, so ports and
locks are not looked at.
"""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from chatroom.config import CommandLine, Settings, file_name
from chatroom.errors import StartError
from chatroom.server.eventlog import check_file
from chatroom.server.parts import doubts, fit_to_descriptors, load, memory_line, shown
from chatroom.store.command import Output


def check(line: CommandLine) -> int:
    """Tell what would hold; raises ``StartError`` or ``UsageError``."""
    settings, remarks = fit_to_descriptors(line.read())
    if settings.log_file:
        check_file(settings.log_file)
    parts = load(settings)
    if settings.history:
        # SQLite is loaded by those who use it.
        from chatroom.store.file import examine

        examine(settings.history)
    told = [(_as_toml(settings, f), line.source(f.name)) for f in fields(Settings)]
    width = max(len(text) for text, _ in told)
    output = Output()
    for text, source in told:
        output.line(f"{text:{width}}  # {source}")
    output.line(f"# memory: {memory_line(settings)}")
    for remark in [*remarks, *(text for _, text in doubts(parts))]:
        output.line(f"# warning: {remark}")
    try:
        output.flush()
    except BrokenPipeError:
        pass  # Who reads has seen enough.
    except OSError as error:
        raise StartError(f"cannot write: {error.strerror}") from None
    return 0


def _as_toml(settings: Settings, f: Field[Any]) -> str:
    """Return the line of a settings file that sets the field *f*."""
    value, name = getattr(settings, f.name), file_name(f)
    if isinstance(value, bool):
        return f"{name} = {'true' if value != f.metadata['on'] else 'false'}"
    if value in ("", ()):
        return f"#{name}: {f.metadata['shown']}"
    if isinstance(value, tuple):
        return f"{name} = [{', '.join(map(_quoted, value))}]"
    if isinstance(value, str):
        return f"{name} = {_quoted(value)}"
    text = shown(settings, f.name)
    # A size with a unit is a string too.
    return f"{name} = {text if text[-1].isdigit() else _quoted(text)}"


def _quoted(text: str) -> str:
    """Return *text* as a string of TOML, in ASCII."""
    parts = []
    for c in text:
        if c in '"\\':
            parts.append("\\" + c)
        elif c.isascii() and c.isprintable():
            parts.append(c)
        else:
            parts.append(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")
    return f'"{"".join(parts)}"'
