"""Where a user's settings are kept, and the lines that were typed.

The places are those of the XDG base directory specification.  Must not know: what the
settings are for, what the lines are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from chatroom.config import read_settings_file


def read_client_file(
    path: str | None, table: type, others: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any]:
    """Return what the user's settings file sets; *path*: one that was asked for.

    ``read_settings_file`` tells the rest.
    """
    if path is not None:
        return read_settings_file(path, table, others, required=True)
    path = settings_file()
    if path is None:
        return {}
    return read_settings_file(path, table, others, required=False)


def settings_file() -> str | None:
    """Return where the settings are, or ``None`` where nobody is at home."""
    return _xdg("XDG_CONFIG_HOME", ".config", "client.toml")


def lines_file() -> str | None:
    """Return where the lines that were typed are kept."""
    return _xdg("XDG_STATE_HOME", os.path.join(".local", "state"), "lines")


def _xdg(variable: str, usual: str, name: str) -> str | None:
    folder = os.environ.get(variable, "")
    if not os.path.isabs(folder):
        # "If an implementation encounters a relative path ... it should ignore it."
        folder = os.path.join(os.path.expanduser("~"), usual)
    return os.path.join(folder, "chatroom", name) if os.path.isabs(folder) else None
