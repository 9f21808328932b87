"""Where one has stopped reading.

    (look(False) -> unread* -> look(True))*

Pure.  Must not know: what there is to read, how anybody finds out that one looks away.
"""

from __future__ import annotations


class Reading:
    """Whether somebody reads, and since when not."""

    def __init__(self) -> None:
        self._here = True
        self._since: int | None = None
        """When he has looked away, until something has come that he does not see."""

    def look(self, here: bool, at: int) -> None:
        """He looks away at *at*, milliseconds since the epoch, or is back."""
        if here:
            self._since = None
        elif self._here:
            self._since = at
        self._here = here

    def unread(self) -> int | None:
        """Something comes: return since when he does not read, if it is the first
        that he does not see; else ``None``."""
        since, self._since = self._since, None
        return since
